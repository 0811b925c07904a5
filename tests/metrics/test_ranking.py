import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from csi_predictor.metrics.ranking import auroc, average_precision


@pytest.fixture
def cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    is_positive = rng.random(200) < 0.15
    score = np.round(is_positive * 0.3 + rng.random(200), 1)  # many ties
    return is_positive, score, rng.integers(0, 4, (5, 200)).astype(float)


def test_areas_equal_scikit_learns_for_each_weighting(cases) -> None:
    is_positive, score, weights = cases
    for figure, reference in (
        (auroc, roc_auc_score),
        (average_precision, average_precision_score),
    ):
        expected = [reference(is_positive, score, sample_weight=row) for row in weights]
        np.testing.assert_allclose(figure(is_positive, score, weights), expected)


@pytest.mark.parametrize("figure", [auroc, average_precision])
@pytest.mark.parametrize("is_positive", [[True, True], [False, False], []])
def test_one_kind_only_is_undefined(figure, is_positive) -> None:
    flags = np.array(is_positive, dtype=bool)
    assert np.isnan(figure(flags, np.linspace(0, 1, len(flags)), np.ones((1, len(flags))))).all()
