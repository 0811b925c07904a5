from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from csi_predictor.data.readers.series_choice import choose_series
from csi_predictor.data.readers.series_slices import Slice
from csi_predictor.errors import ImageError, ReasonCode

FOLDER = Path("study")
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def series(uid: str, count: int = 10, **facts: Any) -> list[Slice]:
    usual: dict[str, Any] = {
        "path": Path("x.dcm"),
        "series_uid": uid,
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "size": (13, 11),
        "orientation": AXIAL,
        "spacing_mm": (0.8, 0.7),
        "thickness_mm": 2.0,
    }
    return [
        Slice(**{"position": (0.0, 0.0, 2.0 * place), **usual, **facts}) for place in range(count)
    ]


def chosen(slices: Sequence[Slice]) -> str:
    return choose_series(slices, folder=FOLDER, min_slices=8).uid


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (series("b"), series("a", 40, orientation=CORONAL)),
        (series("b"), series("a", 40, image_type=("DERIVED", "PRIMARY", "AXIAL"))),
        (series("b"), series("a", 40, image_type=("ORIGINAL", "SECONDARY", "AXIAL"))),
        (series("b", 11), series("a", 10, thickness_mm=0.5)),
        (series("b", thickness_mm=1.0), series("a", thickness_mm=1.25)),
        (series("b"), series("a", thickness_mm=None)),
        (series("a"), series("b")),
        (series("b"), series("a", 7)),
        (series("b"), series("a", 40, rescale_type="Z_EFF")),
        (series("b"), series("a", 40, position=())),
        (series("b"), series("a", 40, is_ct=False)),
        (series("b"), series("a", 40, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))),
    ],
)
def test_a_series_is_chosen_by_the_stated_rules(better: list[Slice], worse: list[Slice]) -> None:
    uid = better[0].series_uid
    assert chosen([*better, *worse]) == chosen([*worse, *better]) == uid


def test_an_unspecified_unit_is_hounsfields_in_an_original_image_only() -> None:
    assert chosen(series("a", rescale_type="US")) == "a"
    with pytest.raises(ImageError, match="Rescale Type = US, not HU"):
        chosen(series("a", rescale_type="US", image_type=("DERIVED", "PRIMARY", "PERFUSION")))


def test_a_choice_is_noted_and_a_single_series_isnt() -> None:
    both = [*series("a", 12), *series("b", 9, thickness_mm=1.0)]
    assert choose_series(both, folder=FOLDER, min_slices=8).notes == (
        "one of 2 CT series taken: axial, original, 12 slices of 2 mm",
    )
    assert choose_series(series("a"), folder=FOLDER, min_slices=8).notes == ()


def test_localizers_in_the_series_are_left_out_and_noted() -> None:
    scouts = series("a", 2, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), orientation=CORONAL)
    found = choose_series([*scouts, *series("a")], folder=FOLDER, min_slices=8)
    assert len(found.slices) == 10
    assert found.notes == ("2 localizers in the series left out",)


@pytest.mark.parametrize(
    ("slices", "reason", "text"),
    [
        ([], "NOT_DICOM", "no DICOM file: expected the slices of a CT series"),
        (series("a", is_ct=False), "UNSUPPORTED_SOP_CLASS", "1 series with no CT image: expected"),
        (series("a", 7), "TRUNCATED", "1 series with 7 slices: expected a CT series of 8 slices"),
        (
            series("a", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
            "UNSUPPORTED_SOP_CLASS",
            "only localizers",
        ),
        (series("a", rescale_type="ED"), "UNSUPPORTED_SOP_CLASS", r"Rescale Type = ED, not HU"),
        (series("a", orientation=()), "BAD_HEADER", "10 of 10 slices without .0020,0032. Image"),
        (
            [*series("a", is_ct=False), *series("b", 3)],
            "TRUNCATED",
            "1 series with no CT image; 1 series with 3 slices",
        ),
    ],
)
def test_without_a_usable_series_all_faults_are_named(
    slices: list[Slice], reason: ReasonCode, text: str
) -> None:
    with pytest.raises(ImageError, match=text) as caught:
        choose_series(slices, folder=FOLDER, min_slices=8)
    assert (caught.value.reason, caught.value.path) == (reason, FOLDER)
