"""``python -m sotto``, and the ``sotto`` script: the command line."""

import signal


def main() -> None:
    """Run it; while it is still being imported Ctrl-C ends the process without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sotto.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
