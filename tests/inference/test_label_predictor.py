"""Bundles of labels and classes: saved, loaded, averaged, and asked about rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.manifest import Row
from csi_predictor.data.prepare import to_tensor
from csi_predictor.errors import BundleError
from csi_predictor.inference.bundle import hash_facts, load_bundle, save_bundle
from csi_predictor.inference.predictor import LabelPredictor, Predictor, open_predictor
from csi_predictor.inference.rows import predict_labels
from csi_predictor.models.create import create_model

CPU = torch.device("cpu")
LABELS = ("edema", "mass")


def save(
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    labels: Sequence[str] = LABELS,
    task: str = "multilabel",
    thresholds: Sequence[float] = (0.3, 0.6),
    test_time: str = "none",
) -> Path:
    members = []
    for seed in seeds:
        torch.manual_seed(seed)
        model = create_model("custom1", image_size=32, labels=labels, task=task)  # type: ignore[arg-type]
        members.append(model.state_dict())
    save_bundle(
        folder,
        members,
        spec=model.spec,
        test_time=test_time,  # type: ignore[arg-type]
        baseline_grades=(),
        learnt_ids=(),
        training={},
        config_ini="[MODEL]\n",
        label_thresholds=thresholds,
        label_prevalence=(0.25, None),
    )
    return folder


def rows(count: int) -> tuple[Row, ...]:
    return tuple(Row(f"{n}", f"P{n}", Path(f"{n}"), (n % 2, float("nan"))) for n in range(count))


def draw(path: Path, spec: object) -> SimpleNamespace:
    rng = np.random.default_rng(int(path.name))
    return SimpleNamespace(pixels=rng.random((32, 32), dtype=np.float32))


def ask(predictor: LabelPredictor, count: int = 5) -> np.ndarray:
    cache = PreparedCache("none", Path("unused"), predictor.input_spec, prepare=draw)
    return predict_labels(predictor, rows(count), cache, batch_size=2).probs


def open_all(*folders: Path) -> LabelPredictor:
    return LabelPredictor([load_bundle(folder) for folder in folders], device=CPU)


def test_thresholds_and_prevalence_come_back(tmp_path: Path) -> None:
    facts = load_bundle(save(tmp_path)).facts
    assert facts.label_thresholds == (0.3, 0.6)
    assert facts.label_prevalence == (0.25, None)
    assert facts.baseline_grades == ()
    assert facts.spec.target_spec.names == LABELS
    assert open_all(tmp_path).thresholds == (0.3, 0.6)


def test_a_bundle_of_before_labels_still_loads(tmp_path: Path) -> None:
    """As those that were written without the two fields and the spec's newer ones."""
    path = save(tmp_path) / "bundle.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    for name in ("label_thresholds", "label_prevalence", "facts_sha256"):
        facts.pop(name)
    facts["spec"].pop("stem")
    for name in ("hu_range", "spacing_mm"):
        facts["spec"]["input_spec"].pop(name)
    facts["facts_sha256"] = hash_facts(facts)
    path.write_text(json.dumps(facts), encoding="utf-8")
    bundle = load_bundle(tmp_path)
    assert (bundle.facts.label_thresholds, bundle.facts.label_prevalence) == ((), ())
    assert bundle.facts.spec.stem == "published"
    assert bundle.facts.spec.input_spec.hu_range is None
    assert open_all(tmp_path).thresholds == ()


def test_a_predictor_answers_the_sigmoid_of_its_network(tmp_path: Path) -> None:
    bundle = load_bundle(save(tmp_path))
    spec = bundle.facts.spec.input_spec
    pixels = torch.stack([to_tensor(draw(Path(f"{n}"), spec).pixels, spec) for n in range(5)])
    with torch.inference_mode():
        expected = bundle.models[0](pixels).logits.double().sigmoid().numpy()
    np.testing.assert_allclose(ask(open_all(tmp_path)), expected, atol=1e-6)


def test_two_bundles_answer_with_the_mean_probability_and_threshold(tmp_path: Path) -> None:
    one = save(tmp_path / "one", seeds=(1,))
    two = save(tmp_path / "two", seeds=(2,), thresholds=(0.5, 0.2))
    both = open_all(one, two)
    np.testing.assert_allclose(ask(both), (ask(open_all(one)) + ask(open_all(two))) / 2, atol=1e-9)
    assert both.thresholds == pytest.approx((0.4, 0.4))
    assert both.facts.model_id.count("+") == 1
    ensemble = open_all(save(tmp_path / "ensemble", seeds=(1, 2)))
    np.testing.assert_allclose(ask(ensemble), ask(both), atol=1e-9)


def test_a_threshold_that_one_bundle_lacks_is_nobodys(tmp_path: Path) -> None:
    one, two = save(tmp_path / "one"), save(tmp_path / "two", thresholds=())
    assert open_all(one, two).thresholds == ()


def test_a_mirrored_look_is_averaged_and_stays_the_same_for_the_mirrored_picture(
    tmp_path: Path,
) -> None:
    bundle = load_bundle(save(tmp_path, test_time="mirror"))
    pixels = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    batches = [
        [SimpleNamespace(pixels=each, targets=torch.zeros(3, 2), indices=torch.arange(3))]
        for each in (pixels, pixels.flip(-1))
    ]
    predictor = LabelPredictor([bundle], device=CPU)
    straight, mirrored = (
        predictor.read_logits(predictor.predict_logits(each).values) for each in batches
    )
    np.testing.assert_allclose(straight, mirrored, atol=1e-6)
    with torch.inference_mode():
        looks = [
            bundle.models[0](each).logits.double().sigmoid() for each in (pixels, pixels.flip(-1))
        ]
    np.testing.assert_allclose(straight, torch.stack(looks).mean(dim=0).numpy(), atol=1e-6)


def test_classes_sum_to_one(tmp_path: Path) -> None:
    folder = save(tmp_path, labels=("x", "y", "z"), task="multiclass", thresholds=())
    probs = ask(open_all(folder))
    assert probs.shape == (5, 3)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-9)


def test_unlike_bundles_are_refused(tmp_path: Path) -> None:
    one = save(tmp_path / "one")
    other = save(tmp_path / "other", labels=("mass", "edema"))
    with pytest.raises(BundleError, match=r"target_spec is .*mass.* an ensemble needs equal ones"):
        open_all(one, other)
    classes = save(tmp_path / "classes", task="multiclass", thresholds=())
    with pytest.raises(BundleError, match="target_spec is "):
        open_all(one, classes)
    mirrored = save(tmp_path / "mirrored", test_time="mirror")
    with pytest.raises(BundleError, match=r"test_time is mirror, but .* has none"):
        open_all(one, mirrored)


def test_zones_are_not_labels_and_the_task_opens_its_own_predictor(tmp_path: Path) -> None:
    model = create_model("custom1", image_size=32)
    facts = {"baseline_grades": (1.0,) * 6, "learnt_ids": (), "training": {}, "config_ini": ""}
    save_bundle(
        tmp_path / "zones", [model.state_dict()], spec=model.spec, test_time="none", **facts
    )
    zones, labels = load_bundle(tmp_path / "zones"), load_bundle(save(tmp_path / "labels"))
    text = "it answers TASK = csi: expected labels or classes"
    with pytest.raises(BundleError, match=text):
        LabelPredictor([zones], device=CPU)
    text = r"labels: it answers multilabel \(edema, mass\), and --mode score grades six"
    with pytest.raises(BundleError, match=text):
        Predictor([labels], device=CPU)
    assert isinstance(open_predictor([zones], device=CPU), Predictor)
    assert isinstance(open_predictor([labels], device=CPU), LabelPredictor)
    with pytest.raises(BundleError, match="no bundle is named"):
        open_predictor([], device=CPU)


def test_rows_get_their_answers_in_their_order(tmp_path: Path) -> None:
    predictor = open_all(save(tmp_path))
    cache = PreparedCache("none", Path("unused"), predictor.input_spec, prepare=draw)
    asked = tuple(reversed(rows(5)))
    found = predict_labels(predictor, asked, cache, batch_size=2)
    assert found.file_ids == ("4", "3", "2", "1", "0")
    assert found.patient_ids == ("P4", "P3", "P2", "P1", "P0")
    assert found.thresholds == (0.3, 0.6)
    assert found.target_spec == predictor.target_spec
    np.testing.assert_array_equal(found.targets[:, 0], [0, 1, 0, 1, 0])
    assert np.isnan(found.targets[:, 1]).all()
    np.testing.assert_allclose(found.probs[::-1], ask(predictor), atol=1e-7)
