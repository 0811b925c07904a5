"""What a bundle of labels knows of the rows that it learnt from."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from csi_predictor.config import load_config
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split import Split
from csi_predictor.models.create import create_model
from csi_predictor.runtime import Compute
from csi_predictor.specs import InputSpec, TargetSpec
from csi_predictor.training.run import Place, TrainedNetwork
from csi_predictor.workflows.label_facts import choose_label_thresholds, label_prevalence
from csi_predictor.workflows.training import LabelledData

NAN = float("nan")
LABELS = TargetSpec(task="multilabel", names=("edema", "mass"), num_classes=2)
CLASSES = TargetSpec(task="multiclass", names=("x", "y", "z"), num_classes=3)
CPU = Compute(torch.device("cpu"), torch.float32)


def row(name: str, *targets: float) -> Row:
    return Row(name, f"P{name}", Path(name), targets)


def test_the_prevalence_of_a_label_is_its_share_of_the_known() -> None:
    rows = [row("a", 1, NAN), row("b", 0, NAN), row("c", NAN, NAN), row("d", 0, NAN)]
    assert label_prevalence(rows, LABELS) == (pytest.approx(1 / 3), None)


def test_the_prevalence_of_a_class_is_its_share_of_the_known() -> None:
    rows = [row("a", 0), row("b", 2), row("c", NAN), row("d", 2), row("e", 2)]
    assert label_prevalence(rows, CLASSES) == (0.25, 0.0, 0.75)
    assert label_prevalence([row("a", NAN)], CLASSES) == (None, None, None)


@dataclass
class Trained:
    """Networks of known weights on drawn images, two folds of five rows each."""

    data: LabelledData
    networks: tuple[TrainedNetwork, ...]
    probs: dict[str, Any]


def draw(path: Path, spec: InputSpec) -> SimpleNamespace:
    rng = np.random.default_rng(int(path.name))
    return SimpleNamespace(pixels=rng.random(spec.size, dtype=np.float32))


@pytest.fixture
def trained() -> Trained:
    rng = np.random.default_rng(2)
    rows = tuple(row(f"{n}", n % 2, NAN if n == 5 else int(rng.integers(2))) for n in range(20))
    ids = tuple(each.file_id for each in rows)
    splits = (
        Split(ids[:10], ids[10:15], ids[15:]),
        Split(ids[10:], ids[:5], ids[5:10]),
    )
    networks, probs = [], {}
    for index, split in enumerate(splits):
        torch.manual_seed(index)
        model = create_model("custom1", image_size=32, labels=LABELS.names).eval()
        place = Place(index, index, Path("unused"), "")
        networks.append(TrainedNetwork(place, model.state_dict(), (), 1, ()))
        for name in split.val:
            grey = torch.from_numpy(draw(Path(name), model.input_spec).pixels)
            with torch.inference_mode():
                logits = model((grey[None, None] - 0.5) / 0.5).logits
            probs[name] = logits.double().sigmoid()[0].numpy()
    cache = PreparedCache("none", Path("unused"), model.input_spec, prepare=draw)
    return Trained(LabelledData(Manifest(rows, LABELS), splits, cache), tuple(networks), probs)


def choose(trained: Trained, spec: Any = None) -> tuple[float, ...]:
    model = create_model("custom1", image_size=32, labels=LABELS.names)
    assert model.input_spec.mean == (0.5,)  # as `trained` normalises by hand
    assert model.input_spec.std == (0.5,)
    return choose_label_thresholds(
        load_config(None, [], {}), trained.data, trained.networks, spec or model.spec, CPU
    )


def test_thresholds_are_the_best_on_the_pooled_validation_rows_alone__weakness_001_01(
    trained: Trained,
) -> None:
    """Each fold's own network answers for its own validation rows; no test row is looked at."""
    found = choose(trained)
    by_id = {each.file_id: each.targets for each in trained.data.manifest.rows}
    truth = np.array([by_id[name] for name in trained.probs])
    probs = np.array(list(trained.probs.values()))
    for label, threshold in enumerate(found):
        is_known = np.isfinite(truth[:, label])
        known, said = truth[is_known, label], probs[is_known, label]
        mine = f1_score(known, said >= threshold)
        every = [f1_score(known, said >= candidate) for candidate in said]
        assert mine == pytest.approx(max(every))


def test_other_truths_of_test_and_training_rows_change_no_threshold__weakness_001_01(
    trained: Trained,
) -> None:
    before = choose(trained)
    val = {name for split in trained.data.splits for name in split.val}
    rows = tuple(
        each if each.file_id in val else row(each.file_id, *(1 - t for t in each.targets))
        for each in trained.data.manifest.rows
    )
    changed = LabelledData(Manifest(rows, LABELS), trained.data.splits, trained.data.cache)
    assert choose(Trained(changed, trained.networks, trained.probs)) == before


def test_without_labels_or_validation_rows_there_is_no_threshold(trained: Trained) -> None:
    classes = create_model("custom1", image_size=32, labels=("x", "y", "z"), task="multiclass")
    assert choose(trained, classes.spec) == ()
    ids = tuple(each.file_id for each in trained.data.manifest.rows)
    alone = LabelledData(trained.data.manifest, (Split(ids, (), ()),), trained.data.cache)
    assert choose(Trained(alone, trained.networks, {})) == ()
