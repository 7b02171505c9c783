"""Bob is the provider: he hosts a model that its owner encrypted, and answers encrypted queries with it.

He must not have the key.  He is trusted to run the model as agreed (semi-honest), and the model owner trusts him with
the model: all of it but the first convolution he has in the clear.  He learns every answer and the encrypted speech.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sotto.keyed.encryption.model_file import load_encrypted_model
from sotto.keyed.messages import QUERY_LIMIT, TRIP, VERSION, Hello, Query, Ready
from sotto.link import MOST_CLASSES, BadValue, FrameError, Reply, Reveal, RoundTripBob, require_revealed


class Bob(RoundTripBob[Hello, Ready, Query, Reply]):
    """The provider's side.

    Parameters
    ----------
    model
        the encrypted model, (n, ...) float32 to (n, classes) logits, or the path of its file.
    fingerprint
        of the key the model is encrypted under; Alice is told before she sends anything when hers is
        another one.  None answers queries under any key (with noise, for the wrong ones).  A file brings its own.
    batch
        how many examples go through the model at a time.
    reveal
        the most he gives: "class" for labels alone, "logits" for scores to an Alice who asks for them, which
        tell her more about the model.
    """

    def __init__(
        self,
        model: nn.Module | str | Path,
        *,
        fingerprint: str | None = None,
        batch: int = 64,
        reveal: Reveal = "class",
    ) -> None:
        super().__init__(TRIP, reveal, QUERY_LIMIT)
        if batch < 1:
            raise BadValue("empty-batch", "a batch holds at least one example")
        if not isinstance(model, nn.Module):
            model, record = load_encrypted_model(model)
            fingerprint = record.encrypted_for
        self._model = model.eval()
        self._fingerprint = fingerprint
        self._batch = batch

    def __repr__(self) -> str:
        return f"<Bob with an encrypted {type(self._model).__name__}>"

    def _greet(self, hello: Hello) -> Ready:
        if self._fingerprint is not None and hello.fingerprint != self._fingerprint:
            raise FrameError(
                "other-key", "this model is encrypted for another key: ask the model owner for the current key"
            )
        return Ready(VERSION)

    def _reply(self, query: Query, hello: Hello) -> Reply:
        require_revealed(query.reveal, self._reveal)
        axes = len(query.speech.shape)
        speech = query.speech.numpy(dtype=np.float32, shape=(None,) * axes)
        if not speech.size or axes < 2:
            raise FrameError("bad-query", "a query is a batch of encrypted speech with at least one example")
        return Reply.of(self._logits(torch.from_numpy(speech.copy())), query.reveal)

    def _logits(self, speech: Tensor) -> npt.NDArray[np.float32]:
        try:
            with torch.inference_mode():
                parts = [self._model(part) for part in speech.split(self._batch)]
        except Exception as error:  # whatever a forward method raises on an input it was not made for
            raise FrameError(
                "wrong-shape", f"this model does not take speech of shape {tuple(speech.shape[1:])}"
            ) from error
        classes = {part.shape[1] if isinstance(part, Tensor) and part.dim() == 2 else 0 for part in parts}
        if len(classes) != 1 or not 1 <= min(classes) <= MOST_CLASSES or sum(map(len, parts)) != len(speech):
            raise FrameError(
                "no-classifier", "this model is no classifier: it does not give one row of logits per example"
            )
        logits: npt.NDArray[np.float32] = torch.cat(parts).float().numpy()
        return logits
