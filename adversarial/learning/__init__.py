"""Training the sensor against its adversary."""
