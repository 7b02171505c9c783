"""Both sides of a two-party protocol in one process, on a link each."""

from __future__ import annotations

import threading

from sotto.link import pair


def run_both(alice, bob, timeout=30.0):
    """What ``alice(link)`` and ``bob(link)`` return; Alice's error is raised, else Bob's."""
    for_alice, for_bob = pair(timeout=timeout)
    outcome = {}

    def side():
        try:
            outcome["bob"] = bob(for_bob)
        except Exception as error:
            outcome["error"] = error
            for_bob.close()

    thread = threading.Thread(target=side)
    thread.start()
    try:
        result = alice(for_alice)
    finally:
        for_alice.close()
        thread.join(timeout)
    if "error" in outcome:
        raise outcome["error"]
    return result, outcome["bob"]
