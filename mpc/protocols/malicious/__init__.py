"""Mode ``malicious``: the same queries on authenticated shares, checked before anything is revealed."""
