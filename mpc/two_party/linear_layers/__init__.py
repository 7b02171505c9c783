"""Linear layers under Alice's encryption: polynomials, their packing, and masks of the answers."""
