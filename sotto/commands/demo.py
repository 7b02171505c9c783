"""``sotto demo``: a page on this machine to record or upload a clip and watch it being answered privately."""

from __future__ import annotations

import os
import signal
import sys
import threading
import webbrowser
from typing import Annotated

import typer

from sotto.commands.options import CorpusName, Data, Seed, SkipBroken, require_corpus
from sotto.console import err, say


def demo(
    corpus: CorpusName = "synthetic",
    data: Data = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    seed: Seed = 0,
    skip_broken: SkipBroken = False,
) -> None:
    """Open a local page where a visitor records or uploads a clip, chooses a paradigm and watches the parties.

    Example:  sotto demo --corpus ravdess --data ~/corpora/ravdess

    The models are trained on the corpus' training speakers, or taken from the cache.  Only this machine can open the
    page, and only with the token in its address.  Ctrl-C ends it; uploaded clips are deleted after their run.
    """
    require_corpus(corpus, data)
    from sotto.bench.suite import open_workbench
    from sotto.demo.engine import Engine
    from sotto.demo.runs import Runs
    from sotto.demo.server import Server

    told: list[Runs] = []

    def tell(line: str) -> None:
        say(line)
        for runs in told:
            runs.say(line)

    bench = open_workbench(corpus, data, preset="quick", seed=seed, say=tell, skip_broken=skip_broken, brief=True)
    engine = Engine(bench)
    runs = Runs(engine)
    told.append(runs)
    try:
        server = Server(runs, engine.offer(), bench.folder, port)
    except OSError as error:
        raise typer.BadParameter(f"port {port} cannot be used ({error.strerror})", param_hint="--port") from None
    err.print(f"open {server.address}", soft_wrap=True)
    err.print("Ctrl-C ends it")
    warming = threading.Thread(target=engine.warm_up, args=(runs.await_idle,), name="warm-up", daemon=True)
    warming.start()
    if browser:
        webbrowser.open(server.address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped service ends like Ctrl-C, and cleans up
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        err.print("ended")
    finally:
        runs.close()
        server.server_close()
        if warming.is_alive():  # in the middle of a training, whose libraries stand no orderly end
            sys.stderr.flush()
            os._exit(0)
