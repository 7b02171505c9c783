"""``python -m sotto``: the command line."""

from sotto.cli import main

main()
