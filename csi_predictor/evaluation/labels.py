"""Predictions of labels or classes with their truth -> the record of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.calibration import bin_blocks
from csi_predictor.evaluation.evaluate import FEW_PATIENTS, Evaluation
from csi_predictor.evaluation.figures import (
    Block,
    bootstrap_block,
    plain,
    plain_counts,
    with_intervals,
)
from csi_predictor.evaluation.label_delong import delong_block
from csi_predictor.evaluation.label_draws import LabelDraws, label_draws
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats
from csi_predictor.metrics.bootstrap import resample_patients

FEW_POSITIVES = 10
"""A label with fewer is named: its figures rest on too little."""

_ROUNDING = 1e-6  # that a mean of float32 probabilities may lie beyond 1
_UNINFORMED = 0.5  # the answer of one who knows nothing of a label


def evaluate_labels(
    predictions: LabelPredictions,
    *,
    rounds: int = 1000,
    seed: int = 0,
    train_prevalence: Sequence[float | None] | None = None,
) -> Evaluation:
    """Measure a model of labels or classes, or the pooled folds of a cross-validation.

    Unknown answers count in no figure. The AUROC of a label without a known positive or without a
    known negative is undefined, and macro figures are the mean of the labels that have one. Of two
    classes the macro AUROC is that of the second one, as MedMNIST defines it; of more, the mean of
    each class against the rest.

    Args:
        predictions: N images, K labels or classes, and their truth.
        rounds: Of the bootstrap over patients; 0 = no intervals.
        seed: Of the bootstrap.
        train_prevalence: K shares of the training rows, which the baseline answers for every image;
            None of a label that was never known there. None = of the evaluated rows.

    Raises:
        LabelsError: There is no image, or no known answer.
        ValueError: The task isn't one of labels or classes, a table has another shape than its
            names ask for, a truth is neither 0, 1 nor a class, or a probability isn't one.

    Source:
        Yang et al. 2023, Scientific Data 10:41, "MedMNIST v2", and its package's evaluator: AUROC
        and accuracy.
    """
    _check(predictions, train_prevalence)
    resampling = resample_patients(predictions.patient_ids, rounds=rounds, seed=seed)
    prevalence = _baseline_probs(predictions, train_prevalence)
    constant = replace(
        predictions,
        probs=np.broadcast_to(prevalence, predictions.probs.shape),
        thresholds=(),
        spread=None,
        kept_calls=None,
    )
    model, baseline = (label_draws(each, resampling) for each in (predictions, constant))
    metrics: Block = {
        "task": predictions.target_spec.task,
        "names": list(predictions.names),
        "n_images": len(predictions),
        "n_patients": resampling.num_patients,
        "n_known": int(np.isfinite(predictions.targets).sum()),
        "n_unknown": int(np.isnan(predictions.targets).sum()),
        **with_intervals(model.main),
        _group(predictions): _with_areas(predictions, _names_block(predictions, model)),
        **({"confusion": plain_counts(model.confusion)} if predictions.is_multiclass else {}),
        "calibration": {"bins": bin_blocks(model.bins)},
        "baseline": {
            "prevalence": [plain(share) for share in prevalence],
            "source": "evaluated rows" if train_prevalence is None else "training rows",
            **with_intervals(baseline.main),
            _group(predictions): _names_block(constant, baseline),
        },
        "gain_over_baseline": _gain(model, baseline),
        "bootstrap": bootstrap_block(resampling, rounds, seed),
    }
    return Evaluation(
        metrics=metrics, worst=_worst_first(predictions), notes=_notes(metrics, predictions)
    )


def _check(predictions: LabelPredictions, prevalence: Sequence[float | None] | None) -> None:
    task, names = predictions.target_spec.task, predictions.names
    if task not in ("multilabel", "multiclass"):
        raise ValueError(f"task = {task}: expected multilabel or multiclass")
    columns = 1 if predictions.is_multiclass else len(names)
    expected = {
        "targets": (predictions.targets.shape, (len(predictions), columns)),
        "probs": (predictions.probs.shape, (len(predictions), len(names))),
        "thresholds": ((len(predictions.thresholds) or len(names),), (len(names),)),
        "train_prevalence": ((len(names if prevalence is None else prevalence),), (len(names),)),
    }
    for name, (shape, wanted) in expected.items():
        if shape != wanted:
            raise ValueError(f"{name} has shape {shape}: expected {wanted}")
    if not (np.abs(predictions.probs - 0.5) <= 0.5 + _ROUNDING).all():
        raise ValueError("probs holds a value that is no probability: expected 0 to 1")
    known = predictions.targets[~np.isnan(predictions.targets)]
    highest = len(names) - 1 if predictions.is_multiclass else 1
    wrong = known[~np.isin(known, np.arange(highest + 1))]
    if wrong.size:
        raise ValueError(f"targets holds {wrong[0]:g}: expected 0 to {highest}, or NaN for unknown")
    if not known.size:
        raise LabelsError(
            f"evaluation: {len(predictions)} images and no known answer among them: expected at "
            "least one; choose another [EVALUATION] SPLIT or set [DATA] TEST_FRACTION above 0"
        )


def _group(predictions: LabelPredictions) -> str:
    return "classes" if predictions.is_multiclass else "labels"


def _baseline_probs(
    predictions: LabelPredictions, train_prevalence: Sequence[float | None] | None
) -> Floats:
    """(K,) what the constant answers for every image; of classes it sums to 1."""
    if train_prevalence is None:
        is_known = ~np.isnan(predictions.truth)
        count = is_known.sum(axis=0)
        shares = np.where(is_known, predictions.truth, 0).sum(axis=0) / np.maximum(count, 1)
        probs = np.where(count > 0, shares, _UNINFORMED)
    else:
        probs = np.array([_UNINFORMED if p is None else float(p) for p in train_prevalence])
    total = probs.sum() if predictions.is_multiclass else 1.0
    return np.asarray(probs / (total or 1.0))


def _names_block(predictions: LabelPredictions, draws: LabelDraws) -> Block:
    """By label or class: its counts, its threshold and its figures."""
    truth = predictions.truth
    thresholds = predictions.thresholds or (0.5,) * len(predictions.names)
    blocks: Block = {}
    for k, name in enumerate(predictions.names):
        num_known, num_positive = int((~np.isnan(truth[:, k])).sum()), int((truth[:, k] == 1).sum())
        blocks[name] = {
            "n_known": num_known,
            "n_positive": num_positive,
            "n_called": int(predictions.called[:, k].sum()),
            "prevalence": num_positive / num_known if num_known else None,
            **({} if predictions.is_multiclass else {"threshold": plain(thresholds[k])}),
            **with_intervals({figure: values[:, k] for figure, values in draws.by_name.items()}),
        }
    return blocks


def _with_areas(predictions: LabelPredictions, blocks: Block) -> Block:
    """The intervals of the AUROC that need no draws beside those that do."""
    areas = delong_block(predictions)
    return {name: block | areas.get(name, {}) for name, block in blocks.items()}


def _gain(model: LabelDraws, baseline: LabelDraws) -> Block:
    """The model's gain in the same draws of patients; positive = better than the baseline."""
    is_lower_better = {"brier", "ece"}
    return with_intervals(
        {
            name: (-1 if name in is_lower_better else 1) * (values - baseline.main[name])
            for name, values in model.main.items()
        }
    )


def _worst_first(predictions: LabelPredictions) -> tuple[int, ...]:
    """Largest mean squared error over the known answers first, then the id."""
    errors = (predictions.probs - predictions.truth) ** 2
    keys = [
        (-float(np.nanmean(row)), predictions.file_ids[index], index)
        for index, row in enumerate(errors)
        if not np.isnan(row).all()
    ]
    return tuple(key[-1] for key in sorted(keys))


def _notes(metrics: Mapping[str, Any], predictions: LabelPredictions) -> tuple[str, ...]:
    notes = []
    word = "classes" if predictions.is_multiclass else "labels"
    blocks = metrics[word]
    undefined = [name for name in predictions.names if blocks[name]["auroc"] is None]
    rare = [
        f"{name} ({blocks[name]['n_positive']})"
        for name in predictions.names
        if 0 < blocks[name]["n_positive"] < FEW_POSITIVES
    ]
    if metrics["n_patients"] < FEW_PATIENTS:
        few = "1 patient" if metrics["n_patients"] == 1 else f"{metrics['n_patients']} patients"
        notes.append(f"Only {few}: no interval can be trusted, and no figure is firm.")
    if undefined:
        notes.append(
            f"Known images of one kind only, so that ranking has no meaning and no macro figure "
            f"of it counts them: {', '.join(undefined)}."
        )
    if rare:
        notes.append(
            f"Fewer than {FEW_POSITIVES} positives, so that the figures of these {word} may be "
            f"chance: {', '.join(rare)}."
        )
    if metrics["n_unknown"]:
        notes.append(f"Unknown answers, which count in no figure: {metrics['n_unknown']}.")
    if not predictions.is_multiclass and not predictions.thresholds:
        notes.append("Every label is called from 0.5 on: no thresholds of validation rows given.")
    if metrics["baseline"]["source"] == "evaluated rows":
        notes.append(
            "The constant baseline is the prevalence of the evaluated rows themselves, which "
            "favours the baseline: no training prevalence was given."
        )
    return tuple(notes)
