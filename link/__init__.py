"""Framed, counted messages between parties: inside one process, over TCP on one machine, over TLS 1.3 between machines.

Threat model: the peer may send anything at any time.  A message is accepted only under the name and size its receiver
asked for, sizes are checked before allocation, every wait has a deadline, and nothing received is ever unpickled.  A
question that is given up, by an interrupt too, ends its link on both sides: no late answer is taken for the next one.

On one machine links are plain TCP on loopback, readable by the machine's administrator, and any account of that machine
may connect to a port before the intended peer does: callers check who it is (the harness with a token), or use TLS.
Between machines links must be TLS 1.3 with certificates on both sides, and plain TCP is refused.  A link does not hide
sizes or timing, nor that one side gave up.
"""

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
