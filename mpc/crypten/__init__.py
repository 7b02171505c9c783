"""Stock CrypTen over our own links: the reference row."""
