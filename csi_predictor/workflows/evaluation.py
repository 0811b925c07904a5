"""Measure answers against the truth and write the report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from loguru import logger

from csi_predictor.config import Config
from csi_predictor.config.choices import EvaluationSplit
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split_file import read_split
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.evaluation.evaluate import Evaluation, evaluate
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.inference.bundle import BundleFacts, hash_id, load_bundle
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.predictor import BundlePredictor, open_predictor
from csi_predictor.reporting.evaluation import write_evaluation
from csi_predictor.reporting.label_answer import headline as label_headline
from csi_predictor.reporting.label_evaluation import write_label_evaluation
from csi_predictor.runtime import Compute
from csi_predictor.specs import ZONES
from csi_predictor.workflows.answers import Answers, predict
from csi_predictor.workflows.images import (
    load_manifest,
    prepare_images,
    read_second_grades,
    takes_volumes,
)
from csi_predictor.workflows.quantization import Asked, check_quantizable, quantize


def evaluate_bundles(config: Config, compute: Compute, run_dir: Path) -> None:
    """[EVALUATION] MODEL on the rows that SPLIT names; the report goes to `run_dir`.

    Raises:
        ConfigError: No bundle is named, or which rows it has not seen isn't known.
        BundleError: A bundle can't be loaded.
        LabelsError: Something is wrong with table or images.
        CsiError: QUANTIZE is set and the int8 form doesn't hold.
    """
    section = config.evaluation
    if not section.model:
        raise ConfigError("[EVALUATION] MODEL: empty: expected the folder `model` of a training")
    bundles = [load_bundle(folder) for folder in section.model]
    predictor = open_predictor(bundles, device=compute.device)
    check_same_task(config, predictor)
    warn_of_test_time(config, predictor)
    manifest = load_manifest(config, predictor.target_spec)
    check_same_answers(manifest, predictor)
    rows = choose_rows(config, manifest, section.split)
    quantizes, calibrates = section.quantize != "none", section.quantize == "openvino"
    calibration = choose_rows(config, manifest, "val") if calibrates else ()
    if quantizes:
        check_quantizable(config, compute.device, calibration)
    cache = prepare_images(config, (*rows, *calibration), predictor.input_spec)
    check_unseen(config, rows, predictor)
    predictions = predict(config, predictor, rows, cache)
    report(config, predictions, predictor.bundles[0].facts, run_dir, cache=cache, rows=rows)
    if quantizes:
        asked = Asked(config, predictor, rows, cache, calibration)
        quantize(asked, predictions, run_dir)


def check_same_task(config: Config, predictor: BundlePredictor) -> None:
    """Hold TASK and the network's input against what the bundle was trained for.

    Raises:
        ConfigError: They differ.
    """
    task, model_id = predictor.target_spec.task, predictor.facts.model_id
    if config.data.task != task:
        raise ConfigError(f"[DATA] TASK = {config.data.task}: {model_id} answers {task}: set that")
    is_volume = len(predictor.input_spec.size) == 3
    if is_volume != takes_volumes(config):
        raise ConfigError(
            f"[MODEL] MODEL_ARCH = {config.model.model_arch}: {model_id} takes "
            f"{'volumes' if is_volume else 'images'}: expected the network of the training"
        )


def warn_of_test_time(config: Config, predictor: BundlePredictor) -> None:
    """Say when the INI asks for another look than the bundle keeps; the bundle's is taken."""
    kept = predictor.bundles[0].facts.test_time
    if config.evaluation.test_time != kept:
        logger.warning(
            "[EVALUATION] TEST_TIME = {}: read by a training; this bundle keeps {}",
            config.evaluation.test_time,
            kept,
        )


def check_same_answers(manifest: Manifest, predictor: BundlePredictor) -> None:
    """Hold what the table's labels mean against what the bundle answers.

    Raises:
        LabelsError: They differ.
    """
    found, expected = manifest.target_spec, predictor.target_spec
    if found.names != expected.names:
        raise LabelsError(
            f"the table has {', '.join(found.names)}, but {predictor.facts.model_id} answers "
            f"{', '.join(expected.names)}: expected the same in the same order"
        )


def check_unseen(config: Config, rows: Sequence[Row], predictor: BundlePredictor) -> None:
    """Hold the rows to be evaluated against what each bundle has learnt from.

    Raises:
        ConfigError: SPLIT = test, or any with QUANTIZE, holds images that one of the bundles has
            learnt from.
    """
    learnt = frozenset[str]().union(*(bundle.facts.learnt_ids for bundle in predictor.bundles))
    count = sum(hash_id(row.file_id) in learnt for row in rows)
    found = f"{count} of the {len(rows)} images were learnt from by {predictor.facts.model_id}"
    section = config.evaluation
    if count and (section.split == "test" or section.quantize != "none"):
        raise ConfigError(
            f"[EVALUATION] SPLIT = {section.split}: {found}: evaluate each bundle on its own test "
            "split, or train them with the same [DATA] SPLIT_FILE"
        )
    if count:
        logger.warning("SPLIT = {}: {}, so the figures flatter it", section.split, found)


def choose_rows(config: Config, manifest: Manifest, part: EvaluationSplit) -> tuple[Row, ...]:
    """The rows of a part; which they are stands in SPLIT_FILE, else beside the bundle.

    Raises:
        ConfigError: There is no split, or it has folds, each seen by some of the networks.
    """
    section = config.evaluation
    beside = section.model[0].parent / "split.csv"
    path = config.data.split_file or (beside if beside.is_file() else None)
    if part == "all":
        return manifest.rows
    if path is None:
        raise ConfigError(
            f"[EVALUATION] SPLIT = {part}: {beside} isn't there: expected [DATA] "
            "SPLIT_FILE with the split of the training, or SPLIT = all for images that the model "
            "has never seen"
        )
    excluded = config.data.excluded_file_ids
    splits = read_split(path, manifest.rows, excluded_file_ids=excluded)
    if len(splits) > 1:
        raise ConfigError(
            f"[EVALUATION] SPLIT = {part}: {path} holds {len(splits)} folds, so every "
            "image was learnt from by some network of this bundle: see `evaluation/` of its "
            "training, or evaluate other images with SPLIT = all"
        )
    return manifest.select(getattr(splits[0], part))


def report(
    config: Config,
    predictions: Answers,
    facts: BundleFacts,
    folder: Path,
    *,
    cache: PixelStore,
    rows: Sequence[Row],
) -> Evaluation:
    """Evaluate answers and write metrics, tables, figures and the report into a folder.

    Args:
        config: The whole configuration.
        predictions: The answers.
        facts: Of the bundle that gave them.
        folder: Made if absent.
        cache: Pictures as the network saw them, for the report.
        rows: Of the predictions.
    """
    by_id = {row.file_id: row for row in rows}
    by_path = {row.path: row for row in rows}
    facts_shown = describe_run(config, facts)
    num_thumbnails = config.evaluation.num_thumbnails
    if isinstance(predictions, LabelPredictions):
        evaluation = evaluate_labels(
            predictions,
            rounds=config.evaluation.bootstrap,
            seed=config.runtime.seed,
            train_prevalence=facts.label_prevalence or None,
        )
        write_label_evaluation(
            evaluation,
            predictions,
            folder,
            run_facts=facts_shown,
            thumbnails=lambda file_id: cache.get(by_id[file_id]),
            num_thumbnails=num_thumbnails,
            is_volume=len(facts.spec.input_spec.size) == 3,
        )
        found = label_headline(evaluation.metrics)
    else:
        evaluation = evaluate(
            predictions,
            rounds=config.evaluation.bootstrap,
            seed=config.runtime.seed,
            second_reader=read_second_reader(config, predictions.file_ids),
            baseline_grades=facts.baseline_grades,
            risk_medium_above=config.scoring.risk_medium_above,
            risk_high_above=config.scoring.risk_high_above,
        )
        write_evaluation(
            evaluation,
            predictions,
            folder,
            run_facts=facts_shown,
            thumbnails=lambda path: cache.get(by_path[path]),
            num_thumbnails=num_thumbnails,
        )
        found = f"{zone_headline(evaluation)} on {len(predictions)} images"
    logger.info("{}; report: {}", found, folder / "report.html")
    return evaluation


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


def describe_run(config: Config, facts: BundleFacts) -> dict[str, str]:
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
        "INI of the training": facts.config_ini,
    }
