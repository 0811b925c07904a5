from pathlib import Path

import pytest
import torch

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import ConfigError, WeightsError
from csi_predictor.models import create_model
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d.densenet264 import build_densenet264
from csi_predictor.specs import InputSpec

ROW = find_architecture("densenet264")
GROWTH = 32


def parameters_by_hand(blocks: tuple[int, ...], classes: int) -> int:
    """DenseNet-BC, Huang et al. 2017, section 3: bottlenecks of 4 k, half the width between blocks.

    A norm has two numbers a channel; convolutions have no bias.
    """
    width = 2 * GROWTH
    total = 3 * width * 7 * 7 + 2 * width
    for index, layers in enumerate(blocks):
        for _ in range(layers):
            inner = 4 * GROWTH
            total += 2 * width + width * inner
            total += 2 * inner + inner * GROWTH * 3 * 3
            width += GROWTH
        if index < len(blocks) - 1:
            total += 2 * width + width * (width // 2)
            width //= 2
    return total + 2 * width + (width + 1) * classes


def test_the_formula_gives_the_published_counts_of_the_shallower_networks() -> None:
    # torchvision's table: densenet121, 169 and 201.
    assert parameters_by_hand((6, 12, 24, 16), 1000) == 7_978_856
    assert parameters_by_hand((6, 12, 32, 32), 1000) == 14_149_480
    assert parameters_by_hand((6, 12, 48, 32), 1000) == 20_013_928


def test_densenet264_has_the_parameters_of_the_formula() -> None:
    with torch.device("meta"):
        model = create_model("densenet264", num_classes=1000)
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert counted == parameters_by_hand((6, 12, 64, 48), 1000) == ROW.parameters
    assert counted == pytest.approx(33e6, rel=0.02)  # "about 33M"


def test_it_gives_the_width_that_its_row_declares() -> None:
    model = create_model("densenet264", image_size=32, in_channels=1).eval()
    with torch.no_grad():
        encoded = model.backbone(torch.randn(1, 1, 32, 32))
    # By hand: 64 + 6 k = 256, halved and + 12 k = 512, + 64 k = 2304, halved + 48 k = 2688.
    assert encoded.pooled.shape == (1, 2688)
    assert encoded.maps[-1].shape == (1, 2688, 1, 1)
    assert model.feature_dim == ROW.feature_dim == 2688


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drop_path_rate": 0.1}, r"DROP_PATH_RATE: densenet264 has no stochastic depth"),
        ({"patch_size": (8, 8)}, r"PATCH_SIZE = 8: densenet264 has no patches"),
        ({"pooling": "cls"}, r"POOLING = cls: densenet264 has no class token"),
        (
            {"input_spec": InputSpec(size=(28, 64))},
            r"IMAGE_SIZE = 28: densenet264 halves the picture five times: expected at least 29",
        ),
    ],
)
def test_what_it_lacks_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text), torch.device("meta"):
        build_densenet264(
            ROW, EncoderOptions(**{"input_spec": InputSpec(size=(32, 32)), **options})
        )


def test_the_smallest_picture_that_is_accepted_gives_one_place() -> None:
    with torch.device("meta"):
        options = EncoderOptions(input_spec=InputSpec(size=(29, 29)))
        encoder = build_densenet264(ROW, options).eval()
        assert encoder.forward_maps(torch.zeros(1, 3, 29, 29))[-1].shape[2:] == (1, 1)


def test_pretrained_is_refused_for_nobody_has_published_weights(tmp_path: Path) -> None:
    assert not ROW.has_published_weights
    with pytest.raises(WeightsError, match="densenet264 has no published weights"):
        create_model("densenet264", image_size=32, pretrained=True, models_cache=tmp_path)
