from .alice import Alice
from .bob import Bob, network_of
from .messages import BatchedDescription, Description, PackedDescription, TensorDescription
from .network.network import ModelRefused, PolynomialNetwork
from .network.parameters import Parameters, ParametersRefused
from .planning.calibration import MAX_LOGIT_ERROR, MAX_SHOWN_ERROR
from .planning.noise import LOGIT_STEP
from .planning.scheduling import ScaledPlan, schedule_for
from .planning.vector_planning import Plan, plan
from .tensors.exporting import export
from .tensors.tensor_network import TensorNetwork
from .tensors.tensor_scheduling import TensorPlan, schedule_tensors

__all__ = [
    "LOGIT_STEP",
    "MAX_LOGIT_ERROR",
    "MAX_SHOWN_ERROR",
    "Alice",
    "BatchedDescription",
    "Bob",
    "Description",
    "ModelRefused",
    "PackedDescription",
    "Parameters",
    "ParametersRefused",
    "Plan",
    "PolynomialNetwork",
    "ScaledPlan",
    "TensorDescription",
    "TensorNetwork",
    "TensorPlan",
    "export",
    "network_of",
    "plan",
    "schedule_for",
    "schedule_tensors",
]
