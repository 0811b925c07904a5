"""Heat maps as pictures: what they show, how large they are, and that none overwrites another."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from csi_predictor.reporting.heat_maps import (
    MAX_JPEG_BYTES,
    MAX_PNG_BYTES,
    draw_heat_map,
    draw_heat_map_jpeg,
    pick_slice,
    safe_name,
    slice_title,
)

GREY = np.full((96, 96), 0.5, dtype=np.float32)
NOTHING = np.zeros((96, 96), dtype=np.float32)


def spot(height: int = 96, width: int = 96) -> NDArray[np.float32]:
    """One strongest place in the picture's lower right quarter."""
    rows, columns = np.mgrid[0:height, 0:width]
    distance = ((rows / height - 0.75) ** 2 + (columns / width - 0.75) ** 2) / 0.01
    heat = np.exp(-distance)
    return np.where(heat > 0.01, heat / heat.max(), 0).astype(np.float32)


def opened(content: bytes) -> NDArray[np.int64]:
    with Image.open(BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(np.int64)


def colourfulness(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distance from grey."""
    return np.asarray(pixels.max(axis=2) - pixels.min(axis=2))


def test_the_picture_stands_plain_beside_the_one_with_the_map() -> None:
    pixels = opened(draw_heat_map_jpeg(GREY, spot(), has_sides=False))
    left, right = np.array_split(colourfulness(pixels), 2, axis=1)
    assert left.max() < 20
    rows, columns = np.nonzero(right > 60)
    assert rows.mean() / right.shape[0] == pytest.approx(0.75, abs=0.05)
    assert columns.mean() / right.shape[1] == pytest.approx(0.75, abs=0.05)


def test_where_the_heat_is_zero_the_picture_is_left_as_it_is() -> None:
    pixels = opened(draw_heat_map_jpeg(GREY, spot(), has_sides=False))
    upper = pixels[4 : len(pixels) // 3, pixels.shape[1] // 2 + 8 : -8]
    assert abs(upper - 128).max() <= 6


def test_an_empty_map_shows_no_colour_at_all() -> None:
    pixels = opened(draw_heat_map_jpeg(GREY, NOTHING, has_sides=True))
    assert colourfulness(pixels).max() < 20


def test_a_full_map_is_drawn_without_contours() -> None:
    pixels = opened(draw_heat_map_jpeg(GREY, NOTHING + 1, has_sides=False))
    assert (colourfulness(pixels)[8:-8, pixels.shape[1] // 2 + 8 : -8] > 60).all()


def test_contour_lines_stay_in_a_black_and_white_print() -> None:
    light = opened(draw_heat_map_jpeg(GREY, spot(), has_sides=False)).mean(axis=2)
    without = opened(draw_heat_map_jpeg(GREY, NOTHING, has_sides=False)).mean(axis=2)
    half = light.shape[1] // 2
    assert light[:, half:].max() > 235  # white on the map's colours
    assert without[4:-4, half + 4 : -4].max() < 140


def test_a_slice_of_weak_heat_has_no_contour_lines() -> None:
    light = opened(draw_heat_map_jpeg(GREY, 0.2 * spot(), has_sides=False)).mean(axis=2)
    assert light[8:-8, light.shape[1] // 2 + 8 : -8].max() < 200


def sides_of(pixels: NDArray[np.int64]) -> tuple[bool, bool]:
    """Whether white letters stand at the left and the right edge of the second picture."""
    _, right = np.array_split(pixels.mean(axis=2), 2, axis=1)
    middle = right[len(right) // 3 : 2 * len(right) // 3]
    edge = right.shape[1] // 6
    return bool(middle[:, 4:edge].max() > 230), bool(middle[:, -edge:-4].max() > 230)


def test_the_patients_sides_are_marked_where_the_picture_has_them() -> None:
    assert sides_of(opened(draw_heat_map_jpeg(GREY, NOTHING, has_sides=True))) == (True, True)
    assert sides_of(opened(draw_heat_map_jpeg(GREY, NOTHING, has_sides=False))) == (False, False)


def test_the_patients_right_is_at_the_pictures_left(monkeypatch: pytest.MonkeyPatch) -> None:
    places: dict[str, list[float]] = {}

    def text(axes: object, x: float, y: float, letter: str, **_: object) -> None:
        places.setdefault(letter, []).append(x)

    monkeypatch.setattr("matplotlib.axes.Axes.text", text)
    draw_heat_map(GREY, NOTHING, title="Left lower", has_sides=True)
    assert all(x < 0.1 for x in places["R"])
    assert all(x > 0.9 for x in places["L"])
    assert len(places["R"]) == len(places["L"]) == 2  # on both pictures


def test_the_png_has_words_and_a_colour_bar() -> None:
    pixels = opened(draw_heat_map(GREY, spot(), title="Left lower: grade 3", has_sides=False))
    assert (pixels[:25] < 100).any()
    assert pixels[0, 0].tolist() == [255, 255, 255]  # white paper on a white page
    bar = colourfulness(pixels)[:, int(pixels.shape[1] * 0.8) :]
    assert (bar > 60).any(axis=1).mean() > 0.4  # its height, of the figure's


def test_a_title_may_hold_anything() -> None:
    for title in ("$\\nonsense{$", "Befund: Ödem – „groß“", "a" * 500, "word " * 100):
        assert draw_heat_map(GREY, spot(), title=title, has_sides=True)


def test_colour_pictures_keep_their_colours() -> None:
    red = np.zeros((3, 96, 96), dtype=np.float32)
    red[0] = 1
    pixels = opened(draw_heat_map_jpeg(red, NOTHING, has_sides=False))
    assert pixels[20, 20, 0] > 240
    assert pixels[20, 20, 1:].max() < 20


@pytest.mark.parametrize("shape", [(320, 320), (40, 320), (320, 40), (9, 7)])
def test_noise_of_any_shape_stays_small(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random((3, *shape))
    heat = spot(*shape)
    assert len(draw_heat_map(noise, heat, title="Noise", has_sides=True)) <= MAX_PNG_BYTES
    assert len(draw_heat_map_jpeg(noise, heat, has_sides=True)) <= MAX_JPEG_BYTES


def test_only_what_doesnt_pack_loses_quality() -> None:
    with Image.open(BytesIO(draw_heat_map_jpeg(GREY, spot(), has_sides=True))) as drawn:
        coarsest = max(drawn.quantization[0])  # type: ignore[attr-defined]
    assert coarsest <= 50  # the standard's table at quality 82 ends at 44, at quality 50 at 121


def test_two_hundred_cases_fit_into_a_report() -> None:
    # As base64, four bytes for three, below the 15 MB of a whole report.
    assert 200 * MAX_JPEG_BYTES * 4 / 3 < 15e6 - 1e6


def test_a_large_picture_isnt_kept_at_its_size() -> None:
    large = np.zeros((700, 700), dtype=np.float32)
    assert max(opened(draw_heat_map_jpeg(large, large, has_sides=True)).shape) < 600


def test_the_same_drawing_gives_the_same_bytes() -> None:
    first = draw_heat_map(GREY, spot(), title="Again", has_sides=True)
    assert first == draw_heat_map(GREY, spot(), title="Again", has_sides=True)


def test_unknown_pixels_are_black() -> None:
    picture = GREY.copy()
    picture[:48] = np.nan
    pixels = opened(draw_heat_map_jpeg(picture, NOTHING, has_sides=False))
    assert pixels[20, 20].max() < 20


@pytest.mark.parametrize(
    ("picture", "heat", "message"),
    [
        (np.zeros((4, 8, 8)), np.zeros((8, 8)), r"picture has shape \(4, 8, 8\): expected \(H, W"),
        (np.zeros((8, 8)), np.zeros((8, 9)), r"heat has shape \(8, 9\) and the picture \(8, 8\)"),
        (np.zeros((8, 8)), np.full((8, 8), 1.5), "heat has values beyond 0 to 1"),
        (np.zeros((8, 8)), np.full((8, 8), np.nan), "or not a number: expected 0 to 1"),
    ],
)
def test_what_isnt_a_map_of_the_picture_is_an_error__weakness_002_11(
    picture: NDArray[np.float64], heat: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draw_heat_map(picture, heat, title="", has_sides=False)
    with pytest.raises(ValueError, match=message):
        draw_heat_map_jpeg(picture, heat, has_sides=False)


def test_the_slice_with_most_heat_is_picked_and_named() -> None:
    heat = np.zeros((5, 4, 4), dtype=np.float32)
    heat[1, 0, 0] = 1  # the strongest place, but alone
    heat[3] = 0.2
    assert pick_slice(heat) == 3
    assert slice_title("Nodule", pick_slice(heat), len(heat)) == "Nodule, slice 4 of 5"


def test_of_equal_slices_the_first_and_of_an_empty_map_the_middle_one() -> None:
    assert pick_slice(np.ones((5, 2, 2), dtype=np.float32)) == 0
    assert pick_slice(np.zeros((5, 2, 2), dtype=np.float32)) == 2


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4)])
def test_a_slice_of_no_volume_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"heat has shape {shape}: expected (D, H, W)")):
        pick_slice(np.zeros(shape, dtype=np.float32))


AWKWARD = (
    "img1",
    "IMG1",
    "img1 ",
    "a/img1",
    "b/img1",
    "a\\img1",
    "img?1",
    "img:1",
    "胸部",
    "胸部二",
    "",
    ".",
    "..",
    "x" * 300,
    "x" * 301,
    "CON",
    "é",
    "e\u0301",
)


def test_no_two_samples_or_questions_share_a_file__weakness_002_11(tmp_path: Path) -> None:
    questions = ("csi", "CSI", "Pleural effusion", "pleural_effusion")
    names = [safe_name(0, each, question) for each in AWKWARD for question in questions]
    names += [safe_name(index, "img1", "csi") for index in range(1, 40)]
    folded = {name.casefold() for name in names}
    assert len(folded) == len(names)
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == len(names)


@pytest.mark.parametrize("file_id", AWKWARD)
def test_a_name_is_plain_short_and_tells_no_folder(file_id: str) -> None:
    name = safe_name(7, file_id, "Pleural effusion / left")
    assert re.fullmatch(r"00007_[a-z0-9.-]+_pleural-effusion-left_[0-9a-f]{10}\.png", name)
    assert len(name) < 120


def test_folders_of_an_id_stay_out_of_the_name() -> None:
    name = safe_name(0, "/wards/Canary^Yellow/2024\\scan.dcm", "csi")
    assert name.startswith("00000_scan.dcm_csi_")
    assert "canary" not in name.lower()


def test_a_name_stays_the_same() -> None:
    assert safe_name(3, "img1", "csi") == safe_name(3, "img1", "csi")
