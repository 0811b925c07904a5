import numpy as np

from csi_predictor.metrics.risk import RISKS, risk_class


def test_classes_end_at_their_limits_inclusively() -> None:
    classes = risk_class(np.array([0, 1.3, 4 / 3, 2.2, 2.25]), medium_above=1.3, high_above=2.2)
    assert [RISKS[int(index)] for index in classes] == ["low", "low", "medium", "medium", "high"]


def test_no_index_has_no_class__weakness_7() -> None:
    assert np.isnan(risk_class(np.array([np.nan]), medium_above=1.3, high_above=2.2)).all()
