"""A full disk under the dealer's stock, and a clock that jumps, in processes that really have them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILL = """
import resource, sys
from pathlib import Path
import torch
from sotto import mpc
from sotto.link import pair
from sotto.mpc.errors import StockError

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3)).eval()
terms = mpc.Bob(network, pair()[0], input_shape=(64,)).terms("class")
stock = mpc.Stock(folder / "stock")
stock.fill(terms, "malicious")  # while there is room
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
filled = 0
try:
    while filled < 10_000:
        stock.fill(terms, "malicious", count=2)
        filled += 1
    print("never full")
except StockError as error:
    print(error)
names = [path.suffix for path in (folder / "stock").iterdir()]
print(sorted(set(names) - {""}), names.count(".ready") == filled + 1)
claimed = mpc.Stock(folder / "stock").claim(terms, "malicious")  # what was made before is whole
print(claimed is not None and claimed.take(1) is not None)
claimed.close()
"""


def fill(folder, limit, before=()):
    command = [*before, sys.executable, "-c", FILL, str(folder), str(limit)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )


def check(done):
    assert not done.stderr.strip(), done.stderr[-2000:]
    said, names, whole = done.stdout.strip().splitlines()
    assert "the stock cannot be filled" in said
    assert names == "['.ready'] True"
    assert whole == "True"


def test_a_file_that_cannot_grow_ends_the_filling_with_one_line_and_leaves_nothing_half_made(tmp_path):
    check(fill(tmp_path, 20_000))


@pytest.mark.slow
def test_a_full_disk_ends_the_filling_with_one_line_and_leaves_nothing_half_made(tmp_path):
    """A file system of four megabytes, where this account may mount one for itself."""
    mount = f'mount -t tmpfs -o size=4m none {tmp_path} && exec "$@"'
    before = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    try:
        allowed = subprocess.run([*before, "true"], capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        allowed = False
    if not allowed:
        pytest.skip("this account may not mount a file system of its own")
    done = fill(tmp_path, 0, before)
    assert "No space left" in done.stdout
    check(done)


JUMPING = """
import random, time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + random.choice((-3e8, 0.0, 3e8))
time.time_ns = lambda: _time_ns() + random.choice((-3, 0, 3)) * 10**17
"""
ASK = """
import threading, time
import numpy as np, torch
from sotto import mpc
from sotto.link import connect, listen

assert abs(time.time() - time.time()) > 1e6 or any(abs(time.time() - time.time()) > 1e6 for _ in range(100))
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)).eval()

def dealer(port):
    with listen() as for_alice, listen() as for_bob:
        port += [for_alice.address, for_bob.address]
        mpc.Dealer().serve(for_alice.accept(timeout=20), for_bob.accept(timeout=20))

def bob(ports, port):
    with listen() as listener:
        port.append(listener.address)
        mpc.Bob(network, connect(*ports[1], timeout=20), input_shape=(6,)).serve(listener.accept(timeout=20))

ports, port = [], []
threading.Thread(target=dealer, args=(ports,), daemon=True).start()
while len(ports) < 2: time.sleep(0.01)
threading.Thread(target=bob, args=(ports, port), daemon=True).start()
while not port: time.sleep(0.01)
alice = mpc.Alice(connect(*ports[0], timeout=20))
link = connect(*port[0], timeout=20)
features = np.ones((1, 6), np.float32)
right = int(network(torch.ones(1, 6)).argmax())
print([int(alice.ask(features, link).labels[0]) == right for _ in range(5)])
"""


@pytest.mark.slow
def test_a_clock_that_jumps_by_years_changes_nothing(tmp_path):
    """Every reading of the calendar's clock is off by ten years or by nothing, at random."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[True, True, True, True, True]"


def test_no_deadline_is_reckoned_by_the_calendars_clock():
    """Only what is shown to people may be, the journal's time and when a service started, and the age of a file."""
    shown = {
        "serving/service/monitoring/counters.py",
        "serving/service/monitoring/journal.py",
        "serving/certificates/key_files.py",
        "link/storage.py",
    }
    for package in ("link", "mpc", "he", "hashing", "keyed", "adversarial", "serving"):
        for path in sorted((ROOT / package).rglob("*.py")):
            calls = {
                ast.unparse(node.func)
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call)
            }
            if str(path.relative_to(ROOT)) not in shown:
                assert not calls & {"time.time", "time.time_ns", "datetime.datetime.now", "datetime.now"}, path
