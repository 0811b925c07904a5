import numpy as np
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray

from csi_predictor.data.volume_geometry import axis_taps, resample


def smooth(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(2).random(shape, dtype=np.float32)


def matrix(length: int, size: int, step: float | None = None) -> NDArray[np.float64]:
    taps = axis_taps(length, size, step)
    dense = np.zeros((size, length))
    for row, (indices, weights) in enumerate(zip(taps.indices, taps.weights, strict=True)):
        np.add.at(dense[row], indices, weights)
    return dense


@pytest.mark.parametrize(("length", "size"), [(31, 17), (17, 31), (40, 9), (8, 8), (5, 1), (1, 4)])
def test_a_stretched_axis_is_resized_as_pytorch_does_with_antialias(length: int, size: int) -> None:
    rows = torch.from_numpy(smooth(length, 6))[None, None]
    expected = torch.nn.functional.interpolate(
        rows, (size, 6), mode="bilinear", antialias=True
    ).numpy()[0, 0]
    np.testing.assert_allclose(matrix(length, size) @ rows[0, 0].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("step", [0.5, 0.8, 1.0])
def test_a_finer_grid_is_sampled_as_simpleitk_does(step: float) -> None:
    # SimpleITK's linear interpolator has no antialiasing: the two agree where none is needed.
    volume = smooth(9, 14, 11)
    size = tuple(round(length / step) for length in volume.shape)
    found = resample(
        lambda index: volume[index],
        tuple(axis_taps(n, m, step) for n, m in zip(volume.shape, size, strict=True)),  # type: ignore[arg-type]
    )
    image = SimpleITK.GetImageFromArray(volume)
    reference = SimpleITK.Image([*size[::-1]], SimpleITK.sitkFloat32)
    reference.SetSpacing((step,) * 3)
    middle = [
        (length - 1) / 2 - (count - 1) / 2 * step
        for length, count in zip(volume.shape[::-1], size[::-1], strict=True)
    ]
    reference.SetOrigin(middle)
    expected = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(image, reference, SimpleITK.Transform(), SimpleITK.sitkLinear)
    )
    inner = (slice(1, -1),) * 3  # outside the outermost centres SimpleITK gives 0
    np.testing.assert_allclose(found[inner], expected[inner], atol=2e-6)


def test_a_coarser_grid_is_smoothed_and_keeps_its_distance() -> None:
    # Step 2, reach 2: weights 1/8 3/8 3/8 1/8 around the middle (hand calculation).
    dense = matrix(12, 6, 2.0)
    np.testing.assert_allclose(dense[2], np.eye(12)[3:7].T @ [1 / 8, 3 / 8, 3 / 8, 1 / 8])
    centres = dense[1:-1] @ np.arange(12)
    np.testing.assert_allclose(np.diff(centres), 2.0, atol=1e-6)


@pytest.mark.parametrize(
    ("length", "size", "first"), [(10, 6, 2), (11, 6, 2), (6, 10, -2), (6, 11, -2), (7, 7, 0)]
)
def test_an_axis_of_the_right_distance_is_cut_or_filled_and_nothing_else(
    length: int, size: int, first: int
) -> None:
    expected = np.zeros((size, length))
    for row in range(size):
        if 0 <= row + first < length:
            expected[row, row + first] = 1
    np.testing.assert_array_equal(matrix(length, size, 1.0), expected)


def test_an_axis_in_reverse_gives_the_result_in_reverse() -> None:
    np.testing.assert_allclose(matrix(23, 12, 1.7)[::-1, ::-1], matrix(23, 12, 1.7), atol=1e-7)


def test_planes_outside_the_volume_arent_asked_for() -> None:
    asked = []

    def plane_at(index: int) -> NDArray[np.float32]:
        asked.append(index)
        return np.ones((4, 4), np.float32)

    taps = axis_taps(20, 6, 1.0)
    volume = resample(plane_at, (taps, axis_taps(4, 4), axis_taps(4, 2, 1.0)))
    assert asked == [7, 8, 9, 10, 11, 12]
    assert volume.shape == (6, 4, 2)
    assert (volume == 1).all()
