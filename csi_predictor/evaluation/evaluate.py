"""Predictions with their truth -> the record of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.comparison import Grading, RiskRule, compare, grading_of
from csi_predictor.evaluation.confidence import calibration_block, ungradable_block
from csi_predictor.evaluation.figures import Block, bootstrap_block, plain
from csi_predictor.evaluation.gain import gain_block
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.specs import MAX_GRADE, ZONES

FEW_PATIENTS = 30
"""Below it a percentile interval is too narrow to be trusted."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How good a model is.

    Attributes:
        metrics: Plain JSON values, as in `metrics.json`; None = undefined.
        worst: Indices of the images, the largest error first; only images with a truth.
        notes: What a reader of the figures has to know.
    """

    metrics: Mapping[str, Any]
    worst: tuple[int, ...]
    notes: tuple[str, ...]

    def with_blocks(self, blocks: Mapping[str, Any]) -> "Evaluation":
        """The same with more figures."""
        return replace(self, metrics={**self.metrics, **blocks})

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(Z, 4, 4) counts of the gradable zones; rows are the truth."""
        return np.array([self.metrics["zones"][zone]["confusion"] for zone in ZONES])


def evaluate(
    predictions: Predictions,
    *,
    rounds: int = 1000,
    seed: int = 0,
    second_reader: NDArray[Any] | None = None,
    baseline_grades: Sequence[float | None] | None = None,
    risk_medium_above: float = 1.3,
    risk_high_above: float = 2.2,
) -> Evaluation:
    """Measure a model, or the pooled folds of a cross-validation.

    Every figure is over zones that the reader could grade, and takes the grade that the model
    gives whether it would withhold it or not; what it would withhold is counted beside. The CSI is
    that of the zones that the model doesn't withhold.

    Args:
        predictions: N images with their truth.
        rounds: Of the bootstrap over patients; 0 = no intervals.
        seed: Of the bootstrap.
        second_reader: (N, Z) another reader's grades, NaN = not graded.
        baseline_grades: Per zone, the median grade of the training rows.
        risk_medium_above: A CSI above it is of medium risk.
        risk_high_above: A CSI above it is of high risk.

    Raises:
        LabelsError: There is no image, or no zone with a truth.
        ValueError: A grade of a reader isn't 0 to 3 or NaN, or a table isn't (N, Z).
    """
    _check(predictions, second_reader)
    risk = RiskRule(risk_medium_above, risk_high_above)
    resampling = resample_patients(predictions.patient_ids, rounds=rounds, seed=seed)
    truth = grading_of(predictions.targets)
    model = Grading(grades=predictions.grades.astype(np.float64), csi=predictions.csi)
    constant = _constant_grades(predictions.targets, baseline_grades)
    baseline = grading_of(np.broadcast_to(constant, predictions.targets.shape))
    metrics: Block = {
        "n_images": len(predictions),
        "n_patients": resampling.num_patients,
        **_withheld(predictions),
        **compare(truth, model, resampling, risk=risk),
        **calibration_block(predictions, resampling),
        "ungradable": ungradable_block(predictions, resampling),
        "baseline": {
            "grades": [plain(grade) for grade in constant],
            "source": "evaluated rows" if baseline_grades is None else "training rows",
            **compare(truth, baseline, resampling, risk=risk),
        },
        "gain_over_baseline": gain_block(truth, model, baseline, resampling),
        "second_reader": None,
        "bootstrap": bootstrap_block(resampling, rounds, seed),
    }
    metrics["baseline_zone_mae"] = metrics["baseline"]["zone_mae"]
    if second_reader is not None:
        reader = grading_of(second_reader)
        metrics["second_reader"] = {
            "model_vs_second_reader": compare(reader, model, resampling, risk=risk),
            "reader_vs_reader": compare(truth, reader, resampling, risk=risk),
        }
    return Evaluation(
        metrics=metrics,
        worst=_worst_first(predictions),
        notes=_notes(metrics, has_training_baseline=baseline_grades is not None),
    )


def _check(predictions: Predictions, second_reader: NDArray[Any] | None) -> None:
    expected = (len(predictions), len(ZONES))
    tables = {"targets": predictions.targets, "second_reader": second_reader}
    for name, table in tables.items():
        if table is not None and table.shape != expected:
            raise ValueError(f"{name} has shape {table.shape}: expected {expected}")
    if not np.isfinite(predictions.targets).any():
        raise LabelsError(
            f"evaluation: {len(predictions)} images and no graded zone among them: expected at "
            "least one; choose another [EVALUATION] SPLIT or set [DATA] TEST_FRACTION above 0"
        )


def _constant_grades(targets: Floats, baseline_grades: Sequence[float | None] | None) -> Floats:
    """(Z,) one grade a zone, NaN = none known; a median between two grades is rounded up."""
    if baseline_grades is None:
        known = [column[np.isfinite(column)] for column in targets.T]
        medians = [float(np.median(column)) if len(column) else np.nan for column in known]
    else:
        medians = [np.nan if grade is None else float(grade) for grade in baseline_grades]
    return np.clip(np.floor(np.asarray(medians) + 0.5), 0, MAX_GRADE)


def _withheld(predictions: Predictions) -> Block:
    has_csi_true = np.isfinite(predictions.csi_true)
    is_gradable = np.isfinite(predictions.targets)
    return {
        "n_zones_gradable": int(is_gradable.sum()),
        "n_zones_ungradable": int((~is_gradable).sum()),
        "n_zones_withheld": int(predictions.is_ungradable.sum()),
        "n_images_without_csi": int((~has_csi_true).sum()),
        "n_images_csi_withheld": int((has_csi_true & np.isnan(predictions.csi)).sum()),
    }


def _worst_first(predictions: Predictions) -> tuple[int, ...]:
    """Largest mean zone error first, then the largest single error, then the id."""
    errors = np.abs(predictions.grades - predictions.targets)
    keys = [
        (-float(np.nanmean(row)), -float(np.nanmax(row)), predictions.file_ids[index], index)
        for index, row in enumerate(errors)
        if np.isfinite(row).any()
    ]
    return tuple(key[-1] for key in sorted(keys))


def _notes(metrics: Mapping[str, Any], *, has_training_baseline: bool) -> tuple[str, ...]:
    notes = []
    if metrics["n_patients"] < FEW_PATIENTS:
        patients = (
            "1 patient" if metrics["n_patients"] == 1 else f"{metrics['n_patients']} patients"
        )
        notes.append(f"Only {patients}: no interval can be trusted, and no figure is firm.")
    if metrics["n_images_without_csi"]:
        notes.append(
            f"Images without any gradable zone: {metrics['n_images_without_csi']}. "
            "They have no CSI and count in no figure of it."
        )
    if metrics["n_images_csi_withheld"]:
        notes.append(
            "Images graded by the reader whose CSI the model withholds: "
            f"{metrics['n_images_csi_withheld']}. They are not in the figures of the CSI."
        )
    if not has_training_baseline:
        notes.append(
            "The constant baseline is the median of the evaluated grades themselves, which favours "
            "the baseline: no training grades were given."
        )
    return tuple(notes)
