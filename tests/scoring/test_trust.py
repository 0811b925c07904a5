"""What a bundle's trust puts into a score's record."""

from pathlib import Path

import numpy as np
import pytest

from csi_predictor.inference.predictions import Predictions
from csi_predictor.inference.spread import spread_of
from csi_predictor.scoring.rules import ScoreRules
from csi_predictor.scoring.trust import heed, judge_batch
from csi_predictor.uncertainty.triage import TriageSettings
from csi_predictor.uncertainty.trust import Trust, TrustSettings, fit_trust


def trust() -> Trust:
    rng = np.random.default_rng(0)
    count = 300
    logits = rng.normal(0, 1.5, size=(count, 6, 4))
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    names = tuple(map(str, range(count)))
    validation = Predictions(
        file_ids=names,
        patient_ids=names,
        paths=tuple(map(Path, names)),
        targets=(probs.cumsum(axis=-1) < rng.random((count, 6, 1))).sum(axis=-1) * 1.0,
        grade_probs=probs,
        p_ungradable=np.zeros((count, 6)),
    )
    settings = TrustSettings(policies=("budget",), triage=TriageSettings(review_budget=0.3))
    return fit_trust(validation, settings, fitted_on="the validation images")


def batch(*rows: tuple[float, ...]) -> np.ndarray:
    return np.stack([np.tile(np.array(row), (6, 1)) for row in rows])


GRADED = (0,) * 6
SURE, TORN = (0.97, 0.01, 0.01, 0.01), (0.25, 0.25, 0.25, 0.25)


def test_a_sure_image_is_automatic_and_a_torn_one_goes_to_the_reader() -> None:
    probs = batch(SURE, TORN)
    judged = judge_batch(trust(), probs, np.zeros((2, 6)), spread_of(probs[None]), ScoreRules())
    sure, torn = judged.fields(0, GRADED), judged.fields(1, GRADED)
    assert (sure["triage"], torn["triage"]) == ("automatic", "reader")
    assert sure["unsure"] is not None
    assert torn["unsure"] is not None
    assert sure["unsure"] < torn["unsure"]
    assert min(sure["confidence"]) > 0.9
    assert sure["lowest"] == (0,) * 6
    assert torn["highest"][0] - torn["lowest"][0] >= sure["highest"][0] - sure["lowest"][0]


def test_the_grade_lies_in_its_set() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(4) / 2, size=(50, 6))
    judged = judge_batch(trust(), probs, np.zeros((50, 6)), spread_of(probs[None]), ScoreRules())
    given = judged.answers.questions.given
    for index in range(50):
        fields = judged.fields(index, GRADED)
        lowest, highest = (np.array(fields[name], dtype=int) for name in ("lowest", "highest"))  # type: ignore[literal-required]
        assert (lowest <= given[index]).all()
        assert (given[index] <= highest).all()


@pytest.mark.parametrize(
    ("unsure", "csi", "quality"),
    [
        ("ignore", 1.0, "ok"),
        ("flag", 1.0, "unsure, give it to a reader (least sure: left_mid)"),
        ("withhold", None, "csi withheld: unsure, give it to a reader (least sure: left_mid)"),
    ],
)
def test_an_unsure_image_is_flagged_or_withheld(make_score, unsure, csi, quality) -> None:
    record = make_score(
        csi=1.0,
        risk="low",
        quality="ok",
        confidence=(0.9, 0.8, 0.7, 0.3, 0.9, 0.9),
        triage="reader",
    )
    heeded = heed(record, unsure)
    assert (heeded.csi, heeded.quality) == (csi, quality)
    assert heeded.risk == ("" if csi is None else "low")
    assert heed(make_score(triage="automatic", quality="ok"), unsure).quality == "ok"


def test_a_zone_without_a_grade_has_no_confidence_and_no_set(make_score) -> None:
    probs = batch(TORN)
    judged = judge_batch(trust(), probs, np.zeros((1, 6)), spread_of(probs[None]), ScoreRules())
    fields = judged.fields(0, (None, 1, 1, 1, 1, 1))
    for name in ("confidence", "lowest", "highest"):
        values = fields[name]  # type: ignore[literal-required]
        assert values[0] is None
        assert None not in values[1:]
    record = make_score(quality="ok", triage="reader", confidence=(None, 0.9, 0.9, 0.9, 0.9, 0.4))
    assert "least sure: left_inf" in heed(record, "flag").quality
    nothing = make_score(quality="ok", triage="reader", confidence=(None,) * 6)
    assert heed(nothing, "flag").quality == "unsure, give it to a reader"
