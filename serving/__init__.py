"""Alice, Bob and the dealer as processes on machines of their own: sessions, handshake, limits, certificates.

A service (Bob or the dealer) is three kinds of process:

* the **supervisor** (:mod:`sotto.serving.service.supervisor`) listens, replaces the host on reload, counts, writes the
journal; it
  reads nothing that a client sent;
* the **host** (:mod:`sotto.serving.service.host`) holds the loaded model and reads the first message of each client:
TLS 1.3,
  certificate, handshake, limits;
* a **session** (:mod:`sotto.serving.service.sessions`), forked from the host for each client, runs the paradigm's door
with a bound
  on its memory.  What one client makes go wrong ends in its session.

Alice (:mod:`sotto.serving.client`) opens a session, and after a failure a new one.

Trust: **whoever holds the authority's key can pose as anybody, the dealer included**: an authority that sides with Bob
deals for him and reads what Alice asks.  Parties make their own keys (:mod:`sotto.serving.certificates.requests`) and
name the Bob and the dealer they want (``bob_name``, ``dealer_name``), which keeps out every other holder of a
certificate, but not the authority.  A certificate has one role; no role can act as another.
Without certificates only this machine is served, and any account of it may connect.  A service sees who asks, when, and
how much; limits bound what one client can take, they do not make a service resist a flood of connections from many
addresses: that is a firewall's business.

Who owns what: ``terms`` and ``handshake`` (what is agreed first), ``registry`` (the one list of paradigms),
``adapters`` (what each offers), ``folders`` (the files each party is handed), ``arrivals``, ``admission``, ``host``,
``sessions``, ``hosting``, ``processes``, ``supervisor``, ``reports``, ``limits`` (serving), ``client`` (Alice),
``dealing`` (what the dealer serves), ``certificates`` (keys, requests, the authority), ``journal``, ``counters``,
``health``.
"""
