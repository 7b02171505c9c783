"""The protocols of our modes: what is dealt, what is opened, what is checked."""
