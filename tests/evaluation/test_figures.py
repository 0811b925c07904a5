import numpy as np

from csi_predictor.evaluation.figures import plain, plain_counts, with_intervals


def test_undefined_numbers_become_none() -> None:
    assert plain(float("nan")) is None
    assert plain(float("inf")) is None
    assert type(plain(np.float64(0.5))) is float


def test_counts_become_whole_numbers() -> None:
    assert plain_counts(np.array([[1.0, 2.0]])) == [[1, 2]]


def test_a_figure_without_rounds_has_no_interval() -> None:
    assert with_intervals({"mae": np.array([0.5])}) == {
        "mae": 0.5,
        "mae_ci_low": None,
        "mae_ci_high": None,
    }
