"""Alice, Bob and the dealer on machines of their own: their folders, their keys, and the commands that start them."""
