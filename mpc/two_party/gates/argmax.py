"""The index of the largest value by comparing all pairs at once: few rounds for some more work.

A tournament of n candidates takes log2(n) comparisons one after the other, of seven rounds each.  Here all the
n (n - 1) / 2 differences are compared together, a candidate wins if it wins all its pairs (ANDs in log2(n - 1) rounds),
and the index is a sum (XOR) of constants under those bits.  Values are all different (``Ranked``), so exactly one wins.

More than :data:`MOST` candidates compete in groups first, whose largest value is the sum of all times their bits; then
the index is read from the low bits of the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from sotto.mpc.graph import linear_steps
from sotto.mpc.graph.program import Format, Program, Ranked, Step
from sotto.mpc.sharing.ring import Words

MOST = 16  # candidates of a group: 120 comparisons

Groups = tuple[tuple[int, int], ...]  # first candidate of each, and the one after its last


@dataclass(frozen=True)
class Pairs(Step):
    """Differences of the candidates of all pairs within a group."""

    groups: Groups


@dataclass(frozen=True)
class Signs(Step):
    """Whether each source is positive, shared by XOR.  ``width``: |word| < 2^(width - 1)."""

    width: int


@dataclass(frozen=True)
class Wins(Step):
    """Whether each candidate wins all its pairs, shared by XOR."""

    groups: Groups

    @property
    def rows(self) -> int:
        """Pairs of a candidate of the largest group."""
        return max(stop - start for start, stop in self.groups) - 1


@dataclass(frozen=True)
class Chosen(Step):
    """The second source where the first, a bit shared by XOR, is set; zero elsewhere."""


@dataclass(frozen=True)
class GroupSums(Step):
    """The sum of each group."""

    groups: Groups


@dataclass(frozen=True)
class Index(Step):
    """n - 1 - i for the one candidate i whose bit is set; shared by XOR."""


class _Rewriter:
    """The steps of a program up to its argmax, and others in place of the rest."""

    def __init__(self, program: Program, ranked: Ranked) -> None:
        self._program = program
        self._steps = [step for step in program.steps if step.out <= ranked.out]
        self._formats = list(program.formats[: ranked.out + 1])
        self._static = {register for register in program.static if register <= ranked.out}
        self._candidates, self._values = ranked.shape[0], ranked.out
        self._rounds = 0

    def run(self) -> Program:
        while self._candidates > 1:
            groups = _groups(self._candidates)
            wins = self._wins(groups)
            if not self._rounds and len(groups) == 1:
                self._add(Index("index", (wins,), self._next, (1,)), Format(0, 1, 1))
                break
            self._largest(wins, groups)
        return replace(
            self._program,
            steps=tuple(self._steps),
            formats=tuple(self._formats),
            output=self._next - 1,
            static=frozenset(self._static),
        )

    def _wins(self, groups: Groups) -> int:
        form = self._formats[self._values]
        pairs = (sum(len(_pairs(start, stop)) for start, stop in groups),)
        wider, bit = replace(form, bits=form.bits + 1), Format(0, 1, 1)
        name = f"argmax.{self._rounds + 1}"
        differences = self._add(Pairs("pairs", (self._values,), self._next, pairs, groups), wider)
        if self._values in self._static:
            self._static.add(differences)
        signs = self._add(Signs(name, (differences,), self._next, pairs, wider.bits + 1), bit)
        return self._add(Wins(f"{name}.all", (signs,), self._next, (self._candidates,), groups), bit)

    def _largest(self, wins: int, groups: Groups) -> None:
        self._rounds += 1
        form, shape = self._formats[self._values], (self._candidates,)
        chosen = Chosen(f"argmax.{self._rounds}.largest", (wins, self._values), self._next, shape)
        chosen_out = self._add(chosen, form)
        self._candidates = len(groups)
        self._values = self._add(GroupSums("largest", (chosen_out,), self._next, (len(groups),), groups), form)

    @property
    def _next(self) -> int:
        return len(self._formats)

    def _add(self, step: Step, after: Format) -> int:
        self._steps.append(step)
        self._formats.append(after)
        return step.out


def with_pairs(program: Program) -> Program:
    """``program`` with all pairs compared where it has the tournament of an argmax."""
    ranked = next((step for step in program.steps if isinstance(step, Ranked)), None)
    return program if ranked is None or ranked.shape[0] < 2 else _Rewriter(program, ranked).run()


def local(step: Step, sources: list[Words]) -> Words:
    """The share of a local step's output, of this file or of any program."""
    share = sources[0]
    if isinstance(step, Pairs):
        first, second = np.array([pair for group in step.groups for pair in _pairs(*group)]).T
        return share[:, first] - share[:, second]
    if isinstance(step, GroupSums):
        return np.stack([share[:, start:stop].sum(axis=1, dtype=np.uint64) for start, stop in step.groups], axis=1)
    if isinstance(step, Index):
        indices = np.arange(share.shape[1], dtype=np.uint64)[::-1]
        return np.bitwise_xor.reduce(share * indices, axis=1, keepdims=True)
    words: Words = linear_steps.apply(step, sources)
    return words


def rows_of(step: Wins, first: bool, signs: Words) -> Words:
    """For each candidate (rows, n · candidates) its pairs' bits, turned where it is the second; what is missing is set.

    ``signs`` (n, pairs); ``first``: whether this is the party that adds what is public.
    """
    candidates = step.shape[0]
    set_ = np.uint64(first)
    out = np.full((step.rows, len(signs), candidates), set_, np.uint64)
    pair = 0
    used = [0] * candidates
    for group in step.groups:
        for winner, loser in _pairs(*group):
            out[used[winner], :, winner] = signs[:, pair]
            out[used[loser], :, loser] = signs[:, pair] ^ set_
            used[winner] += 1
            used[loser] += 1
            pair += 1
    return out.reshape(step.rows, -1)


def _groups(candidates: int) -> Groups:
    parts = np.array_split(np.arange(candidates), -(-candidates // MOST))
    return tuple((int(part[0]), int(part[-1]) + 1) for part in parts)


def _pairs(start: int, stop: int) -> list[tuple[int, int]]:
    return list(combinations(range(start, stop), 2))
