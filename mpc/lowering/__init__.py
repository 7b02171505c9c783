"""From PyTorch's operators to the layers of a plan."""
