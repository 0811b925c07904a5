"""From answers to an evaluation's folder: figures, what they rest on, pictures and the report."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.evaluation.evaluate import Evaluation, evaluate
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.evaluation.trust import trust_blocks
from csi_predictor.inference.bundle import Bundle, BundleFacts
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.reporting.evaluation import write_evaluation
from csi_predictor.reporting.label_answer import headline as label_headline
from csi_predictor.reporting.label_evaluation import write_label_evaluation
from csi_predictor.reporting.thumbnails import HeatPictures, Thumbnails
from csi_predictor.specs import ZONES
from csi_predictor.uncertainty.trust import Answers, TrustedAnswers
from csi_predictor.workflows.examination import Examination, Examined, ask_some
from csi_predictor.workflows.heat_maps import draw_heat_maps
from csi_predictor.workflows.images import read_second_grades
from csi_predictor.workflows.robustness import (
    ask_about_damaged,
    ask_about_mirrored,
    corruption_examples,
)
from csi_predictor.workflows.subgroups import measure_subgroups
from csi_predictor.workflows.versus import check_other_unseen, measure_other, open_other


class Shown(TypedDict):
    """What both kinds of report show beside the figures."""

    run_facts: Mapping[str, str]
    thumbnails: Thumbnails
    num_thumbnails: int
    trusted: TrustedAnswers
    heat_maps: HeatPictures
    heat_files: Mapping[str, bytes]
    examples: Mapping[str, NDArray[Any]]


def report_training(
    config: Config,
    examination: Examination,
    bundle: Bundle,
    run_dir: Path,
    store: PixelStore,
    device: torch.device,
) -> Mapping[str, Any] | None:
    """The evaluation of what a training's networks have not seen, and its figures."""
    if examination.answers is None:
        logger.warning("No test images were set aside: there is nothing to evaluate on")
        return None
    other = open_other(config, bundle.facts.spec.target_spec, device)
    check_other_unseen(config, examination.rows, other)
    return report(
        config,
        examination,
        examination.answers,
        bundle.facts,
        run_dir / "evaluation",
        store=store,
        other=other,
    ).metrics


def report(
    config: Config,
    examination: Examination,
    answers: TrustedAnswers,
    facts: BundleFacts,
    folder: Path,
    *,
    store: PixelStore,
    other: Examined | None = None,
) -> Evaluation:
    """Evaluate answers and write metrics, tables, figures and the report into a folder.

    Args:
        config: The whole configuration.
        examination: Whose predictors are asked again about damaged images.
        answers: The examination's.
        facts: Of the bundle that gave them.
        folder: Made if absent.
        store: Pictures as the networks saw them.
        other: COMPARE_MODEL.
    """
    rows = examination.rows
    predictions = answers.after
    second = read_second_reader(config, predictions.file_ids)
    evaluation = _measure(config, predictions, facts, second)
    blocks: dict[str, Any] = {
        **_trust_blocks(config, examination, answers, second),
        **_damage_blocks(config, examination, predictions, rows, store),
        "subgroups": measure_subgroups(config, predictions, rows),
        "versus": measure_other(config, other, predictions, rows),
    }
    blocks["data_sha256"] = hash_rows(rows)
    blocks["calibration"] |= {"bins": evaluation.metrics["calibration"]["bins"]}
    drawn = draw_heat_maps(config, examination, evaluation.worst, predictions, store)
    evaluation = evaluation.with_blocks({**blocks, "heat_maps": drawn.facts})
    by_id = {row.file_id: row for row in rows}
    shown: Shown = {
        "run_facts": describe_run(config, facts, rows),
        "thumbnails": lambda file_id: store.get(by_id[file_id]),
        "num_thumbnails": config.evaluation.num_thumbnails,
        "trusted": answers,
        "heat_maps": drawn.pictures,
        "heat_files": drawn.files,
        "examples": corruption_examples(config, rows, store),
    }
    if isinstance(predictions, LabelPredictions):
        is_volume = len(facts.spec.input_spec.size) == 3
        write_label_evaluation(evaluation, predictions, folder, **shown, is_volume=is_volume)
    else:
        write_evaluation(evaluation, predictions, folder, **shown)
    logger.info("{}; report: {}", _headline(evaluation, predictions), folder / "report.html")
    return evaluation


def _measure(
    config: Config, predictions: Answers, facts: BundleFacts, second_reader: Floats | None
) -> Evaluation:
    """The figures that need nothing but the answers."""
    rounds, seed = config.evaluation.bootstrap, config.runtime.seed
    if isinstance(predictions, LabelPredictions):
        return evaluate_labels(
            predictions,
            rounds=rounds,
            seed=seed,
            train_prevalence=facts.label_prevalence or None,
        )
    return evaluate(
        predictions,
        rounds=rounds,
        seed=seed,
        second_reader=second_reader,
        baseline_grades=facts.baseline_grades,
        risk_medium_above=config.scoring.risk_medium_above,
        risk_high_above=config.scoring.risk_high_above,
    )


def _trust_blocks(
    config: Config,
    examination: Examination,
    answers: TrustedAnswers,
    second_reader: Floats | None,
) -> dict[str, Any]:
    patients = answers.after.patient_ids
    section = config.evaluation
    return trust_blocks(
        answers,
        [each.trust for each in examination.every if each.trust is not None],
        resample_patients(patients, rounds=section.bootstrap, seed=config.runtime.seed),
        measure=examination.settings.measure,
        triage=examination.settings.triage,
        second_reader=second_reader,
    )


def _damage_blocks(
    config: Config,
    examination: Examination,
    predictions: Answers,
    rows: Sequence[Row],
    store: PixelStore,
) -> dict[str, Any]:
    """`robustness` and, of zones, `laterality`; None where not asked for."""
    blocks: dict[str, Any] = {"robustness": None, "laterality": None}
    if not config.evaluation.corruptions:
        return blocks
    ask = ask_some(config, examination)
    blocks["robustness"] = ask_about_damaged(config, ask, rows, store, predictions)
    if isinstance(predictions, Predictions):
        looks = {each.predictor.bundles[0].facts.test_time for each in examination.every}
        blocks["laterality"] = ask_about_mirrored(
            config, ask, rows, store, predictions, is_by_construction="mirror" in looks
        )
    return blocks


def _headline(evaluation: Evaluation, predictions: Answers) -> str:
    if isinstance(predictions, LabelPredictions):
        return label_headline(evaluation.metrics)
    return f"{zone_headline(evaluation)} on {len(predictions)} images"


def zone_headline(evaluation: Evaluation) -> str:
    """The two main figures of six zones, for the log."""
    shown = [evaluation.metrics[name] for name in ("zone_mae", "zone_qwk")]
    mae, qwk = ("undefined" if value is None else f"{value:.3f}" for value in shown)
    return f"Zone MAE {mae}, zone QWK {qwk}"


def read_second_reader(config: Config, file_ids: tuple[str, ...]) -> Floats | None:
    """(N, Z) grades of SECOND_READER_CSV in the order of the ids; NaN where it has none.

    Raises:
        LabelsError: The table is wrong or has none of the images.
    """
    if config.evaluation.second_reader_csv is None:
        return None
    grades = read_second_grades(config, file_ids)
    missing = (float("nan"),) * len(ZONES)
    return np.array([grades.get(file_id, missing) for file_id in file_ids])


def hash_rows(rows: Sequence[Row]) -> str:
    """SHA-256 of ids, patients and truths in their order."""
    told = [(row.file_id, row.patient_id, list(map(str, row.targets))) for row in rows]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def describe_run(config: Config, facts: BundleFacts, rows: Sequence[Row]) -> dict[str, str]:
    """What the report says about the model and its making."""
    spec = facts.spec
    size = " x ".join(map(str, spec.input_spec.size))
    return {
        "Model": facts.model_id,
        "Network": f"{spec.architecture}, head {spec.head}, zone focus {spec.zone_focus}",
        "Networks averaged": str(facts.num_members),
        "Input": f"{spec.input_spec.channels} x {size}, {spec.input_spec.fit}",
        "Mirrored look": facts.test_time,
        **{name.replace("_", " ").capitalize(): str(v) for name, v in facts.training.items()},
        "Weights SHA-256": facts.model_sha256,
        "INI SHA-256": facts.config_sha256,
        "Versions": ", ".join(f"{name} {version}" for name, version in facts.versions.items()),
        "Split evaluated": config.evaluation.split,
        "Ids and truths evaluated SHA-256": hash_rows(rows),
        "INI of the training": facts.config_ini,
    }
