"""HElayers as its users write it: Alice and Bob in two processes over TCP, a convolutional network of squares.

``python helayers_program.py FOLDER`` (:mod:`sotto.bench.peers.job`) in an environment of its own that has
``pyhelayers``, ``onnx`` and NumPy; this file and the modules beside it need nothing else, and Python 3.10.

Bob loads his network from ONNX and has the library choose the packing and the parameters for 128-bit security and one
clip at a time; that profile is what Alice makes her keys by.  He gets the public ones, packs his weights unencrypted,
and tells her how inputs are packed.  Her secret key stays in her process, the weights in his.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# These files are found beside this one, which is run by its path.
from framing import MEGABYTE  # type: ignore[import-not-found]
from tcp_parties import respond_connected  # type: ignore[import-not-found]
from two_processes import (  # type: ignore[import-not-found]
    Report,
    milliseconds_since,
    read_request,
    take_queries,
)

_PROFILE_LIMIT, _KEYS_LIMIT, _CIPHERTEXTS_LIMIT = MEGABYTE, 4096 * MEGABYTE, 256 * MEGABYTE
_SECURITY = 128  # bits


def main(folder: Path) -> None:
    """Do what the folder asks and write ``response.json``."""
    respond_connected(folder, "HElayers", alice, bob)


def alice(folder: Path, link: Any) -> Report:
    """Alice's whole part: has the clips and the secret key; times every query from features to classes."""
    import pyhelayers  # type: ignore[import-not-found]

    request = read_request(folder)
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        queries = arrays["queries"].astype(np.float64)
    queries = queries.reshape(len(queries), -1, 1, queries.shape[-1])
    started = time.perf_counter()
    profile = pyhelayers.HeProfile()
    profile.from_string(link.receive(_PROFILE_LIMIT).decode())
    if profile.get_he_config_requirement().security_level < _SECURITY:
        raise ValueError(f"Bob's profile has less than {_SECURITY} bits of security")
    context = pyhelayers.NeuralNet.create_context(profile)
    keys = context.save_to_buffer()  # the public ones
    link.send(keys)
    encoder = pyhelayers.load_io_encoder(context, link.receive(_PROFILE_LIMIT))
    setup = milliseconds_since(started)
    scores: list[list[float]] = []

    def ask(start: int, stop: int) -> tuple[float, list[int]]:
        started = time.perf_counter()
        query = pyhelayers.EncryptedData(context)
        encoder.encode_encrypt(query, [queries[start:stop]])
        link.send(query.save_to_buffer())
        answer = pyhelayers.load_encrypted_data(context, link.receive(_CIPHERTEXTS_LIMIT))
        logits = encoder.decrypt_decode_output(answer).reshape(stop - start, request["classes"])
        labels = [int(label) for label in logits.argmax(axis=1)]
        elapsed = milliseconds_since(started)
        scores[start:stop] = logits.tolist()
        return elapsed, labels

    versions = {"pyhelayers": pyhelayers.VERSION}
    return take_queries(request, ask, setup_ms=setup, key_bytes=len(keys), scores=scores, rounds=1, versions=versions)


def bob(folder: Path, link: Any) -> Report:
    """Bob's whole part: has the weights; evaluates what he gets."""
    import pyhelayers

    request = read_request(folder)
    plain, requirements = pyhelayers.NeuralNetPlain(), pyhelayers.HeRunRequirements()
    plain.init(pyhelayers.PlainModelHyperParams(), [_network(folder, request)], ["network.onnx"])
    requirements.set_he_context_options([pyhelayers.DefaultContext()])
    requirements.set_security_level(_SECURITY)
    requirements.set_model_encrypted(False)
    requirements.optimize_for_batch_size(1)
    profile = pyhelayers.NeuralNet.compile(plain, requirements)
    if profile is None:
        raise ValueError("the library finds no parameters for this network")
    link.send(profile.to_string().encode())
    context = pyhelayers.load_he_context(link.receive(_KEYS_LIMIT))
    network = pyhelayers.NeuralNet(context)
    network.encode(plain, profile)
    link.send(network.create_model_io_encoder().save_to_buffer())

    def serve(start: int, stop: int) -> tuple[float, list[int]]:
        query = pyhelayers.load_encrypted_data(context, link.receive(_CIPHERTEXTS_LIMIT))
        answer = pyhelayers.EncryptedData(context)
        network.predict(answer, query)
        link.send(answer.save_to_buffer())
        return 0.0, []

    return take_queries(request, serve)


def _network(folder: Path, request: Mapping[str, Any]) -> bytes:
    """Bob's network as ONNX: images of height 1."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors, name = [], [], "x"
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:

        def tensor(key: str, values: npt.NDArray[np.floating]) -> str:
            tensors.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), key))
            return key

        public = json.loads(request["network"])
        for n, (stride, padding) in enumerate(zip(public["stride"], public["padding"], strict=True)):
            weight, bias = (arrays[f"{n}.{part}"] for part in ("weight", "bias"))
            inputs = [name, tensor(f"weight{n}", weight[:, :, None]), tensor(f"bias{n}", bias[:, 0])]
            window = {"kernel_shape": [1, weight.shape[2]], "strides": [1, stride], "pads": [0, padding, 0, padding]}
            nodes.append(helper.make_node("Conv", inputs, [name := f"products{n}"], **window))  # type: ignore[arg-type]
            if np.ptp(bias, axis=1).any():
                inputs = [name, tensor(f"places{n}", (bias - bias[:, :1])[None, :, None])]
                nodes.append(helper.make_node("Add", inputs, [name := f"sums{n}"]))
            nodes.append(helper.make_node("Mul", [name, name], [name := f"squares{n}"]))
        last = [tensor(part, arrays[f"{len(public['stride'])}.{part}"]) for part in ("weight", "bias")]
        nodes += [
            helper.make_node("Flatten", [name], ["flat"]),
            helper.make_node("Gemm", ["flat", *last], ["logits"], transB=1),
        ]
        inputs, steps = arrays["0.weight"].shape[1], request["input_shape"][-1]
    ends = [("x", [1, inputs, 1, steps]), ("logits", [1, request["classes"]])]
    x, logits = (helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in ends)
    graph = helper.make_graph(nodes, "network", [x], [logits], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
