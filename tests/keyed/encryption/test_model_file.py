import pytest
import torch

from sotto.keyed import (
    KEY_TYPES,
    NotEligibleError,
    encrypt,
    generate_key,
    load_encrypted_model,
    save_encrypted_model,
)
from sotto.models import ModelError, ModelRecord, load, save
from sotto.models.networks.patch_cnn import WavePatchCNN
from tests.error_codes import raises_code

X = torch.linspace(-1, 1, 8000).sin().reshape(2, 4000)
SMALL = {"classes": 3, "block_size": 10, "channels": 4, "width": 4}


def record(**changes):
    about = {"architecture": "wave-patch-cnn", "arguments": SMALL, "classes": ("a", "b", "c"), "corpus": "synthetic"}
    return ModelRecord(**{**about, **changes})


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WavePatchCNN(**SMALL).eval()


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_round_trip(tmp_path, model, kind):
    key, x = generate_key(kind, 10), torch.randn(2, 4000)
    returned = save_encrypted_model(tmp_path / "m.safetensors", model, key, record(), example=X)
    loaded, about = load_encrypted_model(tmp_path / "m.safetensors")
    assert about.encrypted_for == key.fingerprint
    assert about.classes == ("a", "b", "c")
    with torch.no_grad():
        assert torch.equal(loaded(encrypt(x, key)), returned(encrypt(x, key)))
        torch.testing.assert_close(loaded(encrypt(x, key)), model(x), rtol=0, atol=1e-4)
        assert not torch.allclose(loaded(x), model(x), atol=1e-4)


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_the_key_is_not_in_the_file(tmp_path, model, kind):
    key = generate_key(kind, 10)
    save_encrypted_model(tmp_path / "m", model, key, record(), example=X)
    content = (tmp_path / "m").read_bytes()
    assert key.fingerprint.encode() in content
    assert key.salt not in content
    assert key.salt.hex().encode() not in content
    assert key.values.tobytes() not in content


def test_a_provider_is_not_given_a_plain_model(tmp_path, model):
    save(tmp_path / "m", model, record())
    with raises_code(NotEligibleError, "not-encrypted"):
        load_encrypted_model(tmp_path / "m")


def test_not_encrypted_twice(tmp_path, model):
    with raises_code(NotEligibleError, "encrypted-already"):
        save_encrypted_model(tmp_path / "m", model, generate_key("rom", 10), record(encrypted_for="0" * 32), example=X)
    assert not (tmp_path / "m").exists()


def test_refused_models_leave_no_file(tmp_path, model):
    with raises_code(NotEligibleError, "wrong-block-size", match="block size 10"):
        save_encrypted_model(tmp_path / "m", model, generate_key("rom", 8), record(), example=X)
    assert not (tmp_path / "m").exists()


def test_the_record_must_fit(tmp_path, model):
    with pytest.raises(ModelError):
        save_encrypted_model(tmp_path / "m", model, generate_key("rom", 10), record(architecture="frames"), example=X)


def test_plain_models_name_no_key(tmp_path, model):
    save(tmp_path / "m", model, record())
    assert load(tmp_path / "m")[1].encrypted_for == ""
