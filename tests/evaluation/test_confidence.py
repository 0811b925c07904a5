from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from csi_predictor.evaluation.confidence import calibration_block, ungradable_block
from csi_predictor.metrics.bootstrap import resample_patients


@pytest.fixture
def predictions(make_predictions):
    rng = np.random.default_rng(4)
    targets = rng.integers(0, 4, (50, 6)).astype(float)
    targets[rng.random((50, 6)) < 0.2] = np.nan
    p_ungradable = np.clip(np.isnan(targets) * 0.3 + rng.random((50, 6)) * 0.6, 0, 1)
    return make_predictions(targets, rng.integers(0, 4, (50, 6)), p_ungradable=p_ungradable)


@pytest.fixture
def resampling(predictions):
    return resample_patients(predictions.patient_ids, rounds=40, seed=0)


def test_ungradable_zones_are_ranked_as_scikit_learn_does(predictions, resampling) -> None:
    block = ungradable_block(predictions, resampling)
    is_ungradable = np.isnan(predictions.targets).ravel()
    score = predictions.p_ungradable.ravel()
    assert block["auroc"] == pytest.approx(roc_auc_score(is_ungradable, score))
    assert block["auprc"] == pytest.approx(average_precision_score(is_ungradable, score))
    is_withheld = score >= 0.5
    assert block["sensitivity"] == pytest.approx(is_withheld[is_ungradable].mean())
    assert block["specificity"] == pytest.approx(1 - is_withheld[~is_ungradable].mean())
    assert block["n_withheld"] == is_withheld.sum()
    assert block["auroc_ci_low"] < block["auroc"] < block["auroc_ci_high"]


def test_confidence_is_that_of_the_given_grade(predictions, resampling) -> None:
    # the mean 1.35 gives grade 1, though grade 0 is the likeliest
    probs = np.broadcast_to([0.4, 0.15, 0.15, 0.3], (50, 6, 4))
    block = calibration_block(replace(predictions, grade_probs=probs), resampling)
    known = np.isfinite(predictions.targets)
    share_right = (predictions.targets[known] == 1).mean()
    assert block["calibration"]["bins"][2]["count"] == known.sum()
    assert block["ece"] == pytest.approx(abs(share_right - 0.15))


def test_an_empty_bin_has_no_accuracy(predictions, resampling) -> None:
    bins = calibration_block(predictions, resampling)["calibration"]["bins"]
    assert len(bins) == 15
    assert bins[3] == {
        "low": pytest.approx(0.2),
        "high": pytest.approx(4 / 15),
        "count": 0,
        "confidence": None,
        "accuracy": None,
    }
    assert sum(each["count"] for each in bins) == np.isfinite(predictions.targets).sum()
