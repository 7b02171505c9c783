"""Why a figure of a row is null: one line for each paradigm and field it does not apply to.

The terminal table and the report print these lines under the table, so that a blank is never taken for a zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sotto.bench.row import Row

_REASONS: dict[tuple[str, str], str] = {
    ("he/tenseal", "per_query_ms_batched"): "a ckks_vector holds one query; batches are answered one by one",
    ("he/packed", "per_query_ms_batched"): "a ciphertext holds one query; mode batched holds thousands",
    ("he", "security.statistical_bits"): "the security is computational only; answers are not flooded",
    ("mpc/crypten", "offline_ms"): "the dealer is asked inside the query; the set-up once a session: session_ms",
    ("mpc/crypten", "key_bytes"): "correlated randomness is dealt inside the query: see bytes.dealer",
    ("mpc/two-party", "bytes.dealer"): "there is no dealer in this mode",
    ("mpc/two-party", "key_bytes"): "both make the correlated randomness: see offline_bytes_alice and …_bob",
    ("mpc/peer-crypten", "offline_ms"): "its default provider works inside the query; the set-up: session_ms",
    ("mpc/peer-crypten", "key_bytes"): "correlated randomness is dealt inside the query: see bytes",
    ("mpc/peer-crypten", "max_abs_error"): "only classes are opened",
    ("mpc/peer-spu", "offline_ms"): "everything happens inside the query; the set-up: session_ms",
    ("mpc/peer-spu", "key_bytes"): "correlated randomness is dealt inside the query: see bytes",
    ("mpc/peer-spu", "max_abs_error"): "only classes are opened",
    ("mpc/peer-spu", "rounds"): "SPU does not tell them",
    ("mpc", "security.statistical_bits"): "the masks are pseudo-random: see the computational bits",
    ("hashing/smh", "max_abs_error"): "the hashed and the plaintext classifier are two different models",
    ("hashing/smh", "security.computational_bits"): "no reduction to a hard problem is known",
    ("hashing/smh", "security.statistical_bits"): "hiding depends on the data: see the leakage metric",
    ("keyed", "security.computational_bits"): "a linear transform of the data: a key space is not a security level",
    ("keyed", "security.statistical_bits"): "deterministic: equal blocks stay equal",
    ("adversarial", "max_abs_error"): "the plaintext network is another one, trained without an adversary",
    ("adversarial", "key_bytes"): "there is no key: what is not sent is all the protection",
    (
        "adversarial",
        "security.computational_bits",
    ): "no computational assumption: privacy is what attackers did not find",
    ("adversarial", "security.statistical_bits"): "no bound: privacy was measured, not proven",
    ("", "bytes.dealer"): "there is no dealer in this paradigm",
}


def why(row: Row, name: str) -> str | None:
    """Why the field ``name`` (``bytes.dealer`` for a nested one) of ``row`` is null; None when no reason is known."""
    return _reason(row, name)[1]


def _reason(row: Row, name: str) -> tuple[str, str | None]:
    """For whom the reason holds (a mode, a paradigm, or everybody), and the reason."""
    for whom in (f"{row.paradigm}/{row.mode}", row.paradigm, ""):
        if reason := _REASONS.get((whom, name)):
            return whom, reason
    return f"{row.paradigm}/{row.mode}", None


def blanks(rows: Sequence[Row]) -> list[str]:
    """One line for each distinct null among ``rows``: where it stands and why."""
    lines: dict[str, None] = {}
    for row in rows:
        for name in null_fields(row):
            whom, reason = _reason(row, name)
            lines[f"{whom} {name}: {reason or 'not measured in this run'}".strip()] = None
    return list(lines)


def null_fields(row: Row) -> list[str]:
    """Names of the fields of ``row`` that are null, nested ones with a dot."""
    plain = msgspec.to_builtins(row)
    names = [name for name, value in plain.items() if value is None]
    for outer in ("bytes", "security"):
        names += [f"{outer}.{name}" for name, value in (plain[outer] or {}).items() if value is None]
    return names
