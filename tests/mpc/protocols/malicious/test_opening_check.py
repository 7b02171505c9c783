"""The check of openings: an honest log passes, any change of an opened word does not, whatever is told afterwards."""

import secrets
from collections import Counter
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from malicious_parties import MODULUS, planes_of, shared, uniform

from sotto.mpc.graph.layers import Convolution
from sotto.mpc.protocols.malicious.opening_check import OpeningLog, passes, proof_of
from sotto.mpc.protocols.malicious.preprocessing import SessionSecret
from sotto.mpc.protocols.semi_honest.preprocessing import Stream
from sotto.mpc.sharing.authenticated import Authenticated, Product

CONVOLUTION = Convolution(0, 2, 3, (2,), (1,), (1,), (1,), 1, False)
GIVEN = np.array(uniform(2, 2, 4) % (1 << 64), np.uint64)


class Query:
    """Both parties' sides of five openings, one of them a lazy product: 5 + 6 + 1 + 30 + 0 words.

    ``sent``: what each party sends, as whole numbers, to be changed; :meth:`verdict` then opens and checks.
    """

    def __init__(self):
        self.secret = SessionSecret.of(secrets.token_bytes(32))
        self.held = [[], []]
        for shape in ((5,), (2, 3), (1,)):
            self._add(shared(self.secret, uniform(*shape)))
        parts = shared(self.secret, uniform(3, 2, 2)), shared(self.secret, uniform(2, 3, 5))
        self._add([Product(CONVOLUTION, *pair[:1], GIVEN, pair[1]) for pair in zip(*parts, strict=True)])
        self._add(shared(self.secret, np.empty((0,), object)))
        self.sent = [[held.opening.copy() for held in side] for side in self.held]

    def _add(self, pair):
        for side, held in zip(self.held, pair, strict=True):
            side.append(held)

    def change(self, opening, place, by, party=1):
        """Let ``party`` add ``by`` modulo 2^128 to one value that it opens."""
        planes = self.sent[party][opening].reshape(2, -1)
        value = int(planes[0, place]) | int(planes[1, place]) << 64
        planes[:, place] = planes_of([(value + by) % MODULUS], 1)[:, 0]

    def sigmas(self, coins=None):
        """What each party gets from the openings, the cheater's own side still honest."""
        coins = coins or secrets.token_bytes(32)
        result = []
        for party in (0, 1):
            log = OpeningLog()
            for held, received in zip(self.held[party], self.sent[1 - party], strict=True):
                log.add(held, received)
            result.append(log.sigma(self.secret.keys[party], coins))
        return result

    def verdict(self):
        return passes(*self.sigmas())


def test_an_honest_query_passes():
    for _ in range(20):
        assert Query().verdict()


def test_an_opening_gives_the_value_modulo_2_to_the_64():
    query, log = Query(), OpeningLog()
    for own, other in zip(*query.held, strict=True):
        words = log.add(own, other.opening)
        assert words.shape == own.opening.shape[1:]
        assert (words == own.opening[0] + other.opening[0]).all()
    assert log.count == 5 + 6 + 1 + 30


def test_nothing_opened_passes_too():
    secret = SessionSecret.of(secrets.token_bytes(32))
    assert passes(*(OpeningLog().sigma(keys, bytes(32)) for keys in secret.keys))


@pytest.mark.parametrize("party", [0, 1])
def test_a_change_of_any_word_of_any_opening_fails(party):
    """By 1, by half the ring, by minus one, whichever party does it."""
    query = Query()
    for opening, held in enumerate(query.held[0]):
        for place in range(held.opening[0].size):
            for by in (1, 1 << 63, -1):
                query.change(opening, place, by, party)
                assert not query.verdict()
                query.change(opening, place, -by, party)
    assert query.verdict()


@pytest.mark.parametrize("power", range(64))
def test_a_change_by_any_power_of_two_fails(power):
    query = Query()
    for opening in (0, 3):
        query.change(opening, 2, 1 << power)
        assert not query.verdict()
        query.change(opening, 2, -1 << power)


@pytest.mark.parametrize("by", [1, 1 << 40, 1 << 63])
def test_two_changes_that_cancel_modulo_2_to_the_64_fail(by):
    query = Query()
    query.change(0, 1, by)
    query.change(1, 4, (1 << 64) - by)
    assert not query.verdict()
    query = Query()
    query.change(3, 7, by)
    query.change(3, 8, -by)
    assert not query.verdict()


def test_a_change_in_the_high_half_alone_fails_or_changes_no_word():
    """Nothing is computed with high halves; a change of them is noticed all the same, but for their top bits."""
    query = Query()
    for power in range(64, 100):
        query.change(0, 0, 1 << power)
        assert not query.verdict()
        query.change(0, 0, -1 << power)
    log = OpeningLog()
    words = log.add(query.held[0][0], query.held[1][0].opening)
    query.change(0, 0, 1 << 127)
    assert (OpeningLog().add(query.held[0][0], query.sent[1][0]) == words).all()


def test_a_share_whose_tag_is_another_fails():
    for power in (0, 1, 63, 64, 127):
        query = Query()
        held = query.held[1][1]
        planes = held.planes.reshape(4, -1).copy()
        tag = (int(planes[2, 3]) | int(planes[3, 3]) << 64) + (1 << power)
        planes[2:, 3] = planes_of([tag % MODULUS], 1)[:, 0]
        query.held[1][1] = Authenticated(planes.reshape(held.planes.shape))
        # chi is even every second time, and the top bit of an even multiple is lost: so it is no proof, but no word
        # is wrong either.  Below the top bits it fails always.
        assert power > 64 or not query.verdict()


def test_a_wrong_key_fails():
    query = Query()
    keys = query.secret.keys
    other = SessionSecret.of(secrets.token_bytes(32)).keys
    for pair in ((keys[0], other[1]), (other[0], keys[1])):
        logs = [OpeningLog(), OpeningLog()]
        for first, second in zip(*query.held, strict=True):
            logs[0].add(first, second.opening)
            logs[1].add(second, first.opening)
        assert not passes(*(log.sigma(key, bytes(32)) for log, key in zip(logs, pair, strict=True)))


def test_nothing_told_after_the_coins_repairs_a_change_of_the_top_bit():
    """With the coins known the cheater knows E = chi · 2^63; without alpha it still has to guess alpha_0 · E.

    Where high halves are only told as a sum under chi, every second chi lets it take E back.  So: what it lacks is
    alpha_0 · E mod 2^128, and over many keys that is never a value it can name beforehand.
    """
    lacking = Counter()
    for _ in range(200):
        query = Query()
        query.change(2, 0, 1 << 63)
        first, second = query.sigmas()
        assert not passes(first, second)
        lacking[(first + second) % MODULUS] += 1
    assert max(lacking.values()) == 1


def test_the_right_guess_passes():
    """What is missing is exactly alpha_0 · E: the bound below counts the right thing."""
    query, coins = Query(), secrets.token_bytes(32)
    honest = sum(query.sigmas(coins)) % MODULUS
    assert honest == 0
    query.change(0, 4, 1)
    first, second = query.sigmas(coins)
    chi = int(Stream(coins, "check").words(42)[4])
    assert passes(first, second + query.secret.keys[0].alpha * chi)


# -- soundness in closed form, in a ring small enough to count --------------------------------------------------------


def best_chance(bits, errors):
    """Chance to pass of the best cheater in Z_2^(2·bits), counted over all coins and keys: it knows the coins, and then
    names what alpha · E will be."""
    modulus, coins = 1 << 2 * bits, range(1 << bits)
    passed = 0
    for chi in coins:
        for other in coins if len(errors) > 1 else (0,):
            e = (chi * errors[0] + other * errors[-1] * (len(errors) > 1)) % modulus
            passed += max(Counter(alpha * e % modulus for alpha in coins).values())
    return Fraction(passed, len(coins) ** (3 if len(errors) > 1 else 2))


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_no_error_passes_more_often_than_the_bound(bits):
    """(s + 1) 2^-s for every error of an opened value that changes its low half, whatever happens to its high half."""
    bound = Fraction(bits + 1, 1 << bits)
    worst = max(best_chance(bits, [e]) for e in range(1 << 2 * bits) if e % (1 << bits))
    assert Fraction(1, 1 << bits) < worst <= bound
    half = 1 << bits - 1
    assert worst == best_chance(bits, [half])  # the top bit is the weakest place


def test_two_errors_are_no_better_than_one():
    bits = 3
    bound = Fraction(bits + 1, 1 << bits)
    for first in range(1, 1 << bits):
        for second in range(0, 1 << 2 * bits, 3):
            assert best_chance(bits, [first, second]) <= bound


def best_session(bits, checks):
    """Chance of the best cheater of a session of so many checks to have one wrong word accepted, counted as above.

    Before each check it knows which keys would have passed all so far.  An error of the high half alone changes no word
    and tells more of the key, where the session goes on; a check is under coins or, as the last opening's, without.
    """
    modulus, coins = 1 << 2 * bits, range(1 << bits)

    @cache
    def keys_won(left, checks):
        return max(
            max(sum(best_guess(left, checks, chi * e % modulus, e) for chi in coins) / Fraction(len(coins)),
                best_guess(left, checks, e, e))
            for e in range(modulus)
        )  # fmt: skip

    def best_guess(left, checks, error, e):
        passing = {}
        for alpha in left:
            passing.setdefault(alpha * error % modulus, []).append(alpha)
        if e % (1 << bits):
            return max(map(len, passing.values()))
        return max(keys_won(tuple(keys), checks - 1) for keys in passing.values()) if checks > 1 else 0

    return Fraction(keys_won(tuple(coins), checks), len(coins))


@pytest.mark.parametrize("bits", [2, 3])
def test_more_checks_of_a_session_are_no_more_chances(bits):
    once = best_session(bits, 1)
    assert once == max(best_chance(bits, [e]) for e in range(1 << 2 * bits) if e % (1 << bits))
    assert best_session(bits, 2) == best_session(bits, 5) == once <= Fraction(bits + 1, 1 << bits)


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_why_high_halves_are_opened_before_the_coins(bits):
    """Were the sum of high halves told after the coins, an error of the top bit would pass every second time."""
    half, whole = 1 << bits - 1, 1 << bits
    repaired = sum(chi * half % whole == 0 for chi in range(whole))
    assert Fraction(repaired, whole) == Fraction(1, 2)


# -- the last opening, which is checked word by word ------------------------------------------------------------------


def proofs(change=0, place=0):
    """Both parties' hashes of a last opening of three words, to one of which party 1 adds ``change``."""
    secret = SessionSecret.of(secrets.token_bytes(32))
    first, second = shared(secret, uniform(3))
    sent = second.opening.copy()
    value = int(sent[0, place]) | int(sent[1, place]) << 64
    sent[:, place] = planes_of([(value + change) % MODULUS], 1)[:, 0]
    words, own = proof_of(first, sent, secret.keys[0])
    assert (words == first.opening[0] + sent[0]).all()
    return own, proof_of(second, first.opening, secret.keys[1])[1]


def test_both_parties_have_one_proof_of_an_honest_last_opening():
    for _ in range(20):
        own, theirs = proofs()
        assert own == theirs
        assert len(own) == 32


@pytest.mark.parametrize("power", range(64))
def test_a_change_of_a_last_word_gives_the_honest_party_another_proof(power):
    """Also where the cheater goes on with the changed word: what it would have to hash holds the key it lacks."""
    for place in range(3):
        own, theirs = proofs(1 << power, place)
        assert own != theirs


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_what_a_cheater_has_to_guess_of_a_last_word_takes_every_value_once(bits):
    """alpha -> alpha · e mod 2^(2s) is one to one on the keys for every e that changes the low half."""
    modulus, keys = 1 << 2 * bits, range(1 << bits)
    for e in range(modulus):
        if e % (1 << bits):
            assert len({alpha * e % modulus for alpha in keys}) == len(keys)
