"""CrypTen tensor types of our own modes: an unchanged ``crypten.nn`` model computes by our gates.

Both parties run the same lines; Bob's model holds his weights, Alice's any weights in the same shapes::

    with Party(rank, peer, dealer, mode="semi-honest", input_limit=8.0):
        model.eval().encrypt(src=BOB)
        x = crypten.cryptensor(features, src=ALICE)        # Bob: anything of the same shape
        labels = model(x).argmax(dim=1, one_hot=False).get_plain_text(dst=ALICE)

A masked wire needs its correlated randomness before it carries anything, so the whole computation must be known first.
Therefore running the model sends nothing: each operation is noted (:mod:`sotto.mpc.crypten_api.recording`) or refused
by its name, and opening the result runs what was noted, through :class:`sotto.mpc.Alice` and :class:`sotto.mpc.Bob`
over the party's links.  Alice compares the network that Bob announces with the one that she noted herself.  Only Alice
learns a result: the class, or the logits where ``argmax`` is left out on both sides.

Inference only: no gradient passes, and training is refused.  Weights are Bob's, one input is Alice's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self

import numpy as np
import torch
from torch import nn

from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.crypten_api.party import ALICE, BOB, Party, current
from sotto.mpc.crypten_api.recording import Recorded, Recording, parameter
from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.messages import Mode, Reveal
from sotto.mpc.sharing.ring import Words

__all__ = ["ALICE", "BOB", "MaliciousTensor", "MaskedTensor", "Party", "SemiHonestTensor", "stock_shares"]

crypten = load_crypten()
CrypTensor: Any = crypten.CrypTensor


class MaskedTensor(CrypTensor):
    """Alice's input, what was made of it, or a weight of Bob's."""

    mode: Mode

    def __init__(self, tensor: Any = (), src: int = ALICE, requires_grad: bool = False) -> None:
        super().__init__(requires_grad=False)
        self._value: Recorded | None = None
        self._weight: torch.Tensor | None = None
        self._features: torch.Tensor | None = None
        self._reveal: Reveal = "logits"
        if isinstance(tensor, (list, tuple)) and not tensor:
            return  # CrypTen's way to call a static function
        party = current(self.mode)
        values = torch.as_tensor(tensor).detach()
        known = values.float().clone() if party.rank == src else torch.empty(values.shape, device="meta")
        if src == BOB:
            self._weight = known
            return
        self._value = Recording(tuple(values.shape)).input
        self._features = None if known.is_meta else known

    def __getattribute__(self, name: str) -> Any:
        """Only what we evaluate; CrypTen's own protocols must never stand in for what is missing."""
        name = CrypTensor.PYTHON_BUILTIN.get(name, name)
        in_place = name.endswith("_") and not name.endswith("__") and name.removesuffix("_") in _FUNCTIONS
        if name in _REFUSED or (in_place and name not in _HARMLESS):
            _refuse(name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse(name)

    def __repr__(self) -> str:
        what = "weight of bob's" if self._weight is not None else "value"
        return f"<{type(self).__name__}: {what}, shape {tuple(self.size())}>"

    @property
    def requires_grad(self) -> bool:
        return False

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        """Modules in training mode ask for gradients of their weights; there are none, see :meth:`backward`."""

    def backward(self, *_: Any, **__: Any) -> NoReturn:
        _refuse("backward")

    # -- opening ------------------------------------------------------------------------------------------------

    def argmax(self, dim: int | None = None, keepdim: bool = False, one_hot: bool = True) -> Self:
        """The class of each example: ``argmax(dim=1, one_hot=False)`` of the logits (n, classes)."""
        value = self._evaluated("argmax")
        if len(value.shape) != 2 or dim not in (1, -1) or keepdim or one_hot:
            _refuse("argmax", "only argmax(dim=1, one_hot=False) of logits (n, classes) can")
        result = self._from(value)
        result._reveal = "class"
        return result

    def get_plain_text(self, dst: int | None = None) -> torch.Tensor:
        """The result, for Alice alone (``dst=0``); Bob gets an empty tensor.  A weight opens at Bob only."""
        if self._weight is not None:
            if self._weight.is_meta:
                raise ModelRefused("weight-opened", "a weight is Bob's and is never opened to Alice")
            return self._weight.clone()
        if self._value is None or dst != ALICE:
            raise ModelRefused(
                "opened-to-bob", "a result is opened to Alice alone: say get_plain_text(dst=0) on both sides"
            )
        return current(self.mode).run(self._value, self._reveal, self._features)

    # -- what crypten.nn does to weights and to values --------------------------------------------------------------

    def size(self, dim: int | None = None) -> Any:
        known = self._weight if self._weight is not None else self._value
        shape = torch.Size(known.shape if known is not None else (0,))
        return shape if dim is None else shape[dim]

    def dim(self) -> int:
        return len(self.size())

    def nelement(self) -> int:
        return self.size().numel()

    numel = nelement

    def clone(self) -> Self:
        return self._either(lambda weight: weight.clone(), lambda value: value)

    shallow_copy = clone

    def view(self, *shape: Any) -> Self:
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list, torch.Size)) else shape
        return self._either(lambda weight: weight.reshape(wanted), lambda value: value.reshaped(wanted))

    reshape = view

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        return self.view(torch.empty(self.size(), device="meta").flatten(start_dim, end_dim).shape)

    def unsqueeze(self, dim: int) -> Self:
        return self.view(torch.empty(self.size(), device="meta").unsqueeze(dim).shape)

    def squeeze(self, dim: int | None = None) -> Self:
        before = torch.empty(self.size(), device="meta")
        return self.view((before.squeeze() if dim is None else before.squeeze(dim)).shape)

    def t(self) -> Self:
        return self._made("t", lambda weight: weight.t())

    def inv_sqrt(self) -> Self:
        return self._made("inv_sqrt", lambda weight: weight.rsqrt())

    def add(self, other: Any) -> Self:
        if self._weight is not None:
            if isinstance(other, MaskedTensor):
                return other.add(self)
            return self._made("add", lambda weight: weight + other)
        value = self._evaluated("add")
        if not isinstance(other, MaskedTensor):
            _refuse("add", "one side is neither Alice's nor a weight of Bob's: run model.encrypt(src=1) first")
        if other._weight is not None:
            return self._from(value.with_bias(other._weight))
        return self._from(value.plus(other._evaluated("add")))

    def __iadd__(self, other: Any) -> Self:
        self._value = self.add(other)._evaluated("add")
        return self

    def matmul(self, other: Any) -> Self:
        weight = self._bobs("matmul", other)
        if weight.dim() != 2:
            _refuse("matmul", "only the product with a matrix can")
        layer = nn.Linear(1, 1, bias=False)
        layer.in_features, layer.out_features = weight.shape
        layer.weight = parameter(weight.t())
        return self._applied("linear", layer)

    def conv1d(self, kernel: Any, **options: Any) -> Self:
        return self._convolution("conv1d", nn.Conv1d, kernel, **options)

    def conv2d(self, kernel: Any, **options: Any) -> Self:
        return self._convolution("conv2d", nn.Conv2d, kernel, **options)

    def __getitem__(self, _: Any) -> NoReturn:
        _refuse("__getitem__")

    def relu(self) -> Self:
        return self._applied("relu", nn.ReLU())

    def avg_pool2d(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False) -> Self:
        return self._applied("avg_pool2d", nn.AvgPool2d(kernel_size, stride, padding, ceil_mode))

    def max_pool2d(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Self:  # fmt: skip
        pool = nn.MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        return self._applied("max_pool2d", pool)

    def mean(self, dim: Any = None, keepdim: bool = False) -> Self:
        axes = (dim,) if isinstance(dim, int) else tuple(dim or ())
        if not axes:
            _refuse("mean", "it runs over all examples")
        return self._from(self._evaluated("mean").mean(axes, keepdim))

    def dropout(self, p: float = 0.5, training: bool = True, inplace: bool = False) -> Self:
        if training:
            _refuse("dropout", "it is in training mode: call model.eval() first")
        return self.clone()

    _feature_dropout = dropout

    def batchnorm(
        self, weight: Any, bias: Any, running_mean: Any = None, running_var: Any = None, training: bool = False,
        eps: float = 1e-05, momentum: float = 0.1, inv_var: Any = None,
    ) -> Self:  # fmt: skip
        if training:
            _refuse("batchnorm", "it is in training mode: call model.eval() first")
        norm = (nn.BatchNorm2d if self.dim() == 4 else nn.BatchNorm1d)(self.size(1), eps)
        norm.weight = parameter(self._bobs("batchnorm", weight))
        norm.bias = parameter(self._bobs("batchnorm", bias))
        norm.running_mean = parameter(self._bobs("batchnorm", running_mean)).data
        norm.running_var = parameter(self._bobs("batchnorm", running_var)).data
        return self._applied("batchnorm", norm)

    @staticmethod
    def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
        first, *others = [tensor._evaluated("cat") for tensor in tensors]
        return tensors[0]._from(first.joined(others, dim))

    # -- ours -------------------------------------------------------------------------------------------------------

    def _convolution(self, name: str, kind: type[nn.Conv1d] | type[nn.Conv2d], kernel: Any, **options: Any) -> Self:
        weight = self._bobs(name, kernel)
        groups = options.get("groups", 1)
        sizes = tuple(weight.shape[2:])
        layer = kind(weight.shape[1] * groups, weight.shape[0], sizes, bias=False, **options)  # type: ignore[arg-type]
        layer.weight = parameter(weight)
        return self._applied(name, layer)

    def _applied(self, name: str, module: nn.Module) -> Self:
        return self._from(self._evaluated(name).apply(name, module))

    def _from(self, value: Recorded) -> Self:
        result = type(self)()
        result._value, result._features = value, self._features
        return result

    def _made(self, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """A weight out of this one."""
        result = type(self)()
        result._weight = change(self._bobs(name, self))
        return result

    def _either(self, change: Callable[[torch.Tensor], torch.Tensor], note: Callable[[Recorded], Recorded]) -> Self:
        return self._made("view", change) if self._weight is not None else self._from(note(self._evaluated("view")))

    def _evaluated(self, name: str) -> Recorded:
        """This value, which came from Alice's input and is still to be computed on."""
        if self._value is None:
            _refuse(name, "it works on a weight, not on Alice's input")
        if self._reveal == "class":
            _refuse(name, "the class can only be opened")
        return self._value

    @staticmethod
    def _bobs(name: str, tensor: Any) -> torch.Tensor:
        if not isinstance(tensor, MaskedTensor) or tensor._weight is None:
            _refuse(name, "its weight is not Bob's: run model.encrypt(src=1) first")
        return tensor._weight


@CrypTensor.register_cryptensor("semi-honest")
class SemiHonestTensor(MaskedTensor):
    """CrypTensor type of mode ``semi-honest``."""

    mode: Mode = "semi-honest"


@CrypTensor.register_cryptensor("malicious")
class MaliciousTensor(MaskedTensor):
    """CrypTensor type of mode ``malicious``."""

    mode: Mode = "malicious"


#: What CrypTen knows to do with a tensor, and what of it needs no evaluation; the rest, unless it is here, is refused.
_FUNCTIONS = frozenset(crypten.gradients.FUNCTION_REGISTRY) | {
    name for name, function in vars(CrypTensor).items() if callable(function) and not name.startswith("__")
}
_HARMLESS = frozenset({"_reset_gradients", "detach", "detach_"})
_REFUSED = _FUNCTIONS - set(vars(MaskedTensor)) - _HARMLESS


def stock_shares(words: Words, fraction: int = FRACTION_BITS) -> Any:
    """This party's share of a register, uint64 words with ``fraction`` bits, as a stock MPCTensor.

    CrypTen must have been initialised, with the same two parties.
    """
    share = torch.from_numpy(words.view(np.int64).copy())
    return crypten.mpc.MPCTensor.from_shares(share, precision=fraction)


def _refuse(name: str, what: str = "") -> NoReturn:
    raise ModelRefused("no-such-operation", f"'{name}' cannot be evaluated privately{': ' + what if what else ''}")
