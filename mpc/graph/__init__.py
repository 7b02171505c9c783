"""From a user's module to the program that both parties run: capture, plan, ranges, fixed point, steps."""
