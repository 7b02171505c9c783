"""Other systems in the comparison: bytes counted by the kernel, programs bounded, networks made around them."""

from __future__ import annotations

import os
import socket
import stat
import sys

import msgspec
import numpy as np
import pytest
import torch

from bench.peers import comparison, errand
from bench.peers.socket_bytes import bytes_sent
from bench.table_networks import TableNetwork
from link import LOOPBACK, SHAPES
from mpc.fixed_point import DEFAULT_INPUT_LIMIT
from mpc.fx_graph import trace

REQUEST = errand.Request(
    network="", input_shape=[1, 40], classes=8, singles=2, warm_up=1, batch=2, timeout=60.0
)  # fmt: skip
RESPONSE = errand.Response([1], [1.0], [], 1.0, 2, 3, None, 4.0, {"system": "1"})


def program(text):
    return [sys.executable, "-c", f"import sys, json, pathlib, time\nfolder = pathlib.Path(sys.argv[1])\n{text}"]


def answer(command, tmp_path, shape=LOOPBACK, request=REQUEST):
    return errand.run(command, request, {"queries": np.ones((2, 1, 40), np.float32)}, tmp_path, shape)


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
        ("sys.exit('out of tuples')", "out of tuples"),
        ("sys.exit(3)", "code 3"),
        ("", "no usable answer"),
        ("(folder / 'response.json').write_text('{}')", "no usable answer"),
        ("(folder / 'response.json').write_text('[' * 100000)", "no usable answer"),
        ("time.sleep(60)", "no answer within"),
    ],
)
def test_a_program_that_fails_is_one_line(tmp_path, text, reason):
    request = msgspec.structs.replace(REQUEST, timeout=2.0) if "sleep" in text else REQUEST
    with pytest.raises(errand.PeerError, match=reason) as raised:
        answer(program(text), tmp_path, request=request)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_an_interpreter_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(errand.PeerError, match="cannot start"):
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
    assert errand.shapable(SHAPES["wan"]) is None
    noted.unlink()
    assert answer(program(text), work, SHAPES["wan"]) == RESPONSE
    assert noted.read_text().splitlines() == [
        "ip link set lo up",
        "tc qdisc add dev lo root netem limit 20000 delay 20000us rate 100mbit",
    ]
    (tools / "tc").write_text("#!/bin/sh\necho 'no netem in this kernel' >&2; exit 2\n")
    assert "no netem in this kernel" in errand.shapable(SHAPES["wan"])
    assert errand.shapable(LOOPBACK) is None


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
    request = msgspec.structs.replace(REQUEST, network=msgspec.json.encode(plan).decode(), timeout=180.0)
    return request, {"queries": chosen, **arrays}, top.indices[sure][:queries, 0].tolist()


def agrees(peer, tmp_path):
    request, arrays, right = network()
    response = errand.run(peer.command(), request, arrays, tmp_path, LOOPBACK)
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
    assert "pip install spu" in comparison.PEERS[1].missing()
    monkeypatch.setenv(comparison.SPU_PYTHON, sys.executable)
    assert comparison.PEERS[1].missing() is None
