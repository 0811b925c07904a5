import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from csi_predictor.architectures import CHEXNET_LABELS, find_architecture
from csi_predictor.config import load_config
from csi_predictor.errors import WeightsError
from csi_predictor.models import StagedModel, build_model, create_model
from csi_predictor.models.encoder import Encoder
from csi_predictor.models.state_files import read_state
from csi_predictor.models.weights import (
    adapt_stem,
    load_encoder_weights,
    load_published_weights,
)

LITE0 = "timm/tf_efficientnet_lite0"
LITE0_FILE = "tf_efficientnet_lite0.imagenet.safetensors"


def encoder_of(name: str = "resnet18", **spec: object) -> Encoder:
    return create_model(name, image_size=64, **spec).backbone.eval()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file of the true format: timm's network with its classifier."""
    torch.manual_seed(5)
    path = tmp_path / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    return path


def loaded_equals(encoder: Encoder, path: Path) -> bool:
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


def test_the_real_file_loads_by_the_key_weights_without_a_network(
    shared_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("the network was used")

    monkeypatch.setattr(socket, "socket", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    path = shared_weights / LITE0_FILE
    if not path.is_file():
        pytest.skip(f"{LITE0_FILE} isn't beside the project")
    keys = [f"MODEL.WEIGHTS={path}", f"MODEL.MODEL_ARCH={LITE0}", "MODEL.IMAGE_SIZE=64"]
    model = build_model(load_config(overrides=[*keys, "RUNTIME.OFFLINE=true"]))
    assert loaded_equals(model.backbone, path)


def test_the_real_file_cut_short_is_refused(shared_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / LITE0_FILE
    content = (shared_weights / LITE0_FILE).read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    message = refused(encoder_of(LITE0), path)
    assert "cut short: fetch it again" in message
    assert "of another network" in refused(encoder_of(), shared_weights / LITE0_FILE)


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


@pytest.mark.parametrize(
    ("name", "size"), [("custom1", 64), ("chexnet", 64), ("longitudinal_classification", 64)]
)
def test_a_bundles_file_fits_where_it_holds_one_network(
    name: str, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    trained = create_model(name, image_size=size)
    one = {f"member0.{key}": tensor.contiguous() for key, tensor in trained.state_dict().items()}
    save_file(one, path)
    loaded = create_model(name, image_size=size, weights=path)
    images = torch.randn(1, trained.input_spec.channels, size, size)
    torch.testing.assert_close(
        loaded.eval().extract_features(images), trained.eval().extract_features(images)
    )
    two = {**one, **{key.replace("member0", "member1"): value for key, value in one.items()}}
    save_file({key: value.clone() for key, value in two.items()}, path)
    with pytest.raises(WeightsError, match=r"of another network: .* found member0"):
        create_model(name, image_size=size, weights=path)


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
    state = load_file(published)
    del state["layer1.0.conv1.weight"]
    state["surplus"] = torch.zeros(1)
    state["layer2.0.bn1.bias"] = torch.zeros(7)
    save_file(state, tmp_path / "odd.safetensors")
    message = refused(encoder_of(), tmp_path / "odd.safetensors")
    assert "missing layer1.0.conv1.weight; unknown surplus; " in message
    assert "of another shape layer2.0.bn1.bias 7 instead of 128" in message


def linear_of(model: StagedModel) -> torch.nn.Linear:
    return next(part for part in model.classifier.modules() if isinstance(part, torch.nn.Linear))


def test_imagenets_head_is_kept_for_its_thousand_classes(
    published: Path, log_lines: list[str]
) -> None:
    model = create_model("resnet18", num_classes=1000, image_size=64, weights=published).eval()
    reference = timm.create_model("resnet18", checkpoint_path=str(published)).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(model(images).logits, reference(images), atol=1e-6, rtol=1e-6)
    assert "Kept the published head of 1000 outputs: the classes of ImageNet\n" in log_lines


@pytest.mark.parametrize(
    ("spec", "new"),
    [
        ({"num_classes": 14}, "linear head of 14"),
        ({}, "ordinal head of 6"),
        ({"num_classes": 1000, "head_hidden": 8}, "linear head of 1000"),
        ({"num_classes": 1000, "feature_levels": 2}, "linear head of 1000"),
    ],
)
def test_a_head_that_doesnt_fit_is_named_and_the_new_one_stays_random(
    published: Path, log_lines: list[str], spec: dict[str, object], new: str
) -> None:
    torch.manual_seed(9)
    fresh = create_model("resnet18", image_size=64, **spec)
    torch.manual_seed(9)
    model = create_model("resnet18", image_size=64, weights=published, **spec)
    for own, other in zip(
        model.classifier.parameters(), fresh.classifier.parameters(), strict=True
    ):
        assert torch.equal(own, other)
    assert loaded_equals(model.backbone, published)
    assert log_lines[-1].endswith(f"; the new {new} starts from random weights\n")
    if "feature_levels" not in spec:
        assert log_lines[-1].startswith(f"head of 1000 outputs left out of {published}; ")


def test_a_file_without_a_head_says_that_the_new_one_is_random(
    published: Path, tmp_path: Path, log_lines: list[str]
) -> None:
    state = {key: value for key, value in load_file(published).items() if key[:2] != "fc"}
    save_file(state, tmp_path / "headless.safetensors")
    create_model("resnet18", image_size=64, weights=tmp_path / "headless.safetensors")
    assert log_lines[-1] == (
        f"no head kept of {tmp_path / 'headless.safetensors'}; the new ordinal head of 6 starts "
        "from random weights\n"
    )


@pytest.fixture
def chexnet_file(tmp_path: Path) -> Path:
    """A file of CheXNet's form: a DenseNet-121 with 14 outputs, wrapped by DataParallel."""
    torch.manual_seed(2)
    net = timm.create_model("densenet121", num_classes=14)
    state = {
        f"module.densenet121.{key.replace('classifier', 'classifier.0')}": value
        for key, value in net.state_dict().items()
    }
    torch.save({"state_dict": state, "epoch": 5}, tmp_path / "chexnet.pth.tar")
    return tmp_path / "chexnet.pth.tar"


@pytest.mark.parametrize(
    ("labels", "is_kept"),
    [
        (CHEXNET_LABELS, True),
        (CHEXNET_LABELS[::-1], False),
        (CHEXNET_LABELS[:13], False),
        (tuple(f"finding {index}" for index in range(14)), False),
    ],
)
def test_a_head_of_findings_is_kept_for_the_same_names_in_the_same_order(
    chexnet_file: Path, log_lines: list[str], labels: tuple[str, ...], is_kept: bool
) -> None:
    model = create_model("chexnet", labels=labels, image_size=64, weights=chexnet_file)
    kept = read_state(chexnet_file)["module.densenet121.classifier.0.weight"]
    assert torch.equal(linear_of(model).weight, kept) == is_kept
    if is_kept:
        assert log_lines[-1] == (
            "Kept the published head of 14 outputs: Atelectasis, Cardiomegaly, Effusion, "
            "Infiltration, Mass and 9 more\n"
        )
    else:
        assert f"head of 14 outputs left out of {chexnet_file}" in log_lines[-1]


def test_a_refusal_of_the_encoder_names_the_file(chexnet_file: Path) -> None:
    row = find_architecture("chexnet_xrv")
    model = create_model("chexnet_xrv", image_size=64)
    with pytest.raises(WeightsError) as caught:
        load_published_weights(model, row, chexnet_file)
    assert str(caught.value).startswith(f"{chexnet_file}: its first layer takes 3 channels")


COMPLETE = find_architecture("patchgan_discriminator")


def complete_network() -> StagedModel:
    return create_model(COMPLETE.name, image_size=64)


def save_state(state: dict[str, torch.Tensor], path: Path) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def equal_states(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_network_of_one_piece_takes_its_whole_state(tmp_path: Path, prefix: str) -> None:
    trained, model = complete_network(), complete_network()
    assert not equal_states(trained, model)
    state = {f"{prefix}{key}": value for key, value in trained.state_dict().items()}
    load_published_weights(model, COMPLETE, save_state(state, tmp_path / "whole.safetensors"))
    assert equal_states(trained, model)


def test_a_network_of_one_piece_takes_its_backbone_and_names_the_rest(
    tmp_path: Path, log_lines: list[str]
) -> None:
    trained, model = complete_network(), complete_network()
    state = {**trained.state_dict(), "classifier.1.weight": torch.zeros(3, 2)}
    del state["classifier.1.bias"]
    path = save_state(state, tmp_path / "other_head.safetensors")
    load_published_weights(model, COMPLETE, path)
    assert equal_states(trained.backbone, model.backbone)
    assert "left out classifier.1.weight; these start from random weights: " in log_lines[-1]
    assert log_lines[-1].endswith("classifier.1.weight, classifier.1.bias\n")
    path = save_state(trained.backbone.state_dict(), tmp_path / "backbone.safetensors")
    model = complete_network()
    load_published_weights(model, COMPLETE, path)
    assert equal_states(trained.backbone, model.backbone)
    assert "left out nothing" in log_lines[-1]


def test_a_network_of_one_piece_lists_what_doesnt_fit(published: Path, tmp_path: Path) -> None:
    model = complete_network()
    with pytest.raises(WeightsError, match=r"of another network: it holds 0 of the \d+ tensors"):
        load_published_weights(model, COMPLETE, published)
    state = dict(model.state_dict())
    missing = next(iter(state))
    del state[missing]
    path = save_state(state, tmp_path / "gap.safetensors")
    with pytest.raises(WeightsError, match=f"gap.safetensors: doesn't fit .*: missing {missing}:"):
        load_published_weights(model, COMPLETE, path)


def test_a_file_with_numbers_that_are_none_is_refused(published: Path, tmp_path: Path) -> None:
    state = load_file(published)
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"] * float("nan")
    path = tmp_path / "diverged.safetensors"
    save_file(state, path)
    with pytest.raises(
        WeightsError, match=r"NaN or infinite numbers in layer1\.0\.conv1\.weight: its training fa"
    ):
        load_encoder_weights(encoder_of(), path)
