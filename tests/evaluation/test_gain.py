import numpy as np

from csi_predictor.evaluation.comparison import Grading, grading_of
from csi_predictor.evaluation.gain import gain_block
from csi_predictor.metrics.bootstrap import resample_patients

TRUTH = grading_of(np.array([[0.0] * 6, [3] * 6]))
CONSTANT = grading_of(np.full((2, 6), 1.0))


def test_gain_is_positive_where_the_model_is_better() -> None:
    gain = gain_block(TRUTH, TRUTH, CONSTANT, resample_patients(("a", "b"), rounds=0, seed=0))
    assert gain["zone_mae"] == 1.5
    assert gain["zone_qwk"] == 1.0
    assert gain["csi_mae"] == 1.5


def test_gain_in_the_index_is_over_the_images_that_the_model_answers() -> None:
    model = Grading(grades=TRUTH.grades, csi=np.array([0.0, np.nan]))
    gain = gain_block(TRUTH, model, CONSTANT, resample_patients(("a", "b"), rounds=0, seed=0))
    assert gain["csi_mae"] == 1.0
