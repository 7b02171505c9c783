"""What Bob's process will hold at once for one session, reckoned from a schedule before anything is encoded.

Encoded weights are one polynomial each over the primes where they are used; a key-switching key is two polynomials
over all primes, for every prime but the special one.  While keys are loaded Bob also has what Alice sent, which is
seeded and so half as large.  Everything else (the interpreter and its libraries, SEAL's pool) is counted as one figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sotto.he.network.circuit import DEPTH
from sotto.he.network.network import ModelRefused
from sotto.he.network.schedule import Schedule

#: Most bytes of memory that a model and one session's keys may take.
MEMORY_LIMIT = 2_000_000_000
_PROCESS = 350_000_000


@dataclass(frozen=True)
class Needs:
    """What a program needs of a schedule's chain.

    Attributes
    ----------
    levels
        of every constant, over how many primes it is encoded.
    switching_keys
        of relinearisation and of rotations.
    ciphertexts
        that are held at once where those are many.
    """

    levels: Sequence[int]
    switching_keys: int
    ciphertexts: int = 0

    def memory(self, schedule: Schedule) -> Memory:
        """Under a schedule."""
        return _memory(schedule.modulus.ring_degree, schedule.modulus.top, self)


@dataclass(frozen=True)
class Memory:
    """Bytes: of encoded ``constants``, of ``keys`` while they are loaded, of ``ciphertexts``."""

    constants: int
    keys: int
    ciphertexts: int

    @property
    def total(self) -> int:
        return self.constants + self.keys + self.ciphertexts + _PROCESS


def require_memory(schedule: Schedule, needs: Needs, limit: int) -> None:
    """Raise :class:`ModelRefused` for more than ``limit`` bytes: how much, of what, and which lower degree fits."""
    found = needs.memory(schedule)
    if found.total <= limit:
        return
    advice = "use fewer channels, narrower layers or a pooled head"
    for degree, less in _with_lower_degrees(schedule, needs):
        if less.total <= limit:
            advice = f"activations of degree {degree} would take about {_gigabytes(less.total)}; or {advice}"
            break
    ciphertexts = f", {_gigabytes(found.ciphertexts)} for ciphertexts" if found.ciphertexts else ""
    raise ModelRefused(
        "no-memory",
        f"it would take bob {_gigabytes(found.total)} of memory ({_gigabytes(found.constants)} for {len(needs.levels)} "
        f"encoded weights, {_gigabytes(found.keys)} for {needs.switching_keys} keys over {schedule.modulus.top} primes"
        f"{ciphertexts}), {_gigabytes(limit)} are allowed (memory_limit): {advice}",
    )


def _with_lower_degrees(schedule: Schedule, needs: Needs) -> list[tuple[int, Memory]]:
    """About what the same network takes with activations of degree 4 or 2 at most: fewer primes go, in proportion."""
    going = [sum(counts) for counts in schedule.rescales]
    degrees = {depth: degree for degree, depth in DEPTH.items()}
    own = [degrees[len(counts)] for counts in schedule.rescales]
    staying, top = schedule.answer_primes, schedule.modulus.top
    found = []
    for degree in (4, 2):
        if degree >= max(own, default=0):
            continue
        after = sum(DEPTH[min(each, degree)] for each in own)
        share = after / max(1, sum(going) + sum(schedule.before))

        def fewer(level: int, share: float = share) -> int:
            return staying + round((level - staying) * share) if level > staying else level

        less = Needs([fewer(level) for level in needs.levels], needs.switching_keys, needs.ciphertexts)
        found.append((degree, _memory(schedule.modulus.ring_degree, fewer(top), less)))
    return found


def _memory(ring_degree: int, top: int, needs: Needs) -> Memory:
    polynomial = 8 * ring_degree
    keys = 2 * needs.switching_keys * top * (top + 1) * polynomial
    return Memory(sum(needs.levels) * polynomial, keys + keys // 2, 2 * needs.ciphertexts * top * polynomial)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
