"""What a researcher writes first: ``sotto.local``, ``sotto.connect``, ``sotto.compare``, for every paradigm alike.

Everything here is imported when it is first used, so that ``import sotto`` costs nothing.
"""
