"""Modes packed and batched on real ciphertexts: two processes, keys without a secret, and every malformed message."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading

import msgspec
import numpy as np
import pytest
import tenseal.sealapi as seal
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sotto.he import Alice, Bob, PolynomialNetwork
from sotto.he.evaluation.evaluation_keys import PublicMaterial, SecretKeys, load_keys
from sotto.he.messages import VERSION, Hello, Published, Query, Ready, Reply, receive_keys
from sotto.he.network.schedule import Modulus, seal_context
from sotto.he.planning.calibration import MAX_LOGIT_ERROR, MAX_SHOWN_ERROR
from sotto.he.planning.flooding import FLOOD
from sotto.he.sealing import dumped, galois_elements, load_ciphertext, loaded, parms_ids
from sotto.he.session_secrets import make_secrets
from sotto.link import BadValue, FrameError, PeerError, connect, decode, encode, listen, pair
from sotto.models.networks.mlp import MLP
from tests.error_codes import raises_code

PATIENCE = 300.0  # s: where other programs have the processors, keys and a query take a minute
MODES = ("packed", "batched")
SMALL = Modulus(8192, (40, 40))


def build(seed: int = 0, widths: tuple[int, ...] = (6, 5, 4, 3), degree: int = 2) -> MLP:
    torch.manual_seed(seed)
    module = MLP(widths[0], widths[1:-1], widths[-1], f"poly{degree}")
    module.train()
    for _ in range(10):
        module(torch.rand(64, widths[0]) * 2 - 1)
    return module.eval()


class Carried:
    """A session whose messages the test carries; ``bob``, ``secrets``, ``evaluator``, ``material``."""

    def __init__(self, mode, module=None, **options):
        self.module = module or build()
        self.bob = Bob(self.module, mode=mode, **options)
        self.secrets = make_secrets(self.bob.description, 1)
        self.material = self.secrets.public_material()
        self.evaluator = self.bob.open(self.material)

    def ask(self, vectors):
        vectors = vectors.astype(np.float64)
        rows = self.secrets.rows if len(vectors) > 1 and self.bob._mode == "batched" else 1
        parts = []
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            replies = [reply for c in self.secrets.encrypt(part) for reply in self.evaluator.take(c)]
            assert len(replies) == self.secrets.replies(len(part))
            parts.append(self.secrets.decrypt(replies, len(part)))
        return np.concatenate(parts)


@pytest.fixture(scope="module", params=MODES)
def carried(request):
    return Carried(request.param)


@pytest.fixture(scope="module")
def packed():
    return Carried("packed")


def bob_process(pipe, mode) -> None:
    bob = Bob(build(), mode=mode, timeout=PATIENCE)
    with listen() as listener:
        pipe.send(listener.address)
        link = listener.accept(timeout=PATIENCE)
    seen = []
    link.observer = lambda direction, name, payload: seen.append((direction, name, bytes(payload)))
    bob.serve(link)
    pipe.send([(name, payload) for direction, name, payload in seen if direction == "received"])


def contents(payload):
    """The parts of a message, itself included, in which something serialised could lie."""
    yield payload
    for kind in (PublicMaterial, Query):
        with contextlib.suppress(FrameError):
            for value in msgspec.structs.astuple(decode(payload, kind)):
                yield from (
                    part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, bytes)
                )


def holds_secret_key(secret, context, received):
    """Whether any message holds bytes of the secret key, as residues or serialised, or loads as a secret key."""
    residues = np.array([secret.data()[i] for i in range(secret.data().coeff_count())], np.uint64).tobytes()
    for known in (residues, dumped(secret)):
        places = range(64, len(known) - 64, len(known) // 50)
        if any(known[place : place + 32] in payload for place in places for payload in received):
            return True
    for part in (part for payload in received for part in contents(payload)):
        with contextlib.suppress(FrameError):
            loaded(seal.SecretKey(), context, part, "keys")
            return True
    return False


def test_a_secret_key_in_a_message_would_be_found():
    context = seal_context(SMALL)
    secret = seal.KeyGenerator(context).secret_key()
    honest = SecretKeys(SMALL).public_material((1,), public_key=True)
    residues = np.array([secret.data()[i] for i in range(secret.data().coeff_count())], np.uint64).tobytes()
    assert not holds_secret_key(secret, context, [honest])
    for leaked in (residues, dumped(secret), encode(PublicMaterial(1, b"", dumped(secret), b"")), residues[1000:9000]):
        assert holds_secret_key(secret, context, [honest, leaked])
    another = dumped(seal.KeyGenerator(context).secret_key())
    assert holds_secret_key(secret, context, [encode(PublicMaterial(1, b"", another, b""))])


@pytest.mark.parametrize("mode", MODES)
def test_two_processes_agree_with_the_plaintext_network(mode, make_features):
    server = multiprocessing.get_context("forkserver")
    ours, theirs = server.Pipe()
    process = server.Process(target=bob_process, args=(theirs, mode), daemon=True)
    process.start()
    try:
        assert ours.poll(PATIENCE)
        link = connect(*ours.recv(), timeout=PATIENCE)
        alice = Alice(reveal="logits", timeout=PATIENCE)
        features = make_features(20, 6)
        answer = alice.ask(features, link)
        keys = link.traffic.snapshot()
        again = alice.ask(features[:1], link)
        asked = link.traffic.since(keys)
        link.close()
        expected = PolynomialNetwork.of(build()).logits(features)
        assert np.abs(answer.scores - expected).max() <= MAX_SHOWN_ERROR
        np.testing.assert_array_equal(again.labels, answer.labels[:1])
        assert asked.rounds == 1
        assert ours.poll(30)
        received = ours.recv()
        assert {name for name, _ in received} == {"he.hello", "he.keys", "he.key", "he.query"}
        secret = alice._secrets._keys._generator.secret_key()
        context = seal_context(alice.description.modulus())
        assert not holds_secret_key(secret, context, [payload for _, payload in received])
        process.join(PATIENCE)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join(10)


def test_answers_are_the_networks(carried, make_features):
    features = make_features(12, 6, 3)
    expected = PolynomialNetwork.of(carried.module).logits(features)
    found = carried.ask(features)
    assert np.abs(found - expected).max() < MAX_LOGIT_ERROR


@pytest.mark.parametrize(
    ("mode", "widths", "degree"),
    [
        ("packed", (88, 3), 2),
        ("packed", (9, 70, 5), 4),
        ("packed", (5, 9, 3), 6),
        ("packed", (300, 130, 16), 2),
        ("batched", (4, 3, 2), 4),
        ("batched", (3, 2), 2),
    ],
)
def test_other_widths_and_degrees(mode, widths, degree, make_features):
    module = build(2, widths, degree)
    features = make_features(3, widths[0], 1)
    session = Carried(mode, module, calibration=make_features(40, widths[0]))
    found = session.ask(features)
    error = np.abs(found - PolynomialNetwork.of(module).logits(features)).max()
    assert error <= session.bob.plan.logit_error <= MAX_LOGIT_ERROR


@pytest.mark.slow
@pytest.mark.parametrize("degree", [2, 4, 6])
def test_the_papers_network_stays_within_the_estimate(degree, make_features):
    module = build(4, (88, 100, 50, 2), degree)
    features = make_features(64, 88)
    session = Carried("packed", module, calibration=features)
    error = np.abs(session.ask(features[:10]) - PolynomialNetwork.of(module).logits(features[:10])).max()
    assert error <= session.bob.plan.logit_error < 60 * error


def test_a_full_batch_is_answered_and_the_next_begins(make_features):
    module = build(1, (3, 4, 2))
    session = Carried("batched", module)
    features = make_features(session.secrets.rows + 5, 3)
    error = np.abs(session.ask(features) - PolynomialNetwork.of(module).logits(features))
    assert error.max() < MAX_LOGIT_ERROR
    assert not session.evaluator.pending


# Keys: public ones, all of them, and nothing else.


def test_alices_material_has_no_place_for_a_secret_key(packed):
    material = decode(packed.material, PublicMaterial)
    fields = msgspec.structs.asdict(material)
    with raises_code(FrameError, "malformed"):
        decode(msgspec.msgpack.encode({**fields, "secret": b"x"}), PublicMaterial)
    context = seal_context(packed.bob.description.modulus())
    for data in (material.relinearisation, material.galois):
        with pytest.raises(FrameError):
            loaded(seal.SecretKey(), context, data, "keys")
    assert material.public == b""


def test_a_secret_key_is_not_loaded_as_an_evaluation_key(packed):
    modulus = packed.bob.description.modulus()
    context = seal_context(modulus)
    secret = dumped(seal.KeyGenerator(context).secret_key())
    with raises_code(FrameError, "malformed", match="malformed keys"):
        load_keys(modulus, encode(PublicMaterial(1, secret, secret, b"")), (1,), public_key=False)


def test_bob_cannot_read_the_query(packed, make_features):
    """Under any other key a query decrypts to noise as large as the modulus."""
    description = packed.bob.description
    query = next(packed.secrets.encrypt(make_features(1, 6).astype(np.float64)))
    modulus = description.modulus()
    context = seal_context(modulus)
    ciphertext = load_ciphertext(context, query, level=modulus.top, scale=2.0**description.input_bits)
    plaintext = SecretKeys(modulus).decrypt(ciphertext)
    values = np.abs(np.array(seal.CKKSEncoder(context).decode_complex(plaintext)))
    assert np.median(values) > 2.0**60


def test_sessions_have_different_keys(packed):
    other = make_secrets(packed.bob.description, 1)
    assert other.public_material() != packed.material
    assert repr(other._keys) == "<SecretKeys>"


def test_keys_for_another_chain_or_too_few_rotations_are_refused(packed):
    steps = packed.bob.description.steps
    modulus = packed.bob.description.modulus()
    stranger = SecretKeys(SMALL).public_material((1,), public_key=False)
    with raises_code(FrameError, "malformed", match="malformed keys"):
        packed.bob.open(stranger)
    few = SecretKeys(modulus).public_material(steps[1:], public_key=False)
    with raises_code(FrameError, "incomplete-keys"):
        packed.bob.open(few)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_keys(packed, data):
    for material in (data, encode(PublicMaterial(1, data, data, b""))):
        with pytest.raises(FrameError):
            packed.bob.open(material)


@pytest.mark.parametrize("cut", [0, 10, 100_000, -1])
def test_truncated_keys_are_refused(packed, cut):
    with pytest.raises(FrameError):
        packed.bob.open(packed.material[:cut])


def test_keys_stay_within_the_announced_limit(carried):
    limit = carried.bob._model.key_bytes
    assert limit / 4 < len(carried.material) <= limit


# Ciphertexts that no honest Alice sends.


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_ciphertext(carried, data):
    with pytest.raises(FrameError):
        carried.evaluator.take(data)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.one_of(st.integers(0, 200), st.integers(0, 10**7)), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_ciphertext_is_refused_or_answered_but_never_crashes(packed, make_features, position, bit, cut):
    data = bytearray(next(packed.secrets.encrypt(make_features(1, 6).astype(np.float64))))
    data[position % len(data)] ^= 1 << bit
    if cut:
        del data[position % len(data) :]
    try:
        (answer,) = packed.evaluator.take(bytes(data))
    except FrameError:
        return
    assert answer  # damage inside the residues is another valid ciphertext


def test_ciphertexts_of_another_level_scale_or_form_are_refused(packed):
    description = packed.bob.description
    modulus = description.modulus()
    context = seal_context(modulus)
    keys, encoder, evaluator = SecretKeys(modulus), seal.CKKSEncoder(context), seal.Evaluator(context)

    def sent(scale, change=None):
        plaintext = seal.Plaintext()
        encoder.encode([0.5] * 8, scale, plaintext)
        data = keys.encrypt(plaintext)
        if change is None:
            return data
        ciphertext = loaded(seal.Ciphertext(), context, data, "ciphertexts")
        change(ciphertext)
        return dumped(ciphertext)

    honest = 2.0**description.input_bits
    wrong = [
        sent(honest / 2),
        sent(honest, evaluator.mod_switch_to_next_inplace),
        sent(honest, evaluator.square_inplace),
    ]
    for data in wrong:
        with raises_code(FrameError, "wrong-ciphertext"):
            packed.evaluator.take(data)
    with pytest.raises(FrameError):
        packed.evaluator.take(sent(honest, evaluator.transform_from_ntt_inplace))


def test_a_query_that_ends_within_a_batch_is_refused():
    session = Carried("batched", build(1, (3, 4, 2)))
    left, right = pair(timeout=30)
    errors = []

    def serve():
        try:
            session.bob.serve(right)
        except FrameError as error:
            errors.append(error)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    alice = Alice(timeout=30)
    alice.prepare(left)
    ciphertexts = list(alice._secrets.encrypt(np.zeros((2, 3))))
    left.send("he.query", encode(Query(VERSION, True, tuple(ciphertexts[:2]))))
    with raises_code(PeerError, "peer-gave-up", match="in the middle of a batch"):
        left.receive("he.answer", limit=1000)
    thread.join(30)
    assert errors


# What Alice must not follow.


@pytest.fixture(scope="module")
def descriptions():
    return {mode: Bob(build(), mode=mode).description for mode in MODES}


@pytest.mark.parametrize(
    ("mode", "change", "reason"),
    [
        ("packed", {"chain": (60, 60, 60, 60)}, "insecure"),
        ("packed", {"ring_degree": 4096}, "bad-ring-degree"),
        ("packed", {"steps": (5000,)}, "bad-rotations"),
        ("packed", {"steps": tuple(range(100))}, "bad-rotations"),
        ("packed", {"block": 3}, "bad-layout"),
        ("packed", {"pairs": 1 << 20}, "bad-layout"),
        ("packed", {"pairs": 2}, "bad-layout"),
        ("packed", {"period": 1}, "bad-layout"),
        ("packed", {"input_bits": 500}, "bad-scale"),
        ("packed", {"answer_primes": 9}, "bad-answers"),
        ("packed", {"answer_scale": float("inf")}, "bad-answers"),
        ("packed", {"answer_scale": 0.0}, "bad-answers"),
        ("packed", {"answer_scale": 64.0}, "bad-answers"),
        ("packed", {"input_bits": 1}, "bad-scale"),
        ("packed", {"classes": 17, "period": 4096}, "bad-model"),
        ("packed", {"period": 2}, "bad-layout"),
        (
            "packed",
            {"ring_degree": 32768, "chain": (27,) * 32, "steps": tuple(range(64))},
            "keys-too-large",
        ),
        ("batched", {"classes": 17}, "bad-model"),
        ("batched", {"answer_scale": 64.0}, "bad-answers"),
        ("packed", {"inputs": 10**9}, "bad-model"),
        ("packed", {"logit_bound": float("nan")}, "no-bound"),
        ("batched", {"chain": (60, 60, 60, 60)}, "insecure"),
        ("batched", {"input_bits": 0}, "bad-scale"),
        ("batched", {"classes": 0}, "bad-model"),
    ],
)
def test_descriptions_that_alice_must_not_follow_are_refused(descriptions, mode, change, reason):
    description = descriptions[mode]
    assert description.modulus().top == 3
    with raises_code(FrameError, reason):
        make_secrets(msgspec.structs.replace(description, **change), 1)


def test_alice_sets_her_own_limit_on_keys(packed):
    left, right = pair(timeout=30)
    right.send("he.model", encode(Published(packed.bob.description)))
    with raises_code(FrameError, "keys-too-large", match="MB of keys, the limit is 1 MB"):
        Alice(timeout=30, key_limit=1_000_000).prepare(left)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_description(data):
    with pytest.raises(FrameError):
        decode(data, Published)


def test_a_mode_that_does_not_exist_is_malformed(packed):
    fields = msgspec.to_builtins(Published(packed.bob.description))
    assert decode(msgspec.msgpack.encode(fields), Published).model == packed.bob.description
    fields["model"]["mode"] = "paillier"
    with raises_code(FrameError, "malformed"):
        decode(msgspec.msgpack.encode(fields), Published)


def test_an_answer_above_the_declared_bound_is_a_warning_and_bob_is_not_told(packed, make_features):
    description = msgspec.structs.replace(packed.bob.description, logit_bound=1e-6)
    left, right = pair(timeout=30)
    told = []

    def serve():
        decode(right.receive("he.hello", limit=4096), Hello)
        right.send("he.model", encode(Published(description)))
        evaluator = packed.bob.open(receive_keys(right, 10**8, 30))
        right.send("he.ready", encode(Ready(VERSION)))
        query = decode(right.receive("he.query", limit=10**7), Query)
        right.send("he.answer", encode(Reply(VERSION, evaluator.take(query.ciphertexts[0])[0])))
        try:
            right.receive("he.query", limit=10**7)
        except Exception as error:
            told.append(error)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    (warning,) = Alice(timeout=30).ask(make_features(1, 6), left).warnings
    assert "exceeds the bound Bob declared" in warning
    left.close()
    thread.join(30)
    assert not isinstance(told[0], PeerError)


# Flooding.


def test_flooded_answers_are_as_precise_as_promised_and_noisy_as_said(make_features):
    module = build(1, (3, 4, 2))
    session = Carried("packed", module, calibration=make_features(20, 3), flooding_bits=6)
    assert session.bob.description.flooded
    assert decode(session.material, PublicMaterial).public
    features = make_features(1, 3)
    exact = PolynomialNetwork.of(module).logits(features)[0]
    (query,) = session.secrets.encrypt(features.astype(np.float64))
    answers = [session.evaluator.take(query)[0] for _ in range(3)]
    slots = np.stack([session.secrets._slots(answer) for answer in answers])
    period = session.bob.description.period
    errors = slots[:, ::period] - (exact[0] + 1j * exact[1])
    assert 0.8 * FLOOD < errors.real.std() < 1.25 * FLOOD
    assert 0.8 * FLOOD < errors.imag.std() < 1.25 * FLOOD
    empty = slots[:, 1::period]
    assert 0.8 * FLOOD < empty.real.std() < 1.25 * FLOOD
    assert np.abs(np.diff(slots, axis=0)).max() > FLOOD  # drawn afresh for every answer
    found = session.secrets.decrypt(answers, 3)
    assert np.abs(found - exact).max() < MAX_LOGIT_ERROR


@pytest.mark.parametrize(("mode", "bits"), [("tenseal", 10), ("packed", -1), ("packed", 100)])
def test_flooding_that_cannot_be_had_is_refused(mode, bits):
    with raises_code(BadValue, "bad-flooding"):
        Bob(build(), mode=mode, flooding_bits=bits)


def test_seals_names_of_rotations():
    assert galois_elements((0, 1, 2), 8192) == [16383, 3, 9]
    assert sorted(parms_ids(seal_context(Modulus(8192, (40, 50, 60, 60))))) == [1, 2, 3]
