"""Measure bundles on labelled images that they haven't learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from csi_predictor.config import Config
from csi_predictor.config.choices import EvaluationSplit
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split_file import read_split
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.inference.bundle import Bundle, hash_id, load_bundle
from csi_predictor.inference.predict import DropoutPasses
from csi_predictor.inference.predictor import (
    BundlePredictor,
    LabelPredictor,
    Predictor,
    open_predictor,
)
from csi_predictor.runtime import Compute
from csi_predictor.uncertainty.trust import Trust, TrustSettings, fit_trust
from csi_predictor.uncertainty.trust_file import read_trust, write_trust
from csi_predictor.workflows.answers import predict
from csi_predictor.workflows.examination import Examination, Examined, ask, has_known
from csi_predictor.workflows.images import load_manifest, prepare_images, takes_volumes
from csi_predictor.workflows.quantization import Asked, check_quantizable, quantize
from csi_predictor.workflows.report import report
from csi_predictor.workflows.subgroups import check_subgroups
from csi_predictor.workflows.trust import (
    VALIDATION,
    check_passes,
    check_triage,
    dropout_for,
    dropout_of,
    trust_settings,
)
from csi_predictor.workflows.versus import check_other_unseen, open_other


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
    check_triage(config, manifest.target_spec)
    other = open_other(config, predictor.target_spec, compute.device)
    rows = choose_rows(config, manifest, section.split)
    validation = choose_rows(config, manifest, "val") if section.split in _PARTS_WITH_VAL else ()
    plan = plan_trust(config, bundles, validation)
    if plan.dropout is not None:
        predictor = open_predictor(bundles, device=compute.device, dropout=plan.dropout)
    calibrating = validation if section.quantize == "openvino" else ()
    if section.quantize != "none":
        check_quantizable(config, compute.device, calibrating)
    check_subgroups(config, rows)
    needed = (*rows, *(validation if plan.fits else calibrating))
    cache = prepare_images(config, needed, predictor.input_spec)
    check_unseen(config, rows, predictor)
    check_other_unseen(config, rows, other)
    trust = fit_trust_of(config, predictor, validation, cache) if plan.fits else plan.kept
    used = unseen_trust(trust, rows)
    examined = Examined(predictor, rows, used)
    answers = ask(config, [examined], cache)
    examination = Examination((examined,), answers, trust, settings_of(config, used))
    facts = predictor.bundles[0].facts
    report(config, examination, answers, facts, run_dir, store=cache, other=other)
    if section.quantize != "none":
        plain = open_predictor(bundles, device=compute.device)  # int8 has no dropout either
        exact = predict(config, plain, rows, cache) if plan.dropout else answers.before
        quantize(Asked(config, plain, rows, cache, calibrating), exact, run_dir)
    if plan.fits and trust is not None:
        keep_trust(config, predictor.bundles, trust, run_dir)


_PARTS_WITH_VAL = ("test", "train")


@dataclass(frozen=True)
class TrustPlan:
    """Where the trust of the evaluated bundles comes from.

    Attributes:
        kept: The bundle's own; None = it has none, or several bundles are evaluated together.
        fits: Whether it is fitted anew on the split's validation rows.
        dropout: Masks under which the answers are made.
    """

    kept: Trust | None
    fits: bool
    dropout: DropoutPasses | None


def plan_trust(config: Config, bundles: Sequence[Bundle], validation: Sequence[Row]) -> TrustPlan:
    """Keep the bundle's trust where it is what the INI asks for; else fit it, if that is possible.

    Raises:
        ConfigError: The measure compares passes, and there is one.
        BundleError: The trust's file is damaged.
    """
    kept = read_trust(bundles[0]) if len(bundles) == 1 else None
    if kept is not None and kept.settings == trust_settings(config):
        return TrustPlan(kept, fits=False, dropout=dropout_of(config))
    if has_known(validation) and may_fit(validation, bundles):
        check_passes(config, sum(bundle.facts.num_members for bundle in bundles))
        return TrustPlan(kept, fits=True, dropout=dropout_of(config))
    if kept is not None:
        logger.warning(
            "[EVALUATION] asks for another calibration, uncertainty or triage than the bundle "
            "keeps, and no validation images are at hand to fit it on: the bundle's are used"
        )
        return TrustPlan(kept, fits=False, dropout=dropout_for(kept.settings.dropout_passes))
    logger.warning(
        "No calibration or triage is kept in the bundle, and no validation images are at hand to "
        "fit them on: probabilities are as the networks give them"
    )
    return TrustPlan(None, fits=False, dropout=dropout_of(config))


def may_fit(validation: Sequence[Row], bundles: Sequence[Bundle]) -> bool:
    """Whether no bundle's weights were learnt from the validation rows.

    Raises:
        ConfigError: Some were: it isn't the split of the training.
    """
    for bundle in bundles:
        facts = bundle.facts
        trained = facts.learnt_ids - facts.validated_ids
        count = sum(hash_id(row.file_id) in trained for row in validation)
        if count and not facts.validated_ids:
            return False  # of a bundle without validation rows, or of an earlier version
        if count:
            raise ConfigError(
                f"[DATA] SPLIT_FILE: {facts.model_id} has learnt from {count} of the "
                f"{len(validation)} validation images, so nothing can be fitted on them: expected "
                "the split of its training"
            )
    return True


def unseen_trust(trust: Trust | None, rows: Sequence[Row]) -> Trust | None:
    """The trust, but for rows that it was fitted on, which it would flatter."""
    if trust is None:
        return None
    count = sum(hash_id(row.file_id) in trust.fitted_ids for row in rows)
    if not count:
        return trust
    logger.warning(
        "Calibration and triage were fitted on {} of the {} images: evaluated without them",
        count,
        len(rows),
    )
    return None


def settings_of(config: Config, trust: Trust | None) -> TrustSettings:
    """What was fitted, where it is the bundle's; the reader and the costs are always the INI's."""
    asked = trust_settings(config)
    if trust is None:
        return asked
    triage = replace(
        trust.settings.triage,
        reader_accuracy=asked.triage.reader_accuracy,
        error_cost=asked.triage.error_cost,
        review_cost=asked.triage.review_cost,
    )
    return replace(trust.settings, triage=triage)


def keep_trust(config: Config, bundles: Sequence[Bundle], trust: Trust, run_dir: Path) -> None:
    """Write a trust that was fitted anew: into the bundle only where the INI says so.

    Raises:
        BundleError: The bundle's folder can't be written to.
    """
    if config.evaluation.keep_trust and len(bundles) == 1:
        logger.info("Scoring now uses {}", write_trust(bundles[0], trust))
        return
    path = write_trust(bundles[0], trust, run_dir)
    logger.info(
        "Calibration and triage were fitted anew, for this evaluation alone ({}); the bundle is as "
        "it was: [EVALUATION] KEEP_TRUST = true puts them into it",
        path,
    )


def fit_trust_of(
    config: Config,
    predictor: Predictor | LabelPredictor,
    validation: Sequence[Row],
    cache: PixelStore,
) -> Trust:
    """The trust that the INI asks for."""
    answers = predict(config, predictor, validation, cache)
    return fit_trust(answers, trust_settings(config), fitted_on=VALIDATION)


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
