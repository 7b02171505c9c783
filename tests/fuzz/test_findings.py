"""What fuzzing has found, one case each, so that it stays found."""

from __future__ import annotations

import json
import os
import struct

import msgspec
import numpy as np
import pytest
import tenseal as ts
import tenseal.sealapi as seal
from safetensors.numpy import save_file

from sotto import hashing, keyed
from sotto.hashing.errors import KeyFileError as HashKeyFileError
from sotto.he.evaluation.contexts import load_vector, secret_context
from sotto.he.network.parameters import Parameters
from sotto.he.sealing import dumped, loaded
from sotto.keyed.errors import KeyFileError
from sotto.link import Array, FrameError
from sotto.models import ModelError, ModelRecord, load, save
from sotto.models.architectures import build
from sotto.models.learning.recipes import DEPINTO
from sotto.models.networks.mlp import MLP
from sotto.serving.service.reports import read_reports
from sotto.serving.terms import FrontEnd, TermsError
from tests.error_codes import raises_code
from tests.fuzz.decoders.mpc import DECODERS as MPC


def test_a_masked_input_that_is_no_whole_number_of_words_is_refused():
    """Bob, mode malicious: the size was compared in words, after the bytes had been read as words."""
    target = MPC["mpc.session.malicious.bob"].make()
    script = msgspec.msgpack.decode(target.seeds[0])
    place = next(i for i, (name, *_) in enumerate(script["alice"]) if name == "input")
    script["alice"][place][1] = script["alice"][place][1][:-1]
    with raises_code(FrameError, "wrong-length"):
        target.decode(msgspec.msgpack.encode(script))


def test_a_tenseal_answer_outside_the_transformed_domain_is_refused():
    """Alice, mode tenseal: SEAL loads such a ciphertext and refuses to decrypt it, with an error of its own."""
    parameters = Parameters(8192, (60,), 1, 40, 60)
    context = secret_context(parameters, threads=1)
    vector = ts.ckks_vector(context, [0.5] * 4)
    inner = vector.ciphertext()[0]
    native = context.seal_context().data
    ours = loaded(seal.Ciphertext(), native, dumped(inner), "ciphertexts")
    seal.Evaluator(native).transform_from_ntt_inplace(ours)
    before, after = _field(dumped(inner)), _field(dumped(ours))
    assert before in vector.serialize()
    data = vector.serialize().replace(before, after)
    (read,) = ts.ckks_vector_from(context, data).ciphertext()
    assert not read.is_ntt_form()
    with raises_code(FrameError, "wrong-ciphertext"):
        load_vector(context, data, size=4, primes=2, scale=2.0**40)


def _field(data: bytes) -> bytes:
    """Bytes as field 2 of a protocol buffer: tag, length in groups of seven bits, content."""
    length, groups = len(data), []
    while length >= 128:
        groups.append(length % 128 + 128)
        length //= 128
    return b"\x12" + bytes([*groups, length]) + data


def test_a_fingerprint_that_is_no_ascii_is_a_damaged_key(tmp_path):
    """Key files of both kinds: the comparison in constant time takes ASCII text only."""
    key = keyed.generate_key("shuffling", 10, 1)
    keyed.save_key(tmp_path / "key", key)
    content = (tmp_path / "key").read_bytes()
    bent = content.replace(key.fingerprint.encode(), "é".encode() * (len(key.fingerprint) // 2))
    assert len(bent) == len(content)
    (tmp_path / "key").write_bytes(bent)
    with raises_code(KeyFileError, "damaged"):
        keyed.load_key(tmp_path / "key")


def test_a_hash_keys_fingerprint_that_is_no_ascii_is_a_damaged_key(tmp_path):
    key = hashing.HashKey.generate(hashing.HashParameters(4, measurements_per_coefficient=2))
    key.save(tmp_path / "key")
    content = (tmp_path / "key").read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    record = json.loads(header["__metadata__"]["sotto.hashing"])
    record["fingerprint"] = "é" * 32
    header["__metadata__"]["sotto.hashing"] = json.dumps(record, ensure_ascii=False)
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / "key").write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    with raises_code(HashKeyFileError, "damaged"):
        hashing.HashKey.load(tmp_path / "key")


def test_a_model_file_cannot_ask_for_thousands_of_layers():
    """A record of a few kilobytes named 3600 hidden layers, which took half a minute to lay out."""
    with raises_code(ModelError, "cannot-build"):
        build("mlp", {"inputs": 6, "hidden": (5,) * 3600, "classes": 4})


def test_an_array_of_thousands_of_axes_is_refused_in_a_short_line():
    """The message used to list every axis that the peer had announced."""
    array = Array("float32", (1,) * 5000, bytes(4))
    with pytest.raises(FrameError) as caught:
        array.numpy(dtype="float32", shape=(None,) * 5000)
    assert len(str(caught.value)) < 200


def test_numbers_too_large_for_an_orthogonal_matrix_are_refused_without_a_warning(tmp_path, recwarn):
    key = keyed.generate_key("rom", 4, 1)
    keyed.save_key(tmp_path / "key", key)
    content = (tmp_path / "key").read_bytes()
    numbers = key.values.astype("<f8").tobytes()
    (tmp_path / "key").write_bytes(content.replace(numbers, np.full(16, 1e300, "<f8").tobytes()))
    with pytest.raises(KeyFileError):
        keyed.load_key(tmp_path / "key")
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]


@pytest.mark.parametrize("change", [{"classes": "\n"}, {"classes": "many " * 500}])
def test_what_a_model_file_says_is_shown_on_one_short_line(tmp_path, change):
    arguments = {"inputs": 6, "hidden": (5,), "classes": 2}
    save(tmp_path / "model", MLP(**arguments), ModelRecord(architecture="mlp", arguments=arguments, classes=("a", "b")))
    content = (tmp_path / "model").read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    record = json.loads(header["__metadata__"]["sotto.model"])
    record["arguments"] |= change
    header["__metadata__"]["sotto.model"] = json.dumps(record)
    text = json.dumps(header).encode()
    (tmp_path / "model").write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    with pytest.raises(ModelError) as caught:
        load(tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_session_that_reports_nonsense_does_not_end_its_host():
    """A line that is no UTF-8 raised an error that the host did not expect."""
    reading, writing = os.pipe()
    os.write(writing, b'{"type":"Ended","reason":"\xff"}\n{"type":"Ended","reason":"done"}\n')
    os.close(writing)
    reports, open_still = read_reports(reading, bytearray())
    os.close(reading)
    assert [report.reason for report in reports] == ["done"]
    assert not open_still


@pytest.mark.parametrize("name", ["\n\x1b[31m", "a" * 5000])
def test_what_a_front_end_says_is_shown_on_one_short_line(name):
    """Bob's welcome reaches Alice's terminal."""
    with pytest.raises(TermsError) as caught:
        FrontEnd({**DEPINTO.features.to_record(), name: 1}).spec()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("convmixer", {"depth": 10**6}),
        ("convmixer", {"depth": -1}),
        ("convmixer", {"width": 10**12}),
        ("convmixer", {"block_size": 10**9}),
        ("convmixer", {"kernel": 10**9 + 1}),
        ("convmixer", {"classes": True}),
        ("speaker-embedding", {"block_size": 10**6}),
        ("speaker-embedding", {"block_size": 0}),
        ("speaker-embedding", {"block_size": 1.5}),
        ("speaker-embedding", {"bands": 10**9}),
        ("speaker-embedding", {"width": 3}),
        ("speaker-embedding", {"size": 10**12}),
        ("patch-ctc", {"bands": 10**9}),
        ("patch-ctc", {"words": 10**12}),
        ("patch-ctc", {"block_size": -3}),
        ("patch-ctc", {"channels": "many " * 100}),
    ],
)
def test_a_model_file_cannot_ask_for_more_than_it_holds(name, arguments, tmp_path):
    """Layers by the million, and a Fourier transform whose table took gigabytes, from a file of a few kilobytes."""
    record = {
        "format": 1, "architecture": name, "arguments": arguments, "classes": ["a"] * bool("classes" in arguments),
        "features": {}, "normalisation": None, "corpus": "", "split": "", "seed": 0, "scores": {}, "sotto": "",
    }  # fmt: skip
    save_file({"module.x": np.zeros(1, np.float32)}, tmp_path / "model", metadata={"sotto.model": json.dumps(record)})
    with raises_code(ModelError, "cannot-build") as caught:
        load(tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
