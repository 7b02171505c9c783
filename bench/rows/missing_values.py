"""Why a figure of a row is null: one line for each paradigm and field it does not apply to.

The terminal table and the report print these lines under the table, so that a blank is never taken for a zero.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

import msgspec

from sotto.bench.rows.row import Row
from sotto.serving import registry

#: Beside what each paradigm declares: of peers, and of all.
_REASONS: dict[tuple[str, str], str] = {
    ("mpc/peer-crypten", "offline_ms"): "its default provider works inside the query; the set-up: session_ms",
    ("mpc/peer-crypten", "key_bytes"): "correlated randomness is dealt inside the query: see bytes",
    ("mpc/peer-crypten", "max_abs_error"): "only classes are opened",
    ("mpc/peer-spu", "offline_ms"): "everything happens inside the query; the set-up: session_ms",
    ("mpc/peer-spu", "key_bytes"): "correlated randomness is dealt inside the query: see bytes",
    ("mpc/peer-spu", "max_abs_error"): "only classes are opened",
    ("mpc/peer-spu", "rounds"): "SPU does not tell them",
    **{
        ("he/peer-orion", name): "it runs as one process, which sends nothing"
        for name in ("bytes", "rounds", "key_bytes", "total")
    },
    ("plaintext", "max_abs_error"): "it is the plaintext model itself",
    ("plaintext", "key_bytes"): "nothing is encrypted: there are no keys",
    ("plaintext", "security.computational_bits"): "nothing is protected",
    ("plaintext", "security.statistical_bits"): "nothing is protected",
    ("", "bytes.dealer"): "there is no dealer in this paradigm",
    ("", "energy_joules"): "the kernel tells no energy here (no /sys/class/powercap, or not to this user)",
    ("", "cost"): "the processor time of all parties is not known",
}
_OF_ACCURACY = ("accuracy_private", "accuracy_interval", "accuracy_loss")


def why(row: Row, name: str) -> str | None:
    """Why the field ``name`` (``bytes.dealer`` for a nested one) of ``row`` is null; None when no reason is known."""
    return _reason(row, name)[1]


def _reason(row: Row, name: str) -> tuple[str, str | None]:
    """For whom the reason holds (a mode, a paradigm, or everybody), and the reason."""
    table = row.metrics.get("table_clips") or 0
    if name in _OF_ACCURACY and row.n_queries < table:
        return f"{row.paradigm}/{row.mode} {row.model}", (
            f"asked about {row.n_queries} of the {table:.0f} clips of this table, for time, bytes and agreement"
        )
    declared = registry.paradigm(row.paradigm).missing_values if row.paradigm in registry.names() else {}
    for mode, whom in ((row.mode, f"{row.paradigm}/{row.mode}"), ("", row.paradigm)):
        if reason := declared.get((mode, name)) or _REASONS.get((whom, name)):
            return whom, reason
    return ("", _REASONS[("", name)]) if ("", name) in _REASONS else (f"{row.paradigm}/{row.mode}", None)


def by_whom(rows: Sequence[Row], columns: Container[str]) -> list[str]:
    """One line for each mode or paradigm with nulls in ``columns``: which, and why."""
    found: dict[str, dict[str, None]] = {}
    for whom, name, reason in _nulls(rows):
        if name in columns:
            found.setdefault(whom, {})[f"{name} ({reason})"] = None
    return [f"{whom or 'everywhere'}: {', '.join(reasons)}" for whom, reasons in found.items()]


def missing_values(rows: Sequence[Row]) -> list[str]:
    """One line for each distinct null among ``rows``: where it stands and why."""
    return list(dict.fromkeys(f"{whom} {name}: {reason}".strip() for whom, name, reason in _nulls(rows)))


def _nulls(rows: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """For whom each null stands, its field, and the reason; what is said of the accuracy is not said again."""
    for row in rows:
        nulls = null_fields(row)
        for name in nulls:
            if name not in _OF_ACCURACY[1:] or _OF_ACCURACY[0] not in nulls:
                whom, reason = _reason(row, name)
                yield whom, name, reason or "not measured in this run"


def null_fields(row: Row) -> list[str]:
    """Names of the fields of ``row`` that are null, nested ones with a dot."""
    plain = msgspec.to_builtins(row)
    names = [name for name, value in plain.items() if value is None]
    for outer in ("bytes", "security"):
        names += [f"{outer}.{name}" for name, value in (plain[outer] or {}).items() if value is None]
    return names
