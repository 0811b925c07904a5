"""Train every split, keep the networks as a bundle, and let each answer for what it hasn't seen."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from loguru import logger

from csi_predictor.config import Config, render_ini
from csi_predictor.data.build import build_augmentation, build_splits, warn_of_equal_images
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Manifest, Row, add_second_reader
from csi_predictor.data.split import Split
from csi_predictor.data.split_file import write_split
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.files import write_text
from csi_predictor.inference.bundle import Bundle, load_bundle, save_bundle
from csi_predictor.losses.build import check_loss
from csi_predictor.models.build import build_input_spec, build_model_spec
from csi_predictor.models.create import check_input_size
from csi_predictor.reporting.tensorboard import add_tensorboard_events, check_tensorboard
from csi_predictor.reporting.training import plot_training_curves, write_history
from csi_predictor.runtime import Compute
from csi_predictor.specs import names_have_sides
from csi_predictor.training.build import STATE_DIR, build_loop, choose_monitor
from csi_predictor.training.feature_cache import FeatureMemory
from csi_predictor.training.loop import Figures, Loop
from csi_predictor.training.run import (
    Place,
    TrainedNetwork,
    mean_history,
    plan_places,
    train_networks,
)
from csi_predictor.uncertainty.trust_file import TRUST_NAME
from csi_predictor.workflows.examination import has_known
from csi_predictor.workflows.images import load_manifest, prepare_images, read_second_grades
from csi_predictor.workflows.label_facts import choose_label_thresholds, label_prevalence
from csi_predictor.workflows.subgroups import check_subgroups
from csi_predictor.workflows.trust import check_passes, check_triage
from csi_predictor.workflows.versus import open_other

MODEL_DIR = "model"


@dataclass(frozen=True)
class LabelledData:
    """Labelled images, every one read and prepared, and what is done with them."""

    manifest: Manifest
    splits: tuple[Split, ...]
    cache: PixelStore


def prepare_training(config: Config, run_dir: Path) -> LabelledData:
    """Read, split and prepare everything that a training needs; writes `split.csv`.

    Raises:
        LabelsError: Everything that is wrong with table, split and images.
    """
    manifest = _with_second_reader(config, load_manifest(config))
    check_before_images(config, manifest)
    splits = build_splits(config, manifest)
    check_same_data(run_dir / STATE_DIR / "data.sha256", manifest, splits)
    check_known(manifest, splits)
    write_split(run_dir / "split.csv", splits, manifest.rows)
    cache = prepare_images(config, manifest.rows, build_input_spec(config))
    warn_of_equal_images(manifest, splits, cache)
    return LabelledData(manifest, splits, cache)


def _with_second_reader(config: Config, manifest: Manifest) -> Manifest:
    """The second reader's grades beside the first one's, where they are to be learnt from."""
    if not config.training.second_reader_weight:
        return manifest
    grades = read_second_grades(config, [row.file_id for row in manifest.rows])
    return add_second_reader(manifest, grades)


def check_same_data(path: Path, manifest: Manifest, splits: Sequence[Split]) -> None:
    """Let a training go on only with the labels, patients and split that it began with.

    Args:
        path: Remembers their hash; written if absent.
        manifest: All labelled images.
        splits: Drawn from them.

    Raises:
        LabelsError: They are others; going on would test on images already learnt from.
    """
    digest = hash_data(manifest, splits)
    if path.is_file() and path.read_text(encoding="utf-8").strip() != digest:
        raise LabelsError(
            f"{path.parent.parent}: this training began with other labels, images or another "
            "split, so it could be tested on what it has learnt from: choose another [RUNTIME] "
            "RUN_DIR, or [TRAINING] RESUME = never to start anew"
        )
    write_text(path, digest + "\n")


def hash_data(manifest: Manifest, splits: Sequence[Split]) -> str:
    """SHA-256 of ids, patients, truths and split; of the pictures only which they are."""
    rows = [
        (row.file_id, row.patient_id, [str(g) for g in (*row.targets, *row.second_targets)])
        for row in manifest.rows
    ]
    content: list[object] = [rows, [split.part_of() for split in splits]]
    if manifest.target_spec.task != "csi":
        content.append(manifest.target_spec.names)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_before_images(config: Config, manifest: Manifest) -> None:
    """Refuse what would fail only after every image was prepared; warn of what learns nothing.

    Raises:
        ConfigError: Keys don't fit the labels, or the network can't take the size of its input.
    """
    targets, section = manifest.target_spec, config.training
    check_loss(config, targets)
    names = () if targets.task == "csi" else targets.names
    build_augmentation(config, names)
    if config.evaluation.test_time == "mirror" and names_have_sides(names):
        raise ConfigError(
            "[EVALUATION] TEST_TIME = mirror: a mirrored image has its left labels on the right, "
            f"found {', '.join(names)}: expected none"
        )
    check_input_size(build_model_spec(config, targets))
    check_passes(config, section.ensemble_size)
    check_triage(config, targets)
    check_subgroups(config, manifest.rows)
    open_other(config, targets, torch.device("cpu"))
    _check_dropout_rate(config)
    has_weights = config.model.pretrained or config.model.weights is not None
    if section.fine_tuning == "frozen" and not has_weights:
        logger.warning(
            "FINE_TUNING = frozen without PRETRAINED or WEIGHTS: the head learns from features of "
            "random weights"
        )


def _check_dropout_rate(config: Config) -> None:
    if config.evaluation.uncertainty == "mc_dropout" and not config.model.dropout_rate:
        raise ConfigError(
            "[EVALUATION] UNCERTAINTY = mc_dropout: [MODEL] DROPOUT_RATE = 0 leaves nothing to "
            "drop: expected a rate above 0, or UNCERTAINTY = none or ensemble"
        )


def check_known(manifest: Manifest, splits: Sequence[Split]) -> None:
    """Refuse a split whose training or test images have no known target at all.

    Raises:
        LabelsError: Which part it is.
    """
    is_csi = manifest.target_spec.task == "csi"
    noun, fault = ("zones", "ungradable") if is_csi else ("labels", "unknown")
    expected = "grades 0 to 3" if is_csi else "labels"
    for number, split in enumerate(splits, start=1):
        for part in ("train", "test"):
            rows = manifest.select(getattr(split, part))
            if rows and not has_known(rows):
                raise LabelsError(
                    f"split {number}: all {noun} of its {len(rows)} {part} images are {fault} "
                    f"(empty): expected {expected} in the labels table"
                )


def train_all(
    config: Config, data: LabelledData, compute: Compute, run_dir: Path
) -> tuple[TrainedNetwork, ...]:
    """Train ENSEMBLE_SIZE networks on every split, writing each one's history as it goes."""
    features = FeatureMemory()

    def start(place: Place, train: Sequence[Row], val: Sequence[Row]) -> Loop:
        return build_loop(
            config,
            place,
            targets=data.manifest.target_spec,
            train=train,
            val=val,
            cache=data.cache,
            compute=compute,
            features=features,
            on_epoch=partial(_write_progress, config, place.folder),
        )

    if config.training.tensorboard:
        check_tensorboard()
    places = plan_places(
        run_dir,
        num_splits=len(data.splits),
        ensemble_size=config.training.ensemble_size,
        seed=config.runtime.seed,
    )
    trained = train_networks(places, data.splits, data.manifest, build_loop=start)
    for network in trained:  # once more, in case a kill came between the last state and this
        _write_progress(config, network.place.folder, network.history)
    if len(trained) > 1:
        mean = mean_history([network.history for network in trained])
        _write_progress(config, run_dir, mean)
    return trained


def _write_progress(config: Config, folder: Path, history: Sequence[Figures]) -> None:
    write_history(history, folder / "history.csv")
    plot_training_curves(history, folder / "training_curves.png", monitor=choose_monitor(config))
    if config.training.tensorboard:
        add_tensorboard_events(history[-1], folder)


def keep_model(
    config: Config,
    data: LabelledData,
    trained: Sequence[TrainedNetwork],
    run_dir: Path,
    compute: Compute,
) -> Bundle:
    """Save the trained networks as one bundle; several are an ensemble."""
    targets = data.manifest.target_spec
    spec = build_model_spec(config, targets)
    is_csi = targets.task == "csi"
    learnt = [row for split in data.splits for row in data.manifest.select(split.train)]
    validated = {file_id for split in data.splits for file_id in split.val}
    (run_dir / MODEL_DIR / TRUST_NAME).unlink(missing_ok=True)  # of weights that are replaced
    save_bundle(
        run_dir / MODEL_DIR,
        [part.weights for part in trained],
        spec=spec,
        test_time=config.evaluation.test_time,
        baseline_grades=_median_baseline(trained) if is_csi else (),
        learnt_ids={file_id for split in data.splits for file_id in (*split.train, *split.val)},
        validated_ids=validated - {file_id for split in data.splits for file_id in split.train},
        training={
            "num_images": len(data.manifest),
            "num_patients": data.manifest.num_patients,
            "num_images_learnt_from": len({row.file_id for row in learnt}),
            "source": config.data.source,
            "seed": config.runtime.seed,
            "best_epochs": [part.best_epoch for part in trained],
            "labels_and_split_sha256": hash_data(data.manifest, data.splits),
        },
        config_ini=render_ini(config),
        label_thresholds=choose_label_thresholds(config, data, trained, spec, compute),
        label_prevalence=() if is_csi else label_prevalence(learnt, targets),
    )
    return load_bundle(run_dir / MODEL_DIR)


def _median_baseline(trained: Sequence[TrainedNetwork]) -> tuple[float, ...]:
    baselines = np.array([part.baseline_grades for part in trained])
    return tuple(np.floor(np.median(baselines, axis=0) + 0.5).tolist())
