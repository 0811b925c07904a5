from pathlib import Path

import numpy as np
import pytest
import torch

from csi_predictor.data.prepare import Prepared
from csi_predictor.errors import CsiError
from csi_predictor.scoring.isolation import Lost
from csi_predictor.scoring.reading import Refusal
from csi_predictor.scoring.records import RejectedRecord, ScoreRecord
from csi_predictor.scoring.rules import ScoreRules
from csi_predictor.scoring.scorer import Scorer, hash_setup
from csi_predictor.scoring.worklist import WorkItem


def items(count: int) -> list[WorkItem]:
    return [WorkItem(f"{index}.dcm", Path(f"{index}.dcm"), 1, 1) for index in range(count)]


def grey(make_facts, value: float, **changes) -> Prepared:
    return Prepared(np.full((16, 16), value, np.float32), make_facts(**changes))


def score(predictor, outcomes, batch_size: int = 4, rules: ScoreRules | None = None):
    scorer = Scorer(predictor, rules or ScoreRules(), "d" * 64)
    pairs = zip(items(len(outcomes)), outcomes, strict=True)
    return dict(
        sorted((item.name, record) for item, record in scorer.score(pairs, batch_size=batch_size))
    )


def test_grades_are_given_and_averaged_by_hand(make_predictor, make_facts) -> None:
    # half of the mass at 0 and half at 3: the mean is 1.5, given as 2
    predictor = make_predictor(p_ungradable=(0.0, 0.49, 0.5, 1.0, 0.0, 0.0), fill=0.5)
    record = score(predictor, [grey(make_facts, 0.5)])["0.dcm"]
    assert isinstance(record, ScoreRecord)
    assert record.grades == (2, 2, None, None, 2, 2)
    assert record.expected == (1.5,) * 6
    assert record.p_ungradable == (0.0, 0.49, 0.5, 1.0, 0.0, 0.0)
    assert (record.csi, record.csi_expected, record.risk) == (2.0, 1.5, "medium")
    assert record.quality == "4 of 6 zones gradable"


def test_an_image_with_nothing_gradable_has_no_csi_and_no_risk__weakness_7(
    make_predictor, make_facts
) -> None:
    predictor = make_predictor(p_ungradable=(0.9,) * 6)
    record = score(predictor, [grey(make_facts, 0.0)])["0.dcm"]
    assert isinstance(record, ScoreRecord)
    assert record.grades == (None,) * 6
    assert (record.csi, record.csi_expected, record.risk) == (None, None, "")
    assert record.quality == "0 of 6 zones gradable: no csi"


@pytest.mark.parametrize(("minimum", "csi"), [(2, 0.0), (3, None)])
def test_too_few_gradable_zones_give_no_csi(make_predictor, make_facts, minimum, csi) -> None:
    predictor = make_predictor(p_ungradable=(0.0, 0.0, 0.9, 0.9, 0.9, 0.9))
    rules = ScoreRules(min_gradable_zones=minimum)
    assert score(predictor, [grey(make_facts, 0.0)], rules=rules)["0.dcm"].csi == csi


def test_batches_are_full_but_the_last_and_rejections_take_no_place(predictor, make_facts) -> None:
    outcomes = [grey(make_facts, 0.1)] * 3 + [Lost("timed out after 1 s"), Refusal("COLOUR", "")]
    outcomes += [grey(make_facts, 0.2, view_position="LL")] + [grey(make_facts, 0.3)] * 6
    records = score(predictor, outcomes)
    assert predictor.batch_sizes == [4, 4, 1]
    reasons = {
        name: (record.reason, record.detail)
        for name, record in records.items()
        if isinstance(record, RejectedRecord)
    }
    assert reasons == {
        "3.dcm": ("FAILED", "timed out after 1 s"),
        "4.dcm": ("COLOUR", ""),
        "5.dcm": ("LATERAL", "(0018,5101) View Position = LL: expected a frontal view"),
    }
    assert len(records) == 12


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_scores_do_not_depend_on_the_batch(predictor, make_facts, batch_size: int) -> None:
    outcomes = [grey(make_facts, value) for value in np.linspace(0, 1, 7)]
    found = score(predictor, outcomes, batch_size=batch_size)
    expected = [record.expected for record in score(predictor, outcomes).values()]
    np.testing.assert_allclose([record.expected for record in found.values()], expected, atol=1e-5)


def test_an_answer_that_is_no_number_is_a_failure_and_no_score(make_predictor, make_facts) -> None:
    record = score(make_predictor(fill=float("nan")), [grey(make_facts, 0.5)])["0.dcm"]
    assert isinstance(record, RejectedRecord)
    assert (record.reason, record.detail) == (
        "FAILED",
        "the network's answer is not a finite number",
    )


def test_out_of_memory_names_the_key_to_change(predictor, make_facts, monkeypatch) -> None:
    def fail(_: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(predictor, "predict_pixels", fail)
    with pytest.raises(CsiError, match=r"out of memory with 1 images.*BATCH_SIZE lower"):
        score(predictor, [grey(make_facts, 0.5)])


def test_the_setup_changes_with_model_and_settings_only(make_predictor) -> None:
    setup = hash_setup(make_predictor(), {"max_megapixels": 100.0})
    assert setup == hash_setup(make_predictor(), {"max_megapixels": 100.0})
    assert setup != hash_setup(make_predictor(), {"max_megapixels": 50.0})
    assert setup != hash_setup(make_predictor(model_sha256="9" * 64), {"max_megapixels": 100.0})
