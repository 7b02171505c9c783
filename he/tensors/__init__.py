"""Networks over tensors, convolutions among them: from a module that exports to a packed program."""
