"""Answers about zones and labels alike."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from csi_predictor.config import load_config
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.manifest import Row
from csi_predictor.inference.bundle import load_bundle, save_bundle
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.inference.predictor import open_predictor
from csi_predictor.models.create import create_model
from csi_predictor.uncertainty.trust import Answers, join_answers
from csi_predictor.workflows.answers import predict

KEYS = ("TRAINING.BATCH_SIZE=2", "SCORING.UNGRADABLE_THRESHOLD=0.3", "SCORING.MIN_GRADABLE_ZONES=2")


def draw(path: Path, spec: Any) -> SimpleNamespace:
    rng = np.random.default_rng(int(path.name))
    return SimpleNamespace(pixels=rng.random(spec.size, dtype=np.float32))


def ask(folder: Path, numbers: list[int], **model: Any) -> Answers:
    torch.manual_seed(0)
    network = create_model("custom1", image_size=32, **model)
    save_bundle(
        folder,
        [network.state_dict()],
        spec=network.spec,
        test_time="none",
        baseline_grades=(1.0,) * 6,
        learnt_ids=(),
        training={},
        config_ini="",
    )
    predictor = open_predictor([load_bundle(folder)], device=torch.device("cpu"))
    cache = PreparedCache("none", folder, predictor.input_spec, prepare=draw)
    width = predictor.target_spec.num_targets
    rows = [Row(f"{n}", f"P{n}", Path(f"{n}"), (1.0,) * width) for n in numbers]
    return predict(load_config(None, KEYS, {}), predictor, rows, cache)


def test_zones_are_answered_with_the_inis_rules(tmp_path: Path) -> None:
    found = ask(tmp_path, [4, 1, 2])
    assert isinstance(found, Predictions)
    assert found.file_ids == ("4", "1", "2")
    assert (found.ungradable_threshold, found.min_gradable_zones) == (0.3, 2)


@pytest.mark.parametrize(
    "model", [{"labels": ("a", "b")}, {"labels": ("x", "y", "z"), "task": "multiclass"}, {}]
)
def test_joined_parts_are_what_one_call_answers(tmp_path: Path, model: dict[str, Any]) -> None:
    whole = ask(tmp_path, [3, 1, 2], **model)
    joined = join_answers([ask(tmp_path, [3], **model), ask(tmp_path, [1, 2], **model)])
    assert type(joined) is type(whole)
    assert joined.file_ids == whole.file_ids == ("3", "1", "2")
    assert joined.patient_ids == whole.patient_ids
    np.testing.assert_array_equal(joined.targets, whole.targets)
    name = "probs" if isinstance(whole, LabelPredictions) else "grade_probs"
    np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), atol=1e-6)
