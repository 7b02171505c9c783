"""Convolutional networks on real ciphertexts: two processes, the estimate of the noise, and every malformed message."""

from __future__ import annotations

import multiprocessing
import threading

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from sotto.audio import extract, load_corpus
from sotto.audio.splits import default_split
from sotto.he import Alice, Bob, ModelRefused, TensorDescription
from sotto.he.evaluation.ciphertexts import CiphertextMachine, Encoded
from sotto.he.evaluation.evaluation_keys import SecretKeys, load_keys
from sotto.he.messages import MAX_TENSOR_CLASSES, VERSION, Published, Reply
from sotto.he.network.program import Value
from sotto.he.network.schedule import Modulus, Schedule, phases
from sotto.he.planning.calibration import MAX_LOGIT_ERROR, MAX_SHOWN_ERROR
from sotto.he.planning.flooding import FLOOD
from sotto.he.planning.slot_noise import SlotNoise
from sotto.he.session_secrets import make_secrets
from sotto.he.tensors.exporting import export
from sotto.he.tensors.tensor_program import run_tensors, tensor_layers
from sotto.he.tensors.tensor_scheduling import schedule_tensors
from sotto.link import BadValue, FrameError, connect, decode, encode, listen, pair
from sotto.models.learning.fitting import fit
from sotto.models.learning.recipes import RECIPES
from sotto.models.networks.mlp import MLP
from sotto.models.networks.polynomial import PolynomialReLU
from tests.error_codes import raises_code

SHAPE = (3, 20)
PATIENCE = 300.0  # s: where other programs have the processors, keys and a query take a minute


def build(degree: int = 2, classes: int = 5) -> nn.Sequential:
    """Two convolutions, one with a stride, batch norm, a mean over time."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv1d(3, 6, 5, stride=2, padding=2),
        nn.BatchNorm1d(6),
        PolynomialReLU(degree),
        nn.Conv1d(6, 4, 3, padding=1),
        PolynomialReLU(2),
        nn.AvgPool1d(5),
        nn.Flatten(),
        nn.Linear(8, classes),
    )
    for _ in range(10):
        module(torch.rand(64, *SHAPE) * 2 - 1)
    return module.eval()


def features(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)


def expected(module: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.double()(torch.from_numpy(x).double()).numpy()


class Carried:
    """A session whose messages the test carries."""

    def __init__(self, model: nn.Module | Bob, **options):
        self.bob = model if isinstance(model, Bob) else Bob(model, **options)
        self.secrets = make_secrets(self.bob.description, 1)
        self.material = self.secrets.public_material()
        self.evaluator = self.bob.open(self.material)

    def query(self, vector):
        return next(iter(self.secrets.encrypt(vector.reshape(1, -1).astype(np.float64))))

    def ask(self, x):
        return np.concatenate([self.secrets.decrypt(self.evaluator.take(self.query(v)), 1) for v in x])


@pytest.fixture(scope="module")
def carried():
    return Carried(build(), calibration=features(40))


def bob_process(pipe) -> None:
    bob = Bob(build(), calibration=features(40), timeout=PATIENCE)
    with listen() as listener:
        pipe.send(listener.address)
        link = listener.accept(timeout=PATIENCE)
    seen = []
    link.observer = lambda direction, name, payload: seen.append((direction, name, len(payload)))
    bob.serve(link)
    pipe.send(seen)


def test_two_processes_agree_with_the_module():
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=bob_process, args=(theirs,), daemon=True)
    process.start()
    try:
        assert ours.poll(PATIENCE)
        link = connect(*ours.recv(), timeout=PATIENCE)
        x = features(4, seed=1)
        alice = Alice(reveal="logits", timeout=PATIENCE)
        answer = alice.ask(x, link)
        flat = alice.ask(x.reshape(4, -1)[:1], link)
        with raises_code(BadValue, "wrong-shape"):
            alice.ask(x[:, :2], link)
        link.close()
        assert ours.poll(PATIENCE)
        seen = ours.recv()
    finally:
        process.kill()
        process.join(10)
    truth = expected(build(), x)
    assert np.abs(answer.scores - truth).max() <= MAX_SHOWN_ERROR
    np.testing.assert_array_equal(answer.labels, truth.argmax(axis=1))
    np.testing.assert_array_equal(flat.labels, answer.labels[:1])
    sizes = {size for direction, name, size in seen if (direction, name) == ("sent", "he.answer")}
    assert max(sizes) < 300_000
    assert [name for direction, name, _ in seen if direction == "received"].count("he.query") == 2


@pytest.mark.parametrize("degree", [2, 4, 6])
def test_logits_stay_within_the_estimate(degree):
    module = build(degree)
    x = features(6, seed=3)
    session = Carried(module, calibration=features(40))
    error = np.abs(session.ask(x) - expected(module, x)).max()
    assert error <= session.bob.plan.logit_error <= MAX_LOGIT_ERROR
    assert session.bob.plan.logit_bound >= np.abs(expected(module, x)).max()
    assert len(session.material) < 100e6


def test_weights_that_are_alike_stay_within_the_estimate():
    """Step after step with one key, whose error neighbouring weights of one sign add up."""
    module = build()
    with torch.no_grad():
        for layer in (module[0], module[3]):
            layer.weight.copy_(layer.weight.abs())
    x = features(4, seed=5)
    errors = []
    for _ in range(3):
        session = Carried(module, calibration=features(40))
        errors.append(np.abs(session.ask(x) - expected(module, x)).max())
    assert max(errors) <= session.bob.plan.logit_error <= MAX_LOGIT_ERROR


def test_hidden_values_around_zero_and_a_prime_before_an_activation_change_no_logit():
    module = build(4)
    x = features(4, seed=7)
    plan = schedule_tensors(export(module, SHAPE), features(40))
    assert any(stage.centre is not None for stage in plan.packing.stages)
    modulus = Modulus(8192, (40, 30, 30, 30, 24, 44))
    schedule = Schedule(modulus, ((1, 1), (1,)), 30, (24, 20, 20), False, (1, 0))
    clear = SlotNoise(schedule, by_unit=False)
    rows = np.stack([plan.packing.grid.lay_out(v.ravel().astype(float), plan.packing.slots) for v in x])
    layers = tensor_layers(plan.packing, schedule)
    values = run_tensors(clear, layers, plan.circuit.activations, clear.encrypted(rows)).payload.values
    logits = np.stack([values.real, values.imag], axis=-1).reshape(len(x), -1)[:, :5]
    np.testing.assert_allclose(logits, expected(module, x), atol=1e-9)


@pytest.mark.slow
def test_a_network_trained_by_its_recipe_stays_within_the_estimate():
    corpus = load_corpus("synthetic")
    split = default_split(corpus, 0)
    recipe = RECIPES["frames-poly2-quick"]
    module, record = fit(corpus, split, recipe)
    values = record.normalisation.transform(extract(corpus, recipe.features))
    bob = Bob(module, calibration=values[list(split.train)])
    x = values[list(split.test)][:3]
    truth = expected(module, x)
    module.float()
    for _ in range(3):
        session = Carried(bob)
        assert np.abs(session.ask(x) - truth).max() <= bob.plan.logit_error <= MAX_LOGIT_ERROR


class Residual(nn.Module):
    """A sum across an activation, in which a value waits at its level and scale."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.activation, self.head = PolynomialReLU(2), nn.Linear(2, 3)

    def forward(self, x):
        y = self.activation(self.first(x))
        y = self.activation(self.second(y)) + y
        return self.head(y.mean((2, 3)))


def test_residual_sums_over_images():
    torch.manual_seed(4)
    module = Residual()
    x = np.random.default_rng(0).uniform(-1, 1, (12, 1, 6, 7)).astype(np.float32)
    session = Carried(module, calibration=x)
    np.testing.assert_allclose(session.ask(x[:4]), expected(module, x[:4]), atol=MAX_LOGIT_ERROR)


@pytest.mark.parametrize("module", [build(classes=35), MLP(60, (20,), 35, "poly2").eval()])
def test_thirty_five_classes(module):
    x = features(20)
    x = x.reshape(20, 60) if isinstance(module, MLP) else x
    session = Carried(module, calibration=x)
    np.testing.assert_allclose(session.ask(x[:2]), expected(module, x[:2]), atol=MAX_LOGIT_ERROR)


def test_a_bound_can_be_proved_without_calibration_and_flooded_answers_are_noisy_as_said():
    module = nn.Sequential(nn.Conv1d(1, 2, 3), PolynomialReLU(2), nn.Flatten(), nn.Linear(12, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.3)
    session = Carried(module, input_shape=(1, 8), flooding_bits=5)
    assert session.bob.plan.proved
    x = np.random.default_rng(0).uniform(-1, 1, (1, 1, 8)).astype(np.float32)
    query = session.query(x[0])
    answers = np.stack([session.secrets.decrypt(session.evaluator.take(query), 1)[0] for _ in range(8)])
    assert np.abs(answers - expected(module, x)).max() < MAX_LOGIT_ERROR
    # An answer is the mean over the copies of a period, whose floods differ.
    copies = session.bob.plan.packing.slots / session.bob.plan.packing.period
    assert 0.3 < answers.std(axis=0).mean() * np.sqrt(copies) / FLOOD < 2


def test_the_monomial_is_exact_on_ciphertexts():
    """At a scale where one part in a thousand would show."""
    modulus = Modulus(8192, (60, 60))
    schedule = Schedule(modulus, (), 40, (0,), False)
    keys = SecretKeys(modulus)
    made, _ = load_keys(modulus, keys.public_material((), public_key=False), (), public_key=False)
    machine = CiphertextMachine(schedule, Encoded(schedule, lambda machine: None), made)
    import tenseal.sealapi as seal

    from sotto.he.sealing import load_ciphertext

    encoder, plaintext = seal.CKKSEncoder(machine.context), seal.Plaintext()
    values = np.random.default_rng(0).normal(size=4096)
    encoder.encode(values.tolist(), 2.0**40, plaintext)
    sent = load_ciphertext(machine.context, keys.encrypt(plaintext), level=1, scale=2.0**40)
    turned = machine.turn_phase(Value([sent], 2.0**40, 1))
    found = np.array(encoder.decode_complex(keys.decrypt(turned.payload[0])))
    np.testing.assert_allclose(found, values * phases(4096), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), {"input_shape": (4,)}, "not-polynomial"),
        (build, {}, "shape-needed"),
        (build, {"input_shape": SHAPE, "mode": "batched"}, "vectors-only"),
        (lambda: build(classes=MAX_TENSOR_CLASSES + 1), {"input_shape": SHAPE}, "too-large"),
        (lambda: nn.Sequential(build(), *[PolynomialReLU(2)] * 9), {"calibration": features(4)}, "too-deep"),
        (
            lambda: nn.Sequential(
                nn.Conv1d(1, 40, 3, padding=1), PolynomialReLU(2), nn.Flatten(), nn.Linear(40 * 300, 2)
            ),
            {"input_shape": (1, 300)},
            "no-parameters",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused_with_the_reason(make, options, match):
    with raises_code(ModelRefused, match):
        Bob(make(), **options)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": ()}, "bad-shape"),
        ({"shape": (3,) * 6, "strides": (1,) * 6}, "bad-shape"),
        ({"shape": (3, 0)}, "bad-shape"),
        ({"shape": (3, 1 << 40)}, "bad-shape"),
        ({"shape": (1 << 15, 1 << 15)}, "bad-model"),
        ({"strides": (1,)}, "bad-shape"),
        ({"split": 2}, "bad-shape"),
        ({"split": -2}, "bad-shape"),
        ({"strides": (1 << 20, 1)}, "bad-layout"),
        ({"strides": (-1, 1)}, "bad-layout"),
        ({"overlap": 1 << 20}, "bad-layout"),
        ({"overlap": -1}, "bad-layout"),
        ({"repeat": 48}, "bad-layout"),
        ({"repeat": 1}, "bad-layout"),
        ({"period": 4}, "bad-layout"),
        ({"period": 1 << 20}, "bad-layout"),
        ({"classes": 65}, "bad-model"),
        ({"classes": 0}, "bad-model"),
        ({"steps": (1 << 20,)}, "bad-rotations"),
        ({"steps": tuple(range(65))}, "bad-rotations"),
        ({"chain": (60, 60, 60, 60)}, "insecure"),
        ({"ring_degree": 4096}, "bad-ring-degree"),
        ({"input_bits": 3}, "bad-scale"),
        ({"answer_scale": 8.0}, "bad-answers"),
        ({"logit_bound": float("nan")}, "no-bound"),
    ],
)
def test_descriptions_that_alice_must_not_follow_are_refused(carried, change, reason):
    told = msgspec.structs.replace(carried.bob.description, ring_degree=8192, chain=(60, 60, 60), answer_primes=1)
    told = msgspec.structs.replace(told, steps=(1,), repeat=4096, strides=(32, 1))
    told.modulus()
    with raises_code(FrameError, reason):
        make_secrets(msgspec.structs.replace(told, **change), 1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_description_is_laid_out_or_refused(carried, data):
    """Whatever a malicious Bob describes, Alice refuses it or fills slots of one ciphertext."""
    number = st.one_of(st.integers(-2, 70), st.sampled_from([1 << k for k in range(14)]))
    change = {
        "shape": data.draw(st.lists(number, max_size=6).map(tuple)),
        "strides": data.draw(st.lists(number, max_size=6).map(tuple)),
        "split": data.draw(st.integers(-3, 6)),
        "overlap": data.draw(number),
        "repeat": data.draw(number),
        "period": data.draw(number),
    }
    told = decode(encode(msgspec.structs.replace(carried.bob.description, **change)), TensorDescription)
    try:
        modulus = told.modulus()
    except FrameError:
        return
    values = told.layout.lay_out(np.ones(told.inputs), modulus.slots)
    assert values.shape == (modulus.slots,)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_ciphertext_is_refused_or_answered_but_never_crashes(carried, position, bit, cut):
    query = bytearray(carried.query(features(1)[0]))
    place = int(position * (len(query) - 1))
    if cut:
        del query[place:]
    else:
        query[place] ^= 1 << bit
    try:
        answers = carried.evaluator.take(bytes(query))
    except FrameError:
        return
    assert len(answers) == 1
    assert len(answers[0]) <= carried.secrets.reply_bytes


def test_ciphertexts_of_another_session_or_level_are_not_taken(carried):
    other = Carried(build(), calibration=features(40))
    assert other.material != carried.material
    with pytest.raises(FrameError):  # decrypts to noise: slots contradict one another
        carried.secrets.decrypt(carried.evaluator.take(other.query(features(1)[0])), 1)
    answer = carried.evaluator.take(carried.query(features(1)[0]))[0]
    with raises_code(FrameError, "wrong-ciphertext"):
        carried.evaluator.take(answer)


def test_oversized_queries_and_missing_keys_are_refused(carried):
    secrets = make_secrets(carried.bob.description, 1)
    fewer = secrets._keys.public_material(carried.bob.description.steps[:-1], public_key=False)
    with raises_code(FrameError, "incomplete-keys"):
        carried.bob.open(fewer)
    with raises_code(FrameError, "malformed"):
        carried.bob.open(encode({"version": 1}))
    limit = carried.bob._model.query_bytes
    assert len(carried.query(features(1)[0])) <= limit


def test_a_tampered_answer_is_told_to_alice_alone(carried):
    """A Bob who answers with other slots than the layout has is noticed, as an overflow would be."""
    alice_link, bob_link = pair()

    def cheat():
        bob_link.receive_any({"he.hello": 4096})
        bob_link.send("he.model", encode(Published(carried.bob.description)))
        bob = carried.bob
        from sotto.he.messages import Ready, receive_keys

        evaluator = bob.open(receive_keys(bob_link, bob._model.key_bytes, 60))
        bob_link.send("he.ready", encode(Ready(VERSION)))
        bob_link.receive("he.query", limit=1 << 24)
        machine, plan = evaluator._machine, bob.plan
        query = carried.query(features(1)[0])  # under another key: noise to Alice
        answer = plan.run(machine, [load(machine, query, plan)])
        from sotto.he.sealing import dumped

        bob_link.send("he.answer", encode(Reply(VERSION, dumped(answer.payload[0]))))

    def load(machine, query, plan):
        from sotto.he.sealing import load_ciphertext

        schedule = plan.schedule
        return load_ciphertext(machine.context, query, level=schedule.modulus.top, scale=2.0**schedule.input_bits)

    thread = threading.Thread(target=cheat, daemon=True)
    thread.start()
    answer = Alice(timeout=PATIENCE).ask(features(1), alice_link)
    thread.join(30)
    assert any("contradict" in each or "bound" in each for each in answer.warnings)


def test_the_memory_of_encoded_weights_is_known_and_bounded(carried):
    encoded = carried.bob._model.encoded
    modulus = carried.bob.plan.schedule.modulus
    counted = sum(plaintext.coeff_count() * 8 for plaintext in encoded.plaintexts.values())  # over all their primes
    assert encoded.bytes == counted
    assert encoded.bytes < 8 * modulus.ring_degree * modulus.top * 200
    with raises_code(ModelRefused, "no-memory", match=r"0\.3\d GB of memory .* 0\.35 GB are allowed"):
        Bob(build(), calibration=features(4), memory_limit=350_000_001)


def test_planning_without_room_says_what_would_fit():
    deep = nn.Sequential(*[layer for _ in range(6) for layer in (nn.Linear(4, 4), PolynomialReLU(6))], nn.Linear(4, 2))
    network = export(deep, (4,))
    with raises_code(ModelRefused, "no-parameters", match=r"largest_ring=16384"):
        schedule_tensors(network, np.zeros((2, 4)), largest_ring=8192)
