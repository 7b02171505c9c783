"""Mode ``semi-honest``: queries and sessions on masked words, on which mode ``malicious`` builds."""
