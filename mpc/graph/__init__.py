"""What both parties know of a network and compute with: plan, curves, ranges, fixed point, program, steps."""
