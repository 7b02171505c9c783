"""What can be wrong with how a party was started, one line each."""


class AdapterError(ValueError):
    """A paradigm cannot be served or asked like this; the message says what to do."""
