import pickle
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from csi_predictor.config.choices import Corruption as CorruptionName
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    CorruptedStore,
    MirroredStore,
    corrupt,
)
from csi_predictor.data.dataset import ImageDataset
from csi_predictor.data.manifest import Row
from csi_predictor.data.prepare import prepare
from csi_predictor.inference.rows import row_loader
from csi_predictor.specs import InputSpec

Floats = NDArray[np.float32]
SHAPES = {"grey": (61, 47), "colour": (3, 61, 47), "volume": (9, 31, 37)}


def chest(height: int = 97, width: int = 83) -> Floats:
    """Two dark lungs with vessels in a bright body on black, with a little grain."""
    rows, columns = np.mgrid[0:height, 0:width]
    y, x = 2 * rows / height - 1, 2 * columns / width - 1
    body = 0.75 * ((x / 0.95) ** 4 + y**8 < 0.9)
    lungs = sum(((x - side) / 0.32) ** 2 + (y / 0.7) ** 2 < 1 for side in (-0.42, 0.42))
    vessels = 0.25 * (np.sin(14 * x + 9 * y) > 0.8) * lungs
    grain = 0.02 * np.random.default_rng(0).standard_normal((height, width))
    shown = ndimage.gaussian_filter(body - 0.45 * lungs + vessels, 0.7) + grain
    return np.clip(shown, 0, 1).astype(np.float32)


def draw(kind: str, seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed).random(SHAPES[kind])
    smooth = ndimage.gaussian_filter(noise, 1.5)
    scaled = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return scaled.astype(np.float32)


def damage(pixels: Floats, name: str, severity: int, seed: int = 0, **kind: bool) -> Floats:
    return corrupt(pixels, name, severity=severity, rng=np.random.default_rng(seed), **kind)


def flat(value: float, *shape: int) -> Floats:
    return np.full(shape or (200, 200), value, dtype=np.float32)


def test_the_table_has_the_names_of_the_ini() -> None:
    assert tuple(CORRUPTIONS) == get_args(CorruptionName)
    assert all(len(each.strengths) == len(SEVERITIES) == 5 for each in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("kind", SHAPES)
def test_damage_keeps_shape_and_range_and_leaves_the_argument(name: str, kind: str) -> None:
    pixels = draw(kind)
    pixels.flags.writeable = False
    before = pixels.copy()
    for severity in SEVERITIES:
        found = damage(pixels, name, severity, is_volume=kind == "volume")
        assert found.shape == pixels.shape
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert found.flags.writeable
        assert 0 <= found.min() <= found.max() <= 1
        assert not np.array_equal(found, before)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_grows_with_severity(name: str) -> None:
    change = [np.abs(damage(chest(), name, severity) - chest()).mean() for severity in SEVERITIES]
    assert np.all(np.diff(change) > 0), change
    assert change[0] > 0.001


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_of_a_real_radiograph_grows_with_severity(shared_data: Path, name: str) -> None:
    path = shared_data / "six_zone" / "images" / "cxr002.jpg"
    pixels = prepare(path, InputSpec(size=(128, 128))).pixels
    change = [np.abs(damage(pixels, name, severity) - pixels).mean() for severity in SEVERITIES]
    assert np.all(np.diff(change) > 0), change


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    first = damage(chest(), name, 3, seed=7)
    damage(chest(), name, 5, seed=1)
    np.testing.assert_array_equal(damage(chest(), name, 3, seed=7), first)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_the_standard_deviation_of_the_table(severity: int) -> None:
    sigma = CORRUPTIONS["noise"].strengths[severity - 1]
    found = damage(flat(0.5, 300, 300), "noise", severity)
    # scipy's normal density, cut at 0 and 1 as the pixels are
    cut = np.clip(stats.norm(0.5, sigma).ppf((np.arange(100_000) + 0.5) / 100_000), 0, 1)
    assert found.std() == pytest.approx(cut.std(), rel=0.01)
    assert found.mean() == pytest.approx(0.5, abs=0.005)
    inside = (found > 0) & (found < 1)
    assert inside.mean() == pytest.approx(2 * stats.norm.cdf(0.5 / sigma) - 1, abs=0.01)


def test_noise_of_colours_is_independent() -> None:
    found = damage(flat(0.5, 3, 90, 90), "noise", 1)
    assert abs(np.corrcoef(found.reshape(3, -1))[0, 1]) < 0.05


def test_brightness_is_added_or_taken_away() -> None:
    pixels = np.array([[0.0, 0.25], [0.5, 1.0]], dtype=np.float32)
    found = {damage(pixels, "brightness", 3, seed=seed).tobytes() for seed in range(20)}
    # by hand: 0.3 more, or 0.3 less, cut at 1 and 0
    lighter = np.array([[0.3, 0.55], [0.8, 1.0]], dtype=np.float32)
    darker = np.array([[0.0, 0.0], [0.2, 0.7]], dtype=np.float32)
    values = [np.frombuffer(each, np.float32).reshape(2, 2) for each in found]
    values.sort(key=np.sum)
    np.testing.assert_allclose(values, [darker, lighter], atol=1e-6)


def test_contrast_shrinks_the_distance_from_the_mean() -> None:
    pixels = np.array([[0.0, 0.2], [0.6, 0.8]], dtype=np.float32)
    # by hand: the mean 0.4 stays, half of each distance is left
    half = [[0.2, 0.3], [0.5, 0.6]]
    np.testing.assert_allclose(damage(pixels, "contrast", 3), half, atol=1e-6)


def test_contrast_has_a_mean_for_each_colour_and_one_for_a_volume() -> None:
    pixels = np.stack([flat(0.1, 5, 5), flat(0.5, 5, 5), flat(0.9, 5, 5)])
    np.testing.assert_allclose(damage(pixels, "contrast", 5), pixels, atol=1e-6)
    volume = damage(pixels, "contrast", 5, is_volume=True)
    np.testing.assert_allclose(volume[:, 0, 0], [0.42, 0.5, 0.58], atol=1e-6)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_is_scipys_with_sigma_as_a_share_of_each_edge(severity: int) -> None:
    share = CORRUPTIONS["blur"].strengths[severity - 1]
    pixels = draw("grey")
    sigma = (share * 61, share * 47)
    expected = ndimage.gaussian_filter(pixels.astype(np.float64), sigma, mode="nearest")
    np.testing.assert_allclose(damage(pixels, "blur", severity), expected, atol=1e-5)


def test_a_blurred_point_is_the_normal_density() -> None:
    pixels = np.zeros((401, 401), dtype=np.float32)
    pixels[200, 200] = 1
    sigma = 0.018 * 401
    middle = stats.norm(0, sigma).pdf(np.arange(-200, 201))
    expected = middle * stats.norm(0, sigma).pdf(0)
    np.testing.assert_allclose(damage(pixels, "blur", 4)[200], expected, atol=1e-6)


def test_colours_do_not_run_into_each_other_but_slices_do() -> None:
    pixels = np.zeros((3, 41, 41), dtype=np.float32)
    pixels[1] = 0.8
    np.testing.assert_allclose(damage(pixels, "blur", 5), pixels, atol=1e-6)
    slices = np.zeros((61, 41, 41), dtype=np.float32)
    slices[30] = 0.8
    found = damage(slices, "blur", 5, is_volume=True)
    expected = ndimage.gaussian_filter1d(slices[:, 0, 0], 0.027 * 61, mode="nearest")
    np.testing.assert_allclose(found[:, 20, 20], expected, atol=1e-6)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_salt_and_pepper_strike_the_share_of_the_table(severity: int) -> None:
    share = CORRUPTIONS["salt_and_pepper"].strengths[severity - 1]
    found = damage(flat(0.5, 400, 400), "salt_and_pepper", severity)
    # four standard errors of a binomial share of 160,000
    tolerance = 4 * (share / 2 / 160_000) ** 0.5
    assert (found == 1).mean() == pytest.approx(share / 2, abs=tolerance)
    assert (found == 0).mean() == pytest.approx(share / 2, abs=tolerance)
    assert set(np.unique(found)) == {0.0, 0.5, 1.0}


def test_a_struck_pixel_is_struck_in_all_colours() -> None:
    found = damage(draw("colour") * 0.8 + 0.1, "salt_and_pepper", 5)
    is_white = found == 1
    assert is_white.any()
    assert (is_white.all(axis=0) == is_white.any(axis=0)).all()
    slices = damage(draw("volume"), "salt_and_pepper", 5, is_volume=True) == 1
    assert (slices[0] != slices[1]).any()


@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_jpeg_is_pillows_file_as_another_decoder_reads_it(kind: str) -> None:
    pixels = draw(kind)
    channels_last = pixels if kind == "grey" else np.moveaxis(pixels, 0, -1)
    buffer = BytesIO()
    Image.fromarray(np.rint(channels_last * 255).astype(np.uint8)).save(buffer, "JPEG", quality=15)
    levels = imagecodecs.jpeg8_decode(buffer.getvalue())
    expected = levels if kind == "grey" else np.moveaxis(levels, -1, 0)
    found = damage(pixels, "jpeg", 3) * 255
    np.testing.assert_allclose(found, np.rint(found), atol=1e-4)
    assert np.abs(found - expected).max() <= 2  # inverse transforms may round otherwise
    assert np.abs(found - expected).mean() < 0.1


def test_jpeg_of_a_volume_is_that_of_each_slice() -> None:
    pixels = draw("volume")
    found = damage(pixels, "jpeg", 4, is_volume=True)
    for index in (0, 5, 8):
        np.testing.assert_array_equal(found[index], damage(pixels[index], "jpeg", 4))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_rotation_is_scipys_either_way(severity: int) -> None:
    degrees = CORRUPTIONS["rotation"].strengths[severity - 1]
    pixels = draw("grey")
    turned = [
        ndimage.rotate(pixels, sign * degrees, reshape=False, order=1, mode="constant")
        for sign in (1, -1)
    ]
    ways = set()
    for seed in range(8):
        found = damage(pixels, "rotation", severity, seed=seed)
        gaps = [np.abs(found - each)[15:-15, 15:-15].max() for each in turned]
        ways.add(int(np.argmin(gaps)))
        assert min(gaps) < 1e-3 < max(gaps)
    assert ways == {0, 1}


def test_rotation_brings_in_black_and_turns_every_slice_alike() -> None:
    white = damage(flat(1, 4, 51, 51), "rotation", 5, is_volume=True)
    assert white[:, 0, 0].max() == white[:, -1, -1].max() == 0
    assert white[:, 25, 25].min() == 1
    np.testing.assert_array_equal(white[0], white[3])


@pytest.mark.parametrize("severity", SEVERITIES)
def test_crop_is_a_window_that_pillow_resizes(severity: int) -> None:
    kept = 1 - CORRUPTIONS["crop"].strengths[severity - 1]
    columns = np.broadcast_to((np.arange(80) + 0.5) / 80, (60, 80)).astype(np.float32)
    rows = np.broadcast_to((np.arange(60)[:, None] + 0.5) / 60, (60, 80)).astype(np.float32)
    across = damage(columns, "crop", severity, seed=2)[30] * 80
    down = damage(rows, "crop", severity, seed=2)[:, 40] * 60
    np.testing.assert_allclose(np.diff(across)[2:-2], kept, atol=1e-4)  # by hand
    # the ramps tell where the window lies: its middle is seen in the middle
    left, top = across[40] - 40.5 * kept, down[30] - 30.5 * kept
    assert 0 <= left <= 80 * (1 - kept)
    assert 0 <= top <= 60 * (1 - kept)
    picture = ndimage.gaussian_filter(np.random.default_rng(1).random((60, 80)), 2)
    picture = picture.astype(np.float32)
    window = (float(left), float(top), float(left + kept * 80), float(top + kept * 60))
    expected = Image.fromarray(picture).resize((80, 60), Image.Resampling.BILINEAR, box=window)
    found = damage(picture, "crop", severity, seed=2)
    np.testing.assert_allclose(found[2:-2, 2:-2], np.asarray(expected)[2:-2, 2:-2], atol=1e-3)


def test_a_volume_loses_slices_to_a_crop_and_a_picture_no_colour() -> None:
    body = np.broadcast_to(np.linspace(0, 1, 40)[:, None, None], (40, 8, 8)).astype(np.float32)
    found = damage(body, "crop", 5, is_volume=True)
    assert found.max() - found.min() == pytest.approx(0.7, abs=0.03)
    colours = np.stack([flat(0.1, 9, 9), flat(0.5, 9, 9), flat(0.9, 9, 9)])
    np.testing.assert_allclose(damage(colours, "crop", 5), colours, atol=1e-6)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_single_pixel_survives(name: str) -> None:
    assert damage(flat(0.5, 1, 1), name, 5).shape == (1, 1)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="corruption fog: expected one of noise, brightness, con"):
        damage(chest(), "fog", 1)
    with pytest.raises(ValueError, match="severity 6 of noise: expected 1, 2, 3, 4 or 5"):
        damage(chest(), "noise", 6)
    text = r"pixels of shape \(2, 5, 5\): expected \(H, W\) or \(3, H, W\)"
    with pytest.raises(ValueError, match=text):
        damage(flat(0, 2, 5, 5), "noise", 1)
    with pytest.raises(ValueError, match=r"pixels of shape \(5, 5\): expected \(D, H, W\)"):
        damage(flat(0, 5, 5), "noise", 1, is_volume=True)


def render(path: Path, spec: InputSpec) -> SimpleNamespace:
    rng = np.random.default_rng(int(path.name))
    return SimpleNamespace(pixels=rng.random(spec.size, dtype=np.float32))


def make_rows(*numbers: int) -> list[Row]:
    return [Row(f"cxr{n}", f"P{n}", Path(f"{n}"), (1.0,) * 6) for n in numbers]


@pytest.fixture
def clean(tmp_path: Path) -> PreparedCache:
    spec = InputSpec(size=(24, 20), channels=1, mean=(0.5,), std=(0.5,))
    return PreparedCache("memory", tmp_path, spec, prepare=render)


def test_a_stores_damage_depends_on_seed_name_severity_and_id_alone(clean: PreparedCache) -> None:
    first, second = make_rows(1, 2)
    store = CorruptedStore(clean, "noise", severity=2, seed=5)
    alone = store.get(second)
    store.get(first)
    np.testing.assert_array_equal(store.get(second), alone)
    renamed = Row("other", second.patient_id, second.path, second.targets)
    others = [
        CorruptedStore(clean, "noise", severity=2, seed=6).get(second),
        CorruptedStore(clean, "noise", severity=3, seed=5).get(second),
        CorruptedStore(clean, "salt_and_pepper", severity=2, seed=5).get(second),
        store.get(renamed),
    ]
    assert all(not np.array_equal(other, alone) for other in others)
    np.testing.assert_array_equal(clean.get(second), render(Path("2"), clean.spec).pixels)


def test_a_store_goes_to_another_process_and_gives_the_same_bits(clean: PreparedCache) -> None:
    rows = make_rows(3, 4)
    for store in (CorruptedStore(clean, "crop", severity=4, seed=1), MirroredStore(clean)):
        store.fill(rows)
        sent = pickle.loads(pickle.dumps(store))
        assert sent.spec == clean.spec
        for row in rows:
            np.testing.assert_array_equal(sent.get(row), store.get(row))


def test_a_store_of_volumes_damages_volumes(tmp_path: Path) -> None:
    spec = InputSpec(size=(3, 12, 12), channels=1, mean=(0.5,), std=(0.5,))
    cache = PreparedCache("none", tmp_path, spec, prepare=render)
    (row,) = make_rows(1)
    found = CorruptedStore(cache, "salt_and_pepper", severity=5, seed=0).get(row) == 1
    assert (found[0] != found[1]).any()


def test_a_mirrored_store_exchanges_left_and_right(clean: PreparedCache) -> None:
    (row,) = make_rows(1)
    found = MirroredStore(clean).get(row)
    np.testing.assert_array_equal(found, np.fliplr(clean.get(row)))
    assert found.flags.c_contiguous


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_one_loader_takes_the_stores(clean: PreparedCache, name: str) -> None:
    rows = make_rows(1, 2, 3)
    for store in (CorruptedStore(clean, name, severity=1, seed=0), MirroredStore(clean)):
        loader = row_loader(rows, spec=clean.spec, cache=store, batch_size=2)
        assert [tuple(batch.pixels.shape) for batch in loader] == [(2, 1, 24, 20), (1, 1, 24, 20)]
        assert len(ImageDataset(rows, spec=clean.spec, cache=store)) == 3
