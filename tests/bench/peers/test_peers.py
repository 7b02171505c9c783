"""Other systems in the comparison: bytes counted by the kernel, programs bounded, networks made around them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import stat
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import torch

from sotto.bench.experiment import Configuration
from sotto.bench.papers.bittner.table_networks import TableNetwork
from sotto.bench.peers import comparison, job, workloads
from sotto.bench.peers.programs import diagonals, framing
from sotto.bench.peers.programs.two_processes import bytes_sent
from sotto.bench.suite import cells
from sotto.he import PolynomialNetwork
from sotto.link import LOOPBACK, SHAPES, BadValue
from sotto.models.networks.emotion_cnn import Depinto
from sotto.models.networks.mlp import MLP, Affine
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT
from sotto.mpc.lowering.capture import trace
from tests.error_codes import raises_code

REQUEST = job.Request(
    network="", input_shape=[1, 40], classes=8, examples=2, singles=2, warm_up=1, batch=2, timeout=60.0
)  # fmt: skip
RESPONSE = job.Response([1], [1.0], [], 1.0, 2, 3, None, 4.0, {"system": "1"})


def program(text):
    return [sys.executable, "-c", f"import sys, json, pathlib, time\nfolder = pathlib.Path(sys.argv[1])\n{text}"]


def answer(command, tmp_path, shape=LOOPBACK, request=REQUEST):
    return job.run(command, request, {"queries": np.ones((2, 1, 40), np.float32)}, tmp_path, shape)


def test_bytes_are_those_the_kernel_sent():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        with theirs:
            before = bytes_sent()
            ours.sendall(bytes(12_345))
            assert len(theirs.recv(12_345, socket.MSG_WAITALL)) == 12_345
            theirs.sendall(b"thank you")
            assert ours.recv(9, socket.MSG_WAITALL) == b"thank you"
            assert bytes_sent() - before == 12_345 + 9


def test_a_program_reads_what_is_asked_and_leaves_nothing_behind(tmp_path):
    text = (
        "request = json.loads((folder / 'request.json').read_text()); assert request['singles'] == 2\n"
        "assert folder.stat().st_mode & 0o077 == 0 and (folder / 'arrays.npz').exists()\n"
        f"(folder / 'response.json').write_text({msgspec.json.encode(RESPONSE).decode()!r})"
    )
    assert answer(program(text), tmp_path) == RESPONSE
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sys.exit('out of tuples')", "program-failed"),
        ("sys.exit(3)", "program-failed"),
        ("", "no-usable-answer"),
        ("(folder / 'response.json').write_text('{}')", "no-usable-answer"),
        ("(folder / 'response.json').write_text('[' * 100000)", "no-usable-answer"),
        ("time.sleep(60)", "no-answer"),
    ],
)
def test_a_program_that_fails_is_one_line(tmp_path, text, reason):
    request = msgspec.structs.replace(REQUEST, timeout=2.0) if "sleep" in text else REQUEST
    with raises_code(job.PeerError, reason) as raised:
        answer(program(text), tmp_path, request=request)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "last", ["Process SpawnProcess-1:", "Traceback (most recent call last):", '  File "a.py", line 1']
)
def test_what_python_writes_around_an_exception_is_no_reason(tmp_path, last):
    with raises_code(job.PeerError, "program-failed", match="^out of tuples$"):
        answer(program(f"sys.exit({f'out of tuples{chr(10)}{last}'!r})"), tmp_path)


def test_an_interpreter_that_is_not_there_is_one_line(tmp_path):
    with raises_code(job.PeerError, "cannot-start"):
        answer(["/no/such/python"], tmp_path)


def test_a_slow_network_is_made_around_the_whole_program(tmp_path, monkeypatch):
    """With stand-ins for the system's tools: what they are told, and that the program runs behind them."""
    tools, noted = tmp_path / "tools", tmp_path / "noted"
    tools.mkdir()
    (tools / "unshare").write_text('#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n')
    for name in ("ip", "tc"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {noted}\n')
    for tool in tools.iterdir():
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    work = tmp_path / "a folder"
    work.mkdir()
    text = f"(folder / 'response.json').write_text({msgspec.json.encode(RESPONSE).decode()!r})"
    assert job.shapable(SHAPES["wan"]) is None
    noted.unlink()
    assert answer(program(text), work, SHAPES["wan"]) == RESPONSE
    assert noted.read_text().splitlines() == [
        "ip link set lo up",
        "tc qdisc add dev lo root netem limit 20000 delay 20000us rate 100mbit",
    ]
    (tools / "tc").write_text("#!/bin/sh\necho 'no netem in this kernel' >&2; exit 2\n")
    assert "no netem in this kernel" in job.shapable(SHAPES["wan"])
    assert job.shapable(LOOPBACK) is None


def network(queries=6):
    """A network, its plan and weights as a peer gets them, and examples whose class is not in doubt."""
    torch.manual_seed(3)
    module = TableNetwork("depinto").build().eval()
    plan, weights = trace(module, (1, 40), input_limit=DEFAULT_INPUT_LIMIT)
    drawn = torch.randn(400, 1, 40)
    with torch.no_grad():
        top = module(drawn).topk(2, dim=1)
    sure = (top.values[:, 0] - top.values[:, 1]) > 0.1
    chosen = drawn[sure][:queries].numpy()
    assert len(chosen) == queries
    arrays = {f"{n}.{name}": np.asarray(value) for n, own in weights.items() for name, value in own.items()}
    request = msgspec.structs.replace(
        REQUEST, network=msgspec.json.encode(plan).decode(), examples=queries, timeout=180.0
    )
    return request, {"queries": chosen, **arrays}, top.indices[sure][:queries, 0].tolist()


def agrees(peer, tmp_path):
    request, arrays, right = network()
    response = job.run(peer.command(), request, arrays, tmp_path, LOOPBACK)
    assert len(response.labels) == len(right)
    # Local truncation of shares goes wrong about once in ten thousand queries, by design of these systems.
    assert sum(found == wanted for found, wanted in zip(response.labels, right, strict=True)) >= 4
    assert len(response.milliseconds) == 2
    assert len(response.batch_milliseconds) == 2
    assert min(response.bytes_alice, response.bytes_bob) > 8 * 40
    return response


def test_stock_crypten_answers_over_gloo_in_two_processes(tmp_path):
    peer = comparison.PEERS[0]
    if reason := peer.missing():
        pytest.skip(reason)
    response = agrees(peer, tmp_path)
    assert response.rounds > 10
    assert response.versions == {"crypten": "0.4.1"}


@pytest.mark.slow
def test_spu_answers_from_its_own_environment(tmp_path):
    peer = comparison.PEERS[1]
    if reason := peer.missing():
        pytest.skip(reason)
    assert agrees(peer, tmp_path).versions["spu"]


def test_a_peer_that_is_not_there_says_what_to_do(monkeypatch):
    monkeypatch.delenv(comparison.SPU_PYTHON, raising=False)
    monkeypatch.delenv(comparison.OPENFHE_PYTHON, raising=False)
    monkeypatch.delenv(comparison.HELAYERS_PYTHON, raising=False)
    monkeypatch.delenv(comparison.ORION_PYTHON, raising=False)
    assert "pip install spu" in comparison.PEERS[1].missing()
    assert "pip install openfhe" in comparison.PEERS[2].missing()
    assert "no commercial use" in comparison.PEERS[3].missing()
    assert "pip install orion-fhe" in comparison.PEERS[4].missing()
    monkeypatch.setenv(comparison.SPU_PYTHON, sys.executable)
    assert comparison.PEERS[1].missing() is None
    assert comparison.PEERS[2].missing()


def cryptonet(widths=(11, 13, 6, 3), polynomials=((0.3, 0.5, 0.2), (-0.1, 0.4, -0.3)), examples=7):
    """A polynomial network, the same as matrices and biases, and examples in [-1, 1]."""
    drawn = np.random.default_rng(5)
    layers = [
        Affine(drawn.normal(size=(after, before)) / np.sqrt(before), drawn.normal(size=after))
        for before, after in itertools.pairwise(widths)
    ]
    return PolynomialNetwork(tuple(layers), polynomials), drawn.uniform(-1, 1, (examples, widths[0]))


class Slots:
    """Slots in the clear, with the keys that a plan asks for and no other; counts what would need a level."""

    def __init__(self, stride, turns):
        self.stride, self.turns, self.levels = stride, turns, 0

    def turned(self, x, steps):
        return [self.turn(x, step) if step else x for step in steps]

    def turn(self, x, step):
        assert step in self.turns
        return np.roll(x, -step * self.stride)

    def weigh(self, values, weights):
        assert len(values) == len(weights)
        return sum(value * weight for value, weight in zip(values, weights, strict=True))

    def add(self, x, y):
        return x + y

    def shift(self, x, bias):
        return x + bias

    def rescale(self, x):
        self.levels += 1
        return x

    def square(self, x):
        return x * x


@pytest.mark.parametrize("widths", [(11, 13, 6, 3), (88, 100, 50, 2), (88, 100, 50, 8), (3, 40, 2, 9), (5, 1, 1, 2)])
@pytest.mark.parametrize("stride", [1, 8])
def test_a_network_by_diagonals_gives_its_logits_in_the_clear(widths, stride):
    plain, queries = cryptonet(widths, examples=min(stride, 7))
    products = diagonals.products(widths)
    width = diagonals.width(products)
    matrices, biases = diagonals.complete_squares(
        [layer.weight for layer in plain.layers], [layer.bias for layer in plain.layers], plain.polynomials
    )
    layers = [
        diagonals.Layer(
            product,
            np.repeat(product.weights(matrix, width), stride, axis=1),
            diagonals.spread(np.tile(bias, (stride, 1)), product.rows, width, stride),
        )
        for product, matrix, bias in zip(products, matrices, biases, strict=True)
    ]
    slots = Slots(stride, set().union(*(product.turns for product in products)))
    x = diagonals.spread(queries, products[0].columns, width, stride)
    logits = diagonals.evaluate(layers, x, slots).reshape(width, stride)[: widths[-1], : len(queries)].T
    np.testing.assert_allclose(logits, plain.logits(queries), atol=1e-9)
    assert slots.levels == diagonals.depth(products) == 5


def test_a_wide_product_turns_the_input_little_and_folds_the_sum():
    product = diagonals.Product(outputs=50, inputs=100)
    assert (len(product.babies), list(product.giants), product.folds) == (8, list(range(0, 64, 8)), [64])
    assert product.turns == {*range(1, 8), *range(8, 64, 8), 64}


def test_only_squares_are_written_for_this_peer():
    with pytest.raises(ValueError, match="degree 2"):
        diagonals.complete_squares([np.ones((1, 1))] * 2, [np.ones(1)] * 2, [(0.0, 1.0, 0.0, 0.0, 1.0)])


@contextlib.contextmanager
def connected(patience=5.0):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        with theirs:
            yield framing.Connection(ours, patience), framing.Connection(theirs, patience), theirs


def test_a_message_arrives_whole():
    with connected() as (alice, bob, raw):
        payload = os.urandom(100_000)
        alice.send(payload)
        alice.send(b"")
        assert (bob.receive(100_000), bob.receive(0)) == (payload, b"")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_message_is_bounded_in_size_and_time():
    with connected(patience=0.2) as (alice, bob, _):
        bob.send(bytes(11))
        with pytest.raises(framing.FramingError, match="at most 10"):
            alice.receive(10)
    with connected(patience=0.2) as (alice, _, raw):
        with pytest.raises(framing.FramingError, match="late"):
            alice.receive(10)
        raw.sendall((5).to_bytes(8, "big") + b"abc")
        with pytest.raises(framing.FramingError, match="late"):
            alice.receive(10)
    with connected() as (alice, _, raw):
        raw.sendall((1 << 40).to_bytes(8, "big") + b"abc")
        raw.close()
        with pytest.raises(framing.FramingError, match="closed"):
            alice.receive(1 << 41)


TWO_PARTIES = """
sys.path.insert(0, {place!r})
from two_processes import respond, take_queries, read_request

def party(rank, folder, word):
    {at_bob}
    report = take_queries(
        read_request(folder), lambda start, stop: (1.5, list(range(start, stop))), sent=lambda: 7,
        setup_ms=1.0, rounds=1, versions={{word: "1"}},
    )
    return report | {{"bytes": report["bytes"] + rank}}

if __name__ == "__main__":
    respond(pathlib.Path(sys.argv[1]), "Testing", party, (("for alice",), ("for bob",)))
"""


def two_parties(tmp_path, at_bob, **changes):
    script = tmp_path / "program.py"
    text = TWO_PARTIES.format(place=str(Path(job.__file__).parent / "programs"), at_bob=at_bob)
    script.write_text(f"import os, pathlib, sys, time\n{text}")
    request = msgspec.structs.replace(REQUEST, **{"examples": 5, **changes})
    return answer([sys.executable, str(script)], tmp_path, request=request)


def test_two_parties_take_every_query_once(tmp_path):
    response = two_parties(tmp_path, "pass")
    assert response.labels == [0, 1, 2, 3, 4]
    assert (response.milliseconds, response.batch_milliseconds) == ([1.5, 1.5], [0.75])
    assert (response.bytes_alice, response.bytes_bob, response.versions) == (0, 1, {"for alice": "1"})
    assert response.peak_rss_mb > 1


@pytest.mark.parametrize(
    ("at_bob", "reason"),
    [
        ("assert rank == 0, 'Bob\\n is out of memory'", "program-failed"),
        ("rank and os._exit(1)", "program-failed"),
        ("time.sleep(60 * rank)", "no-answer"),
    ],
)
def test_the_party_that_failed_says_why(tmp_path, at_bob, reason):
    with raises_code(job.PeerError, reason):
        two_parties(tmp_path, at_bob, timeout=3.0 if "sleep" in at_bob else 60.0)


def test_peers_are_asked_about_the_networks_they_evaluate(monkeypatch):
    asked, said = [], []
    bench = SimpleNamespace(say=said.append)
    monkeypatch.setattr(comparison, "PEERS", [replace(peer, missing=lambda: None) for peer in comparison.PEERS])
    monkeypatch.setattr(comparison, "measure", lambda peer, cell, bench, net: asked.append((cell, net)))
    assert len(list(comparison.compare_peers(bench, ["mpc", "he"], ["loopback"]))) == len(asked) == 9
    assert [(cell.paradigm, cell.mode, cell.model) for cell, _ in asked] == [
        ("mpc", "peer-crypten", "frames"),
        ("mpc", "peer-crypten", "depinto"),
        ("mpc", "peer-spu", "frames"),
        ("mpc", "peer-spu", "depinto"),
        ("he", "peer-openfhe", "mlp-poly2"),
        ("he", "peer-helayers", "depinto-poly2"),
        ("he", "peer-helayers", "frames-poly2"),
        ("he", "peer-orion", "depinto-poly2"),
        ("he", "peer-orion", "frames-poly2"),
    ]
    assert asked[-1][0].parameters == {"peer": "Orion CKKS"}
    assert len(list(comparison.compare_peers(bench, ["he"], ["loopback"]))) == 5
    assert said == []
    assert list(comparison.compare_peers(bench, ["keyed"], ["loopback"])) == []
    assert said == ["there are no peers of keyed: mpc and he have some"]


def test_a_peer_of_one_process_is_left_out_where_a_link_is_shaped(monkeypatch):
    said = []
    alone = replace(comparison.PEERS[4], missing=lambda: None)
    monkeypatch.setattr(comparison, "PEERS", [alone])
    assert list(comparison.compare_peers(SimpleNamespace(say=said.append), ["he"], ["wan"])) == []
    assert said == ["Orion CKKS on wan is left out: it runs as one process, with no link to shape"]


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_no_peer_stands_without_a_row_of_ours(monkeypatch, preset):
    monkeypatch.setattr(comparison, "PEERS", [replace(peer, missing=lambda: None) for peer in comparison.PEERS])
    own = cells(["mpc", "he"], preset)
    added = comparison.own_cells(["mpc", "he"], preset)
    assert not {(cell.paradigm, cell.model) for cell in added} & {(cell.paradigm, cell.model) for cell in own}
    ours = {(cell.paradigm, cell.model) for cell in (*own, *added)}
    assert ours >= {(p.workload.paradigm, model) for p in comparison.PEERS for model in p.workload.models}
    assert len(added) == {"quick": 2, "full": 0}[preset]
    assert comparison.expected(["mpc", "he"], preset, 2) == 2 * (9 + len(added))
    monkeypatch.setattr(comparison, "PEERS", [replace(peer, missing=lambda: "gone") for peer in comparison.PEERS])
    assert comparison.own_cells(["mpc", "he"], preset) == []
    assert comparison.expected(["mpc", "he"], preset, 2) == 0


@pytest.mark.parametrize("one_process", [False, True])
@pytest.mark.parametrize(("model", "asked"), [("depinto-poly2", 6), ("frames-poly2", 4)])
def test_a_model_that_takes_seconds_is_asked_few_clips_and_has_no_accuracy(
    monkeypatch, tmp_path, model, asked, one_process
):
    queries, logits = np.zeros((6, 40), np.float32), np.eye(6, 8, dtype=np.float32)
    emotion = SimpleNamespace(
        module=Depinto(activation="poly2").eval(),
        queries=queries,
        plain=lambda q: (np.arange(len(q)), logits[: len(q)]),
    )
    bench = SimpleNamespace(
        seed=0, preset="quick", clips=6, classes=tuple("abcdefgh"), targets=np.zeros(6, np.int64), folder=tmp_path,
        split=SimpleNamespace(test=range(6), name="split"), corpus=SimpleNamespace(name="corpus"),
        part=lambda values, part: values, say=lambda line: None,
    )  # fmt: skip
    monkeypatch.setattr(comparison, "named", lambda model, bench: model)
    monkeypatch.setattr(comparison, "emotion_model", lambda recipe, bench: emotion)

    def run(command, request, arrays, folder, shape):
        assert len(arrays["queries"]) == request.examples == asked
        labels = list(range(asked))
        sent = {"bytes_alice": 0, "bytes_bob": 0, "cpu_seconds": {"both": 0.5}} if one_process else {}
        return msgspec.structs.replace(
            RESPONSE, labels=labels, milliseconds=[1.0], scores=logits[:asked].tolist(), **sent
        )

    monkeypatch.setattr(comparison, "run", run)
    peer = comparison.PEERS[4 if one_process else 3]
    row = comparison.measure(peer, Configuration("he", peer.mode, model, {}), bench, "loopback")
    assert (row.agreement, row.max_abs_error, row.n_queries, row.metrics["table_clips"]) == (1, 0, asked, 6)
    assert (row.accuracy_private is None) == (row.accuracy_loss is None) == (asked < 6)
    assert (row.bytes is None) == (row.total is None) == one_process
    assert row.metrics.get("processor_ms") == (500 if one_process else None)


def test_a_polynomial_network_is_described_by_its_shape_and_folded_layers():
    module = MLP(hidden=(10, 5), classes=3, activation="poly2").eval()
    description = workloads.describe_polynomials(module, (88,))
    public = json.loads(description.shape)
    assert public == {"widths": [88, 10, 5, 3], "polynomials": [list(PolynomialNetwork.of(module).polynomials[0])] * 2}
    assert {name: value.shape for name, value in description.weights.items()} == {
        "0.weight": (10, 88), "0.bias": (10,), "1.weight": (5, 10), "1.bias": (5,), "2.weight": (3, 5), "2.bias": (3,)
    }  # fmt: skip
    with raises_code(BadValue, "wrong-shape"):
        workloads.describe_polynomials(module, (40,))


@pytest.mark.slow
def test_openfhe_answers_from_its_own_environment(tmp_path):
    peer = comparison.PEERS[2]
    if reason := peer.missing():
        pytest.skip(reason)
    plain, queries = cryptonet((88, 100, 50, 4), examples=5)
    public = {"widths": plain.widths, "polynomials": plain.polynomials}
    arrays = {"queries": queries.astype(np.float32)}
    for number, layer in enumerate(plain.layers):
        arrays |= {f"{number}.weight": layer.weight, f"{number}.bias": layer.bias}
    request = msgspec.structs.replace(
        REQUEST, network=json.dumps(public), input_shape=[88], classes=4, examples=5, timeout=240.0
    )
    response = job.run(peer.command(), request, arrays, tmp_path, LOOPBACK)
    wanted = plain.logits(arrays["queries"])
    assert response.labels == wanted.argmax(axis=1).tolist()
    np.testing.assert_allclose(response.scores, wanted, atol=1e-4)
    assert (len(response.milliseconds), len(response.batch_milliseconds), response.rounds) == (2, 1, 1)
    assert response.key_bytes > 1e7
    assert response.bytes_alice > response.bytes_bob > 1e5
    crowded = msgspec.structs.replace(request, batch=1 << 20)
    with raises_code(job.PeerError, "program-failed"):
        job.run(peer.command(), crowded, arrays, tmp_path, LOOPBACK)
