"""What an experiment loads or breaks: Bob and the dealer as services, many Alices, and the network between them."""
