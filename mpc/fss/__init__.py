"""Function secret sharing: distributed comparison functions, and the gates that evaluate them."""
