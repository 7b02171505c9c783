"""Base oblivious transfers on the prime-order subgroup of Curve25519: what everything faster starts from.

The sender ends with two random 16-byte keys for each transfer, the receiver with a random choice bit and the key of
that number.  "The simplest protocol for oblivious transfer" (Chou and Orlandi 2015), figure 1, against semi-honest
parties:

    sender -> receiver    S = y B
    receiver -> sender    R_i = x_i B + c_i S
    keys                  k_i^0 = H(y R_i),  k_i^1 = H(y R_i - y S),  the receiver's H(x_i S)

R_i is uniform whatever c_i is, so choices are hidden without any assumption; that the other key is unknown rests on the
computational Diffie-Hellman problem (about 2^126 operations by Pollard's method) and a random oracle, SHA-256 over the
whole transcript of the transfer.  Every received point is checked to be in the subgroup.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from nacl import bindings, exceptions

from sotto.link import FrameError, Link

KEY_BYTES = 16
POINT_BYTES = bindings.crypto_core_ed25519_BYTES

Keys = npt.NDArray[np.uint8]  # (…, KEY_BYTES)


def send(link: Link, count: int) -> Keys:
    """The sender's side of ``count`` transfers: both keys of each, (count, 2, 16)."""
    secret = _scalar()
    own = bindings.crypto_scalarmult_ed25519_base_noclamp(secret)
    link.send("ot.base", own)
    answer = bytes(link.receive("ot.choices", limit=count * POINT_BYTES))
    if len(answer) != count * POINT_BYTES:
        raise FrameError("wrong-count", f"{link.peer} chose in another number of transfers than the protocol has")
    squared = bindings.crypto_scalarmult_ed25519_noclamp(secret, own)
    keys = np.empty((count, 2, KEY_BYTES), np.uint8)
    for number in range(count):
        point = answer[number * POINT_BYTES : (number + 1) * POINT_BYTES]
        first = _multiplied(secret, point, link)
        second = bindings.crypto_core_ed25519_sub(first, squared)
        keys[number] = [_key(number, own, point, shared) for shared in (first, second)]
    return keys


def receive(link: Link, count: int) -> tuple[npt.NDArray[np.uint8], Keys]:
    """The receiver's side: random choices (count,), 0 or 1, and the chosen key of each, (count, 16)."""
    theirs = bytes(link.receive("ot.base", limit=POINT_BYTES))
    choices = np.unpackbits(np.frombuffer(secrets.token_bytes(-(-count // 8)), np.uint8), count=count)
    keys = np.empty((count, KEY_BYTES), np.uint8)
    points = []
    for number, choice in enumerate(choices):
        secret = _scalar()
        shared = _multiplied(secret, theirs, link)
        plain = bindings.crypto_scalarmult_ed25519_base_noclamp(secret)
        both = np.frombuffer(plain + bindings.crypto_core_ed25519_add(plain, theirs), np.uint8).reshape(2, -1)
        point = (both[0] ^ (both[0] ^ both[1]) * choice).tobytes()
        keys[number] = _key(number, theirs, point, shared)
        points.append(point)
    link.send("ot.choices", b"".join(points))
    return choices, keys


def _scalar() -> bytes:
    """Uniform modulo the order of the group."""
    return bindings.crypto_core_ed25519_scalar_reduce(secrets.token_bytes(64))


def _multiplied(scalar: bytes, point: bytes, link: Link) -> bytes:
    if len(point) != POINT_BYTES or not bindings.crypto_core_ed25519_is_valid_point(point):
        raise FrameError("not-a-point", f"{link.peer} sent no point of the group: both sides need the same release")
    try:
        return bindings.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except exceptions.CryptoError:
        raise FrameError(
            "small-order", f"{link.peer} sent a point of small order: both sides need the same release"
        ) from None


def _key(number: int, base: bytes, choice: bytes, shared: bytes) -> npt.NDArray[np.uint8]:
    digest = Hash(SHA256())
    digest.update(b"sotto base ot\0" + number.to_bytes(4, "little") + base + choice + shared)
    return np.frombuffer(digest.finalize()[:KEY_BYTES], np.uint8)
