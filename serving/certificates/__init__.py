"""Who a party is to the others: its keys, its request for a certificate, and the authority that grants it."""
