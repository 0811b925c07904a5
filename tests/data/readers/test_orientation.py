from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK

from csi_predictor.data.readers.orientation import turn_to_lps

VOLUME = np.arange(3 * 4 * 5).reshape(3, 4, 5)


def signed_permutations() -> list[np.ndarray]:
    return [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]


def test_all_48_orientations_become_what_simpleitk_makes_of_them() -> None:
    for directions in signed_permutations():
        image = SimpleITK.GetImageFromArray(VOLUME)
        image.SetDirection(directions.T.ravel().tolist())  # a column is a file axis
        expected = SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(image, "LPS"))
        turn = turn_to_lps(directions)
        np.testing.assert_array_equal(turn.apply(VOLUME), expected)
        np.testing.assert_array_equal(turn.undo(expected), VOLUME)
        assert tuple(VOLUME.shape[2 - axis] for axis in turn.file_axes) == expected.shape
        assert turn.is_turning is not np.array_equal(directions, np.eye(3))
        assert turn.notes == ()


def test_undo_gives_a_view_that_can_be_written_to() -> None:
    turn = turn_to_lps(np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]], float))
    volume = np.zeros([VOLUME.shape[2 - axis] for axis in turn.file_axes])
    turn.undo(volume)[:] = VOLUME
    np.testing.assert_array_equal(volume, turn.apply(VOLUME))


@pytest.mark.parametrize(("degrees", "notes"), [(0.5, 0), (20.0, 1), (-44.0, 1)])
def test_an_oblique_angle_is_noted(degrees: float, notes: int) -> None:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = turn_to_lps(np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, -1]]))
    assert (turn.order, turn.reversed_axes) == ((0, 1, 2), (2,))
    assert turn.oblique_deg == pytest.approx(abs(degrees))
    assert len(turn.notes) == notes
