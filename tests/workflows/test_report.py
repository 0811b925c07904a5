"""The whole evaluation's folder of zones, labels and classes, from answers alone."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from csi_predictor.config import load_config
from csi_predictor.data.manifest import Row
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.inference.spread import spread_of
from csi_predictor.models.create import create_model
from csi_predictor.specs import TargetSpec
from csi_predictor.uncertainty.trust import (
    Answers,
    apply_trust,
    fit_trust,
    join_trusted,
    without_trust,
)
from csi_predictor.workflows import report as report_module
from csi_predictor.workflows.examination import Examination, Examined
from csi_predictor.workflows.report import report
from csi_predictor.workflows.trust import trust_settings

NAMES = ("edema", "mass", "nodule")
Written = tuple[dict[str, Any], Path]


def zones(count: int, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, size=(2, count, 6, 4))
    passes = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    probs = passes.mean(axis=0)
    drawn = (probs.cumsum(axis=-1) < rng.random((count, 6, 1))).sum(axis=-1)
    return Predictions(
        **base(count, seed),
        targets=np.where(rng.random((count, 6)) < 0.05, np.nan, drawn),
        grade_probs=probs,
        p_ungradable=rng.random((count, 6)) * 0.6,
        spread=spread_of(passes),
    )


def names(count: int, seed: int, task: str) -> LabelPredictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.5, size=(count, 3))
    if task == "multilabel":
        probs = 1 / (1 + np.exp(-logits))
        targets = np.where(rng.random((count, 3)) < 0.1, np.nan, rng.random((count, 3)) < probs)
        passes = np.stack([1 - probs, probs], axis=-1)[None]
    else:
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        targets = (probs.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)[:, None] * 1.0
        passes = probs[None, :, None]
    return LabelPredictions(
        **base(count, seed),
        target_spec=TargetSpec(task=task, names=NAMES, num_classes=3),  # type: ignore[arg-type]
        targets=targets,
        probs=probs,
        spread=spread_of(passes),
    )


def base(count: int, seed: int) -> dict[str, Any]:
    ids = tuple(f"s{seed}-{index}" for index in range(count))
    return {
        "file_ids": ids,
        "patient_ids": tuple(f"p{seed}-{index // 2}" for index in range(count)),
        "paths": tuple(map(Path, ids)),
    }


def answers_of(task: str, count: int, seed: int) -> Answers:
    return zones(count, seed) if task == "csi" else names(count, seed, task)


def facts(task: str) -> Any:
    """As far as a report looks at a bundle's."""
    spec = create_model("custom1", image_size=32).spec
    return SimpleNamespace(
        model_id="custom1-0123abcd",
        spec=spec,
        num_members=2,
        test_time="none",
        training={"seed": 7},
        model_sha256="a" * 64,
        config_sha256="b" * 64,
        versions={"torch": "2"},
        config_ini="[MODEL]\nMODEL_ARCH = custom1\n",
        baseline_grades=(1.0,) * 6,
        label_prevalence=(0.3, 0.3, 0.4) if task != "csi" else (),
    )


def write(task: str, folder: Path, *overrides: str) -> dict[str, Any]:
    """Two folds, each judged by the trust of the other's answers."""
    table = ("DATA.SOURCE=csv", "DATA.DATA_DIR=x", "DATA.LABELS_CSV=x.csv")
    fixed = (f"DATA.TASK={task}", "EVALUATION.BOOTSTRAP=50", "EVALUATION.HEATMAPS=0")
    config = load_config(None, [*table, *fixed, *overrides], {})
    tests = [answers_of(task, 60, seed) for seed in (1, 2)]
    trusts = [fit_trust(test, trust_settings(config), fitted_on="others") for test in tests[::-1]]
    every = tuple(
        Examined(
            SimpleNamespace(bundles=()),  # type: ignore[arg-type]
            [Row(i, p, Path(i), ()) for i, p in zip(test.file_ids, test.patient_ids, strict=True)],
            trust,
        )
        for test, trust in zip(tests, trusts, strict=True)
    )
    judged = join_trusted([apply_trust(t, a) for t, a in zip(trusts, tests, strict=True)])
    examination = Examination(every, judged, None, trust_settings(config))
    store = SimpleNamespace(get=lambda row: np.full((32, 32), 0.5, np.float32))
    report(config, examination, judged, facts(task), folder, store=store)  # type: ignore[arg-type]
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def as_shown(value: float) -> set[str]:
    """Every way in which a report writes a figure."""
    texts = {f"{value:.{d}f}" for d in range(5)} | {f"{100 * value:.{d}f}" for d in range(2)}
    return {text.removeprefix("-") if float(text) == 0 else text for text in texts}


@pytest.fixture(scope="module", params=["csi", "multilabel", "multiclass"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    critical = "3" if request.param == "csi" else "mass"
    asked = ("EVALUATION.TRIAGE=all", f"EVALUATION.CRITICAL_ANSWERS={critical}")
    return write(request.param, folder, *asked), folder


def test_metrics_json_holds_every_number_of_the_tables__weakness_001_14(written: Written) -> None:
    metrics, folder = written
    known = set().union(*(as_shown(value) for value in leaves(metrics)))
    page = (folder / "report.html").read_text(encoding="utf-8")
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page, flags=re.DOTALL)
    shown = set()
    for cell in cells:
        text = re.sub(r"<[^>]+>", " ", cell).replace("−", "-").replace(",", "")
        text = text.replace("p &lt; 0.001", "")
        shown |= set(re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])", text))
    strange = {text for text in shown if text not in known and text not in ("0", "100")}
    assert not strange
    assert len(shown) > 100  # the test found the tables


def test_every_block_stands_in_the_metrics_and_every_figure_in_the_folder(
    written: Written,
) -> None:
    metrics, folder = written
    for name in ("calibration", "uncertainty", "conformal", "triage"):
        assert metrics[name], name
    for name in ("subgroups", "versus", "robustness", "laterality", "heat_maps"):
        assert metrics[name] is None, name
    assert metrics["calibration"]["after"]["ece"] == pytest.approx(metrics["ece"], abs=1e-12)
    assert metrics["calibration"]["fitted_on"] == "others"
    assert metrics["conformal"]["num_folds"] == 2
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert {"calibration.png", "risk_coverage.png", "conformal.png", "triage.png"} <= figures
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)


def test_without_anything_fitted_the_report_says_so(tmp_path: Path) -> None:
    config = load_config(None, ["EVALUATION.BOOTSTRAP=0", "EVALUATION.HEATMAPS=0"], {})
    made = zones(30, 1)
    rows = [Row(i, p, Path(i), ()) for i, p in zip(made.file_ids, made.patient_ids, strict=True)]
    every = (Examined(SimpleNamespace(bundles=()), rows, None),)  # type: ignore[arg-type]
    judged = without_trust(made, "confidence")
    store = SimpleNamespace(get=lambda row: np.full((32, 32), 0.5, np.float32))
    report(
        config,
        Examination(every, judged, None, trust_settings(config)),
        judged,
        facts("csi"),
        tmp_path,
        store=store,  # type: ignore[arg-type]
    )
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["calibration"]["method"] == "none"
    assert metrics["conformal"] is None
    assert metrics["triage"] is None
    assert "there were no images to fit it on" in (tmp_path / "report.html").read_text()


def test_a_second_reader_stands_in_for_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second(config: object, file_ids: tuple[str, ...]) -> np.ndarray:
        return np.ones((len(file_ids), 6))

    monkeypatch.setattr(report_module, "read_second_reader", second)
    metrics = write("csi", tmp_path)
    assert metrics["triage"]["model_alone"]["second_reader"] is not None
    assert metrics["second_reader"] is not None


def test_two_passes_are_taken_apart(tmp_path: Path) -> None:
    metrics = write("csi", tmp_path)
    unsure = metrics["uncertainty"]
    assert unsure["total"] == pytest.approx(unsure["aleatoric"] + unsure["epistemic"], abs=1e-6)
    assert set(unsure["measures"]) == {"confidence", "entropy", "epistemic", "variance"}
    assert replace(zones(3, 0), spread=None).spread is None
