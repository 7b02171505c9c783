"""CrypTen's interface on our gates: unchanged `crypten.nn` programs in our modes."""
