"""SEAL objects as bytes, and back with checks: what crosses between Alice and Bob in the hand-packed modes.

The binding saves to and loads from files only, so objects go through an anonymous file in memory (where the system has
none, through a temporary one); secret keys are never saved.  What comes from the peer is loaded by SEAL, which
checks it against the context, and then its size, level and scale are compared with what the protocol has here.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tenseal.sealapi as seal

from sotto.link import FrameError


def dumped(saveable: Any) -> bytes:
    """The serialisation of a SEAL object that can be saved."""
    with _file() as path:
        saveable.save(str(path))
        return path.read_bytes()


def loaded(empty: Any, context: seal.SEALContext, data: bytes, what: str) -> Any:
    """``empty`` filled from what the peer sent.

    Raises
    ------
    FrameError
        not such an object, or not of this context.
    """
    with _file() as path:
        path.write_bytes(data)
        try:
            empty.load(context, str(path))
        except Exception:  # the binding throws whatever SEAL threw
            raise FrameError("malformed", f"the peer sent malformed {what}: both sides need the same release") from None
    return empty


def load_ciphertext(context: seal.SEALContext, data: bytes, *, level: int, scale: float) -> seal.Ciphertext:
    """A two-part ciphertext from the peer over ``level`` primes at ``scale``, else :class:`sotto.link.FrameError`."""
    ciphertext = loaded(seal.Ciphertext(), context, data, "ciphertexts")
    same = math.isclose(float(ciphertext.scale), scale, rel_tol=1e-9)
    if ciphertext.size() != 2 or ciphertext.coeff_modulus_size() != level or not same or not ciphertext.is_ntt_form():
        raise FrameError(
            "wrong-ciphertext", "the peer sent a ciphertext of another size, level or scale than the protocol has here"
        )
    return ciphertext


def parms_ids(context: seal.SEALContext) -> dict[int, Any]:
    """SEAL's name of each level of the chain, by the number of primes left."""
    found: dict[int, Any] = {}
    data = context.first_context_data()
    while data is not None:
        found[len(data.parms().coeff_modulus())] = data.parms_id()
        data = data.next_context_data()
    return found


def galois_elements(steps: tuple[int, ...], ring_degree: int) -> list[int]:
    """What SEAL calls a rotation by each of ``steps`` to the left; 0 stands for conjugation."""
    return [pow(3, step, 2 * ring_degree) if step else 2 * ring_degree - 1 for step in steps]


@contextlib.contextmanager
def _file() -> Iterator[Path]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("sotto")
        try:
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory(prefix="sotto-") as folder:
            yield Path(folder) / "seal"
