"""What runs at Alice's: from sound to the representation that she sends, and Bob's classifier of it."""
