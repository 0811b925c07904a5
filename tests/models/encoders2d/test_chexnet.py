from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from csi_predictor.architectures import CHEXNET_LABELS, XRV_LABELS, find_architecture
from csi_predictor.errors import ConfigError, WeightsError
from csi_predictor.models import create_model
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d.chexnet import CheXNet, build_chexnet
from csi_predictor.models.encoders2d.chexnet_keys import rename_keys
from csi_predictor.specs import InputSpec

State = dict[str, Tensor]
ROW = find_architecture("chexnet")
XRV = find_architecture("chexnet", "xrv")


def reference(channels: int, num_labels: int) -> nn.Module:
    """torchvision's DenseNet-121 with as many findings; every norm with numbers of its own."""
    torch.manual_seed(11)
    net = torchvision.models.densenet121(num_classes=num_labels)
    if channels == 1:
        net.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.ndim == 1 and "num_batches" not in name:
                tensor.uniform_(0.5, 1.5)
            if name.endswith("norm5.bias"):
                tensor.uniform_(-1.5, 0.5)  # else hardly a feature is below zero at the last ReLU
    return net.eval()


@pytest.fixture(scope="module")
def chexnet() -> nn.Module:
    return reference(3, 14)


@pytest.fixture(scope="module")
def xrv() -> nn.Module:
    return reference(1, 18)


def build(row: object = ROW, channels: int | None = None, **options: object) -> CheXNet:
    channels = channels or row.input_spec.channels
    flat = (0.5,) * channels
    spec = InputSpec(size=(64, 64), channels=channels, mean=flat, std=flat)
    return build_chexnet(row, EncoderOptions(input_spec=spec, **options)).eval()


def as_today(state: State) -> State:
    return dict(state)


def as_before_0_4_1(state: State) -> State:
    """`denselayer1.norm.1.weight`, and no counters: github.com/pytorch/vision, pull request 474."""
    old = {}
    for key, tensor in state.items():
        for layer in ("norm", "conv"):
            for index in (1, 2):
                if ".denselayer" in key:
                    key = key.replace(f".{layer}{index}.", f".{layer}.{index}.")
        if "num_batches_tracked" not in key:
            old[key] = tensor
    return old


def with_sigmoid(state: State) -> State:
    return {key.replace("classifier.", "classifier.0."): value for key, value in state.items()}


def wrapped(*prefixes: str) -> Callable[[State], State]:
    return lambda state: {"".join(prefixes) + key: value for key, value in state.items()}


FORMS: dict[str, tuple[Callable[[State], State], ...]] = {
    "torchvision": (as_today,),
    "old names": (as_before_0_4_1,),
    "arnoweng": (as_before_0_4_1, with_sigmoid, wrapped("module.", "densenet121.")),
    "without DataParallel": (as_before_0_4_1, with_sigmoid, wrapped("densenet121.")),
    "DataParallel alone": (with_sigmoid, wrapped("module.")),
    "the other order": (wrapped("densenet121.", "module."),),
    "in a model": (as_before_0_4_1, wrapped("module.", "model.")),
}


def in_form(name: str, net: nn.Module) -> State:
    state = net.state_dict()
    for change in FORMS[name]:
        state = change(state)
    return state


def logits_of(encoder: CheXNet, state: Mapping[str, Tensor], images: Tensor) -> Tensor:
    renamed = encoder.rename_weights(state)
    head = encoder.published_head(renamed)
    assert head is not None
    own = encoder.net.state_dict()
    missing = own.keys() - renamed.keys()
    assert all(key.endswith("num_batches_tracked") for key in missing)
    assert renamed.keys() - own.keys() == {"classifier.weight", "classifier.bias"}
    encoder.net.load_state_dict({key: renamed[key] for key in own.keys() - missing}, strict=False)
    return nn.functional.linear(encoder(images).pooled, *head)


@pytest.mark.parametrize("form", FORMS)
def test_each_key_form_gives_torchvisions_own_logits__weakness_17(
    form: str, chexnet: nn.Module
) -> None:
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found, expected = logits_of(build(), in_form(form, chexnet), images), chexnet(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_the_last_relu_stands_before_the_pooling__weakness_17(chexnet: nn.Module) -> None:
    encoder = build()
    encoder.net.load_state_dict(rename_keys(chexnet.state_dict()), strict=False)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        encoded, unclipped = encoder(images), chexnet.features(images)
    assert (unclipped < 0).float().mean() > 0.1
    torch.testing.assert_close(encoded.maps[-1], unclipped.relu(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(encoded.pooled, unclipped.relu().mean(dim=(2, 3)))


def test_no_parameter_of_the_old_classifier_is_kept__weakness_17() -> None:
    # torchvision's own: 7,978,856 with 1000 classes, less its classifier of 1024 x 1000 + 1000.
    counted = sum(parameter.numel() for parameter in build().parameters())
    assert counted == 7_978_856 - 1_025_000


@pytest.mark.parametrize("has_operating_points", [True, False])
def test_torchxrayvisions_form_of_one_channel_fits(
    has_operating_points: bool, xrv: nn.Module
) -> None:
    state = xrv.state_dict()
    if has_operating_points:
        state["op_threshs"] = torch.rand(18)
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        found, expected = logits_of(build(XRV), state, images), xrv(images)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_torchxrayvisions_range_is_in_the_rows_input() -> None:
    # torchxrayvision.utils.normalize: (2 * (sample / maxval) - 1) * 1024.
    spec = XRV.input_spec
    levels = torch.tensor([0.0, 0.25, 0.5, 1.0])
    expected = (2 * levels - 1) * 1024
    torch.testing.assert_close((levels - spec.mean[0]) / spec.std[0], expected)
    assert (spec.channels, spec.size, spec.percentiles) == (1, (224, 224), (0, 100))


def test_a_file_of_one_channel_is_not_for_chexnet(xrv: nn.Module) -> None:
    text = (
        r"first layer takes 1 channel, and chexnet expects 3: it has TorchXRayVision's form, "
        r"shown -1024 to 1024: set \[MODEL\] MODEL_ARCH = chexnet, VARIANT = xrv"
    )
    for channels in (3, 1):  # also where the user's pictures have one channel: the range differs
        with pytest.raises(WeightsError, match=text):
            build(channels=channels).rename_weights(xrv.state_dict())


@pytest.mark.parametrize("form", ["torchvision", "arnoweng"])
def test_a_file_of_three_channels_is_not_for_xrv(form: str, chexnet: nn.Module) -> None:
    text = r"takes 3 channels, and chexnet_xrv expects 1: it has CheXNet's .* without VARIANT"
    with pytest.raises(WeightsError, match=text):
        build(XRV).rename_weights(in_form(form, chexnet))


def test_a_network_that_a_user_trained_on_one_channel_is_not_refused() -> None:
    trained = create_model("chexnet", image_size=64, in_channels=1, num_classes=2)
    encoder = build(channels=1)
    renamed = encoder.rename_weights(trained.state_dict())
    torch.testing.assert_close(
        renamed["features.conv0.weight"], trained.backbone.net.features.conv0.weight
    )


def test_names_that_only_look_alike_stay() -> None:
    names = (
        "features.transition1.norm.weight",
        "features.denseblock1.denselayer10.norm1.weight",
        "classifier.weight",
        "densenet1210.weight",
    )
    assert tuple(rename_keys(dict.fromkeys(names, torch.zeros(1)))) == names


def test_labels_are_as_many_as_the_files_findings() -> None:
    assert (len(CHEXNET_LABELS), len(XRV_LABELS)) == (14, 18)
    assert (ROW.labels, XRV.labels) == (CHEXNET_LABELS, XRV_LABELS)


def test_a_head_over_two_maps_is_not_the_published_one(chexnet: nn.Module) -> None:
    assert build(feature_levels=2).published_head(chexnet.state_dict()) is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drop_path_rate": 0.1}, r"DROP_PATH_RATE: chexnet has no stochastic depth: expected 0"),
        ({"patch_size": (8, 8)}, r"PATCH_SIZE = 8: chexnet has no patches"),
        ({"pooling": "cls"}, r"POOLING = cls: chexnet has no class token"),
        ({"feature_levels": 6}, r"FEATURE_LEVELS = 6: chexnet has 5 resolutions"),
    ],
)
def test_what_it_lacks_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(**options)


@pytest.fixture
def arnoweng_file(tmp_path: Path, chexnet: nn.Module) -> Path:
    path = tmp_path / "model.pth.tar"
    torch.save({"state_dict": in_form("arnoweng", chexnet), "epoch": 7}, path)
    return path


def test_a_whole_file_gives_the_fourteen_published_answers(
    arnoweng_file: Path, chexnet: nn.Module
) -> None:
    model = create_model("chexnet", image_size=64, labels=CHEXNET_LABELS, weights=arnoweng_file)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found, expected = model.eval()(images).logits, chexnet(images)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_a_whole_file_gives_the_eighteen_answers_of_torchxrayvision(
    tmp_path: Path, xrv: nn.Module
) -> None:
    path = tmp_path / "densenet121-res224-all.safetensors"
    save_file({**xrv.state_dict(), "op_threshs": torch.rand(18)}, path)
    model = create_model("chexnet", "xrv", image_size=64, labels=XRV_LABELS, weights=path)
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        found, expected = model.eval()(images).logits, xrv(images)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_another_head_leaves_the_published_one_out(arnoweng_file: Path, chexnet: nn.Module) -> None:
    model = create_model("chexnet", image_size=64, weights=arnoweng_file).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        output = model(images)
        expected = chexnet.features(images).relu().mean(dim=(2, 3))
    assert output.logits.shape == (2, 6, 4)
    torch.testing.assert_close(output.features, expected, atol=1e-6, rtol=1e-6)


def test_grey_pictures_see_what_three_equal_channels_saw(arnoweng_file: Path) -> None:
    colour = create_model("chexnet", image_size=64, weights=arnoweng_file).eval()
    grey = create_model("chexnet", image_size=64, in_channels=1, weights=arnoweng_file).eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            grey(image).features, colour(image.expand(-1, 3, -1, -1)).features
        )


def test_the_refusal_names_the_file(tmp_path: Path, xrv: nn.Module) -> None:
    path = tmp_path / "xrv.safetensors"
    save_file(xrv.state_dict(), path)
    with pytest.raises(WeightsError, match=r"xrv\.safetensors: .* VARIANT = xrv"):
        create_model("chexnet", image_size=64, weights=path)
