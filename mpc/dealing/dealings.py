"""What the dealer makes in each mode that has bundles."""

from __future__ import annotations

from sotto.link import BadValue
from sotto.mpc.messages import Mode
from sotto.mpc.protocols.dealing import Dealing


def dealing_of(mode: Mode) -> type[Dealing]:
    """What the dealer makes in ``mode``.  Raises ``ValueError`` where a mode has no bundles."""
    if mode in ("crypten", "two-party"):
        raise BadValue("no-bundles", f"mode '{mode}' has no bundles and no stock: choose another mode")
    if mode == "malicious":
        from sotto.mpc.protocols.malicious.session import MaliciousDealing

        return MaliciousDealing
    from sotto.mpc.protocols.semi_honest.session import SemiHonestDealing

    return SemiHonestDealing
