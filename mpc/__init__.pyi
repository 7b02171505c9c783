from .alice import Alice
from .bob import Bob
from .dealer import Dealer
from .dealing.stock import Stock
from .errors import (
    CheatingDetected,
    CryptenMissing,
    InputRefused,
    ModelRefused,
    MpcError,
    PlanError,
    ProtocolError,
    SessionBusy,
    StockError,
)
from .graph.bounds.stated_bounds import FunctionBound, function_bounds
from .graph.plan import ModelPlan
from .lowering.lowered import LoweredModel
from .messages import Agreement, Mode, Reveal, Terms

__all__ = [
    "Agreement",
    "Alice",
    "Bob",
    "CheatingDetected",
    "CryptenMissing",
    "Dealer",
    "FunctionBound",
    "InputRefused",
    "LoweredModel",
    "Mode",
    "ModelPlan",
    "ModelRefused",
    "MpcError",
    "PlanError",
    "ProtocolError",
    "Reveal",
    "SessionBusy",
    "Stock",
    "StockError",
    "Terms",
    "function_bounds",
]
