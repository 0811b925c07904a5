import pytest
import torch

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d.custom1 import Custom1, build_custom1
from csi_predictor.specs import InputSpec

ROW = find_architecture("custom1")
GREY = InputSpec(size=(224, 224), channels=1, mean=(0.5,), std=(0.5,))


def test_custom1_builds_and_gives_the_width_that_its_row_declares__weakness_2() -> None:
    encoder = build_custom1(ROW, EncoderOptions(input_spec=GREY))
    features = encoder.forward_features(torch.zeros(1, 1, 224, 224))
    assert features.shape == (1, ROW.feature_dim, 7, 7)
    assert encoder.feature_dim == ROW.feature_dim


@pytest.mark.parametrize(("height", "width"), [(32, 32), (97, 131), (320, 200)])
def test_any_size_from_32_on_gives_a_map(height: int, width: int) -> None:
    features = Custom1().forward_features(torch.zeros(2, 1, height, width))
    assert features.shape[2:] == (-(-height // 32), -(-width // 32))


def test_levels_are_the_deepest_resolutions_finest_first() -> None:
    encoder = build_custom1(ROW, EncoderOptions(input_spec=GREY, feature_levels=3))
    maps = encoder.forward_maps(torch.zeros(1, 1, 64, 64))
    assert [tuple(one.shape[1:]) for one in maps] == [(64, 8, 8), (128, 4, 4), (256, 2, 2)]
    assert encoder.feature_dims == (64, 128, 256)


def test_it_has_five_stages() -> None:
    assert [name for name, _ in Custom1().stages()] == [f"block{n}" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"drop_path_rate": 0.1}, r"DROP_PATH_RATE = 0\.1: custom1 has no residual paths"),
        ({"feature_levels": 5}, r"FEATURE_LEVELS = 5: custom1 has 4 resolutions: expected 1 to 4"),
        (
            {"input_spec": InputSpec(size=(31, 64))},
            r"IMAGE_SIZE = 31: custom1 halves .* expected at least 32",
        ),
    ],
)
def test_what_it_lacks_is_refused(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build_custom1(ROW, EncoderOptions(**{"input_spec": GREY, **arguments}))  # type: ignore[arg-type]
