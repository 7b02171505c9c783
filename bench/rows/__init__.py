"""The row that every result is, its parts (costs, energy, prices, machine), its files and its tables."""
