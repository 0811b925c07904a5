import json
from dataclasses import replace
from typing import Any

import pytest

from csi_predictor.errors import ConfigError
from csi_predictor.models.input_spec import adapt_input_spec
from csi_predictor.specs import InputSpec

COLOUR = InputSpec(size=(224, 224), interpolation="bicubic")


def test_without_changes_the_published_picture_stays() -> None:
    assert adapt_input_spec(COLOUR) == COLOUR


def test_the_users_changes_are_taken() -> None:
    spec = adapt_input_spec(
        COLOUR,
        image_size=320,
        fit="letterbox",
        voi="ignore",
        low_percentile=0.0,
        high_percentile=100.0,
    )
    assert (spec.size, spec.fit, spec.voi) == ((320, 320), "letterbox", "ignore")
    assert spec.percentiles == (0.0, 100.0)
    assert spec.interpolation == "bicubic"


@pytest.mark.parametrize(
    ("strategy", "channels", "mean", "std"),
    [
        ("medical", 3, (0.5,) * 3, (0.5,) * 3),
        ("medical", 1, (0.5,), (0.5,)),
        ("imagenet", 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("simple", 1, (0.0,), (1.0,)),
    ],
)
def test_a_strategy_names_mean_and_deviation(
    strategy: str, channels: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    spec = adapt_input_spec(COLOUR, normalization=strategy, in_channels=channels)
    assert (spec.mean, spec.std) == (mean, std)


def test_a_grey_picture_takes_the_mean_of_the_colours() -> None:
    spec = adapt_input_spec(COLOUR, in_channels=1)
    assert spec.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert spec.std == pytest.approx(((0.229 + 0.224 + 0.225) / 3,))


def test_custom_numbers_are_one_or_one_a_channel() -> None:
    one = adapt_input_spec(
        COLOUR, normalization="custom", custom_mean=(0.3,), custom_std=(0.1, 0.2, 0.4)
    )
    assert (one.mean, one.std) == ((0.3,) * 3, (0.1, 0.2, 0.4))


def test_custom_numbers_of_another_count_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[DATA\] CUSTOM_MEAN has 3 numbers: expected 1, or 1"):
        adapt_input_spec(
            COLOUR,
            in_channels=1,
            normalization="custom",
            custom_mean=(0.1, 0.2, 0.3),
            custom_std=(1.0,),
        )


def test_fields_come_back_from_a_dictionary_and_absent_ones_are_unset() -> None:
    spec = InputSpec(size=(518, 518), is_eight_bit=True, processor='{"resample": 3}')
    assert InputSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    # As bundles hold it that were saved before the two fields existed.
    old = COLOUR.to_dict()
    del old["is_eight_bit"], old["processor"]
    assert InputSpec.from_dict(old) == COLOUR


def test_an_official_processor_leaves_intensity_and_channels_to_the_user() -> None:
    official = replace(COLOUR, processor="{}", is_eight_bit=True)
    spec = adapt_input_spec(
        official, in_channels=1, voi="ignore", low_percentile=1.0, high_percentile=99.0
    )
    assert (spec.channels, spec.voi, spec.percentiles) == (1, "ignore", (1.0, 99.0))
    assert (spec.processor, spec.is_eight_bit) == ("{}", True)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"image_size": 224}, r"\[MODEL\] IMAGE_SIZE"),
        ({"fit": "letterbox"}, r"\[DATA\] FIT"),
        ({"normalization": "simple"}, r"\[DATA\] NORMALIZATION_STRATEGY"),
    ],
)
def test_what_an_official_processor_sets_cant_be_changed(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: the official processor sets it: expected auto"):
        adapt_input_spec(replace(COLOUR, processor="{}"), **changes)
