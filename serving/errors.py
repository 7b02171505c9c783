"""What can be wrong with how a party was started, one line each."""

from sotto.link import Coded


class AdapterError(Coded, ValueError):
    """A paradigm cannot be served or asked like this; the message says what to do."""
