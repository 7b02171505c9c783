"""A query in every paradigm: what may be asked, what an answer holds, and the round trip that carries both.

A query's size is checked twice, under the same names in each paradigm: Alice's ``require_query_size`` refuses before
anything goes out, and Bob's ``query_limit``, in bytes, before he reads anything.
"""
