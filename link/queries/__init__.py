"""A query in every paradigm: what may be asked, what an answer holds, and the round trip that carries both."""
