"""Luong, Tran, Gharib, Drossos, Virtanen: RDAL-M."""
