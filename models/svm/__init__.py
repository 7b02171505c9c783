"""The support vector machine on plain features."""
