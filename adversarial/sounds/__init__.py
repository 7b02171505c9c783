"""The sounds that sensors are trained and tested on."""
