import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from loguru import logger
from safetensors.torch import save_file

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import WeightsError
from csi_predictor.models import create_model
from csi_predictor.models.encoder import Encoder
from csi_predictor.models.weights import adapt_stem, find_pretrained, load_encoder_weights

LITE0 = "timm/tf_efficientnet_lite0"
LITE0_FILE = "tf_efficientnet_lite0.imagenet.safetensors"
RESNET18 = find_architecture("resnet18")


def encoder_of(name: str = "resnet18", **spec: object) -> Encoder:
    return create_model(name, image_size=64, **spec).backbone.eval()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file of the true format: timm's network with its classifier."""
    torch.manual_seed(5)
    path = tmp_path / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    return path


@pytest.fixture
def log_lines() -> list[str]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)


def loaded_equals(encoder: Encoder, path: Path) -> bool:
    from safetensors.torch import load_file

    file, own = load_file(path), encoder.weights_layout().module.state_dict()
    return all(torch.equal(own[key], file[key]) for key in own)


def test_the_real_file_gives_timms_own_features_and_logits(shared_weights: Path) -> None:
    path = shared_weights / LITE0_FILE
    reference = timm.create_model("tf_efficientnet_lite0", checkpoint_path=str(path)).eval()
    encoder = encoder_of(LITE0)
    load_encoder_weights(encoder, path)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = encoder.forward_features(images)
        torch.testing.assert_close(
            features, reference.forward_features(images), atol=1e-6, rtol=1e-6
        )
        logits = reference.classifier(features.mean(dim=(2, 3)))
        torch.testing.assert_close(logits, reference(images), atol=1e-6, rtol=1e-6)


def test_the_classifier_is_left_out_by_name_and_logged(
    published: Path, log_lines: list[str]
) -> None:
    encoder = encoder_of()
    load_encoder_weights(encoder, published)
    assert loaded_equals(encoder, published)
    assert any("not part of the encoder: fc.bias, fc.weight" in line for line in log_lines)


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "module.backbone.net."])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state}])
def test_checkpoints_of_wrapped_networks_fit(
    published: Path, tmp_path: Path, prefix: str, wrap: Callable[..., object]
) -> None:
    from safetensors.torch import load_file

    state = {prefix + key: value for key, value in load_file(published).items()}
    torch.save(wrap(state), tmp_path / "wrapped.pth")
    encoder = encoder_of()
    load_encoder_weights(encoder, tmp_path / "wrapped.pth")
    assert loaded_equals(encoder, published)


def test_a_whole_model_of_ours_lends_its_encoder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained = create_model("custom1", image_size=64)
    state = {key: value.contiguous() for key, value in trained.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    encoder = encoder_of("custom1")
    load_encoder_weights(encoder, tmp_path / "model.safetensors")
    for one, two in zip(encoder.parameters(), trained.backbone.parameters(), strict=True):
        assert torch.equal(one, two)


def test_position_embeddings_follow_the_input_size(tmp_path: Path) -> None:
    whole = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    encoder = encoder_of("timm/vit_tiny_patch16_224")
    load_encoder_weights(encoder, tmp_path / "vit.safetensors")
    embedding = dict(encoder.named_parameters())["net.pos_embed"]
    assert embedding.shape == (1, 1 + 4 * 4, 192)
    torch.testing.assert_close(embedding[:, 0], whole.pos_embed[:, 0])  # the class token's


def test_a_grey_picture_sees_what_three_equal_channels_saw(published: Path) -> None:
    colour, grey = encoder_of(), encoder_of(in_channels=1)
    load_encoder_weights(colour, published)
    load_encoder_weights(grey, published)
    image = torch.randn(1, 1, 64, 64)
    torch.testing.assert_close(
        grey.forward_features(image), colour.forward_features(image.expand(-1, 3, -1, -1))
    )


def test_one_channel_becomes_a_third_in_each_of_three() -> None:
    weight = torch.randn(4, 1, 3, 3)
    three = adapt_stem(weight, 3)
    assert three.shape == (4, 3, 3, 3)
    torch.testing.assert_close(three[:, 2:], weight / 3)
    torch.testing.assert_close(adapt_stem(three, 1), weight)


def test_old_files_without_counters_fit(published: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    state = {k: v for k, v in load_file(published).items() if "num_batches" not in k}
    save_file(state, tmp_path / "old.safetensors")
    load_encoder_weights(encoder_of(), tmp_path / "old.safetensors")


def refused(encoder: Encoder, path: Path) -> str:
    """The message, which is one line."""
    with pytest.raises(WeightsError) as caught:
        load_encoder_weights(encoder, path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def test_a_missing_file_says_what_to_check(tmp_path: Path) -> None:
    message = refused(encoder_of(), tmp_path / "absent.safetensors")
    assert "no such weights file: expected a .safetensors, .pt or .pth file" in message


def test_another_networks_file_is_named_as_such(published: Path) -> None:
    message = refused(encoder_of("densenet121"), published)
    assert "of another network: it holds 0 of the 725 tensors" in message
    assert "check [MODEL] MODEL_ARCH" in message


def test_a_deeper_network_of_the_family_lists_what_differs(published: Path) -> None:
    message = refused(encoder_of("resnet34"), published)
    assert "doesn't fit this network: missing layer1.2.conv1.weight" in message
    assert "more" in message


def test_keys_that_are_absent_unknown_or_of_another_shape_are_listed(
    published: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    state = load_file(published)
    del state["layer1.0.conv1.weight"]
    state["surplus"] = torch.zeros(1)
    state["layer2.0.bn1.bias"] = torch.zeros(7)
    save_file(state, tmp_path / "odd.safetensors")
    message = refused(encoder_of(), tmp_path / "odd.safetensors")
    assert "missing layer1.0.conv1.weight; unknown surplus; " in message
    assert "of another shape layer2.0.bn1.bias 7 instead of 128" in message


@pytest.mark.parametrize("keep", [0, 4, 100, 100_000])
def test_a_truncated_safetensors_file_says_fetch_it_again(
    published: Path, tmp_path: Path, keep: int
) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(published.read_bytes()[:keep])
    message = refused(encoder_of(), path)
    assert f"{keep} bytes" in message
    assert "cut short: fetch it again" in message


def test_a_truncated_checkpoint_says_fetch_it_again(tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    assert "a damaged PyTorch checkpoint (2000 bytes)" in refused(encoder_of(), path)


class _RunsCode:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return (open, (str(self.proof), "w"))


@pytest.mark.parametrize("writes", ["torch", "pickle"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, writes: str) -> None:
    path, proof = tmp_path / "bad.pth", tmp_path / "proof"
    state = {"conv1.weight": torch.zeros(1), "code": _RunsCode(proof)}
    if writes == "torch":
        torch.save(state, path)
    else:
        path.write_bytes(pickle.dumps(state["code"], protocol=2))
    message = refused(encoder_of(), path)
    assert "refused: it isn't a checkpoint of tensors alone" in message
    assert "could run code" in message
    assert "open" in message
    assert not proof.exists()


def test_a_checkpoint_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.1}, tmp_path / "empty.pth")
    assert "no named tensors, only epoch, loss" in refused(encoder_of(), tmp_path / "empty.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds a list: expected named tensors" in refused(encoder_of(), tmp_path / "list.pth")


def test_the_cache_is_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csi_predictor.models.weights.hf_hub_download", pytest.fail)
    path = tmp_path / "resnet18.tv_in1k" / "model.safetensors"
    path.parent.mkdir()
    path.touch()
    assert find_pretrained(RESNET18, models_cache=tmp_path, offline=False) == path


def test_offline_without_the_file_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        find_pretrained(RESNET18, models_cache=tmp_path, offline=True)
    path = tmp_path / "resnet18.tv_in1k" / "model.safetensors"
    # 11,689,512 parameters and 9,600 running statistics of 4 bytes, 20 counters of 8: 44.6 MiB.
    assert str(caught.value) == (
        f"{path}: no such file, and [RUNTIME] OFFLINE = true: put model.safetensors "
        "(about 45 MiB) of https://huggingface.co/timm/resnet18.tv_in1k there"
    )


def test_a_download_lands_whole_in_the_cache(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(repo_id: str, filename: str, *, local_dir: Path) -> str:
        assert (repo_id, filename) == ("timm/resnet18.tv_in1k", "model.safetensors")
        assert not (cache / "resnet18.tv_in1k" / "model.safetensors").exists()
        (local_dir / filename).write_bytes(published.read_bytes())
        return str(local_dir / filename)

    cache = tmp_path / "cache"
    monkeypatch.setattr("csi_predictor.models.weights.hf_hub_download", fetch)
    model = create_model("resnet18", pretrained=True, models_cache=cache)
    assert loaded_equals(model.backbone, published)
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["model.safetensors"]


def test_a_failed_download_says_why_and_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object, **__: object) -> str:
        raise ConnectionError("no route to the hub\nand a second line")

    monkeypatch.setattr("csi_predictor.models.weights.hf_hub_download", fetch)
    with pytest.raises(WeightsError, match=r"download failed: no route to the hub: put model") as e:
        find_pretrained(RESNET18, models_cache=tmp_path, offline=False)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "resnet18.tv_in1k").exists()


def test_a_network_without_published_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"custom1 has no published weights: set .* PRET"):
        find_pretrained(find_architecture("custom1"), models_cache=tmp_path, offline=False)
