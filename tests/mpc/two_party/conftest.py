import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    str(HERE / "gates"),
    str(HERE.parent / "ot"),
]  # networks_of_two, test_correlations, parties
