"""Pooled features of every labelled image, what they are worth, and a map of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.config import Config
from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split import Split, folds_by_patient
from csi_predictor.data.split_file import read_split
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.inference.bundle import hash_id, load_bundle
from csi_predictor.inference.features import ImageFeatures, extract_features
from csi_predictor.inference.predictor import channels_last_of, open_predictor
from csi_predictor.metrics.probes import Fold, describe_probes, measure_probes
from csi_predictor.models.build import build_model
from csi_predictor.models.staged import StagedModel
from csi_predictor.reporting.features import write_features, write_maps, write_probes
from csi_predictor.runtime import Compute
from csi_predictor.workflows.evaluation import check_same_answers, check_same_task
from csi_predictor.workflows.images import load_manifest, prepare_images, refuse_what_is_not_read

NUM_FOLDS = 5
"""Of the probes, where no split is known."""


@dataclass(frozen=True)
class Source:
    """Networks whose features are wanted, and the images.

    Attributes:
        name: Of the networks, for the log and `probes.json`.
        models: On their device, in evaluation mode; they take the same picture.
        manifest: All labelled images.
        learnt_ids: `hash_id` of each image that chose weights or epoch.
    """

    name: str
    models: tuple[StagedModel, ...]
    manifest: Manifest
    learnt_ids: frozenset[str] = frozenset()


def describe_features(config: Config, compute: Compute, run_dir: Path) -> None:
    """Features of every labelled image, probes and maps; all goes to `run_dir`.

    Raises:
        ConfigError: Neither a bundle nor pretrained weights are named, or they don't fit [DATA].
        BundleError: A bundle can't be loaded.
        WeightsError: The pretrained weights are missing, damaged or of another network.
        LabelsError: Something is wrong with table, split or images.
        CsiError: The network's features aren't finite.
    """
    source = open_source(config, compute)
    split = find_split(config, source.manifest)
    features = _extract(config, source, split, compute)
    write_features(features, run_dir)
    _probe(config, source, split, features, run_dir)
    write_maps(_choose_shown(config, split, features), run_dir, seed=config.runtime.seed)
    logger.info("{} features of {} images in {}", features.values.shape[1], len(features), run_dir)


def open_source(config: Config, compute: Compute) -> Source:
    """The bundles of [EVALUATION] MODEL, else the network of [MODEL] with its pretrained weights.

    Raises:
        ConfigError: There are neither, or they don't fit [DATA].
        BundleError: A bundle can't be loaded.
        WeightsError: The pretrained weights are missing, damaged or of another network.
        LabelsError: Something is wrong with the labels table.
    """
    refuse_what_is_not_read(config)
    return (
        _open_bundles(config, compute) if config.evaluation.model else _pretrained(config, compute)
    )


def _open_bundles(config: Config, compute: Compute) -> Source:
    bundles = [load_bundle(folder) for folder in config.evaluation.model]
    predictor = open_predictor(bundles, device=compute.device)
    check_same_task(config, predictor)
    manifest = load_manifest(config, predictor.target_spec)
    check_same_answers(manifest, predictor)
    models = tuple(model for bundle in predictor.bundles for model in bundle.models)
    name = predictor.facts.model_id
    if len(models) > 1:
        logger.info("{}: the features of {} networks stand side by side", name, len(models))
    learnt = frozenset[str]().union(*(bundle.facts.learnt_ids for bundle in predictor.bundles))
    return Source(name, models, manifest, learnt)


def _pretrained(config: Config, compute: Compute) -> Source:
    section = config.model
    if section.weights is None and not section.pretrained:
        raise ConfigError(
            "[EVALUATION] MODEL: empty, and [MODEL] names no weights, so the features would be "
            "those of a random network: expected the folder `model` of a training, [MODEL] "
            "PRETRAINED = true or WEIGHTS"
        )
    manifest = load_manifest(config)
    model = build_model(config, manifest.target_spec).eval()
    layout = channels_last_of(model.input_spec)
    name = model.spec.architecture
    weights = "published weights" if section.weights is None else section.weights.name
    logger.info("[EVALUATION] MODEL is empty: features of {} with {}", name, weights)
    placed = model.to(memory_format=layout).to(compute.device)
    return Source(f"{name}, {weights}", (placed,), manifest)


def find_split(config: Config, manifest: Manifest) -> Split | None:
    """The split of SPLIT_FILE, of the training beside the bundle, or that a set comes with.

    None where there is none: also where it has folds, each of whose parts another one has learnt
    from, and where SPLIT = all and the bundle's own split is of other images.

    Raises:
        LabelsError: It doesn't fit the table.
    """
    named, models = config.data.split_file, config.evaluation.model
    beside = models[0].parent / "split.csv" if models else None
    path = named or (beside if beside is not None and beside.is_file() else None)
    if path is None:
        return manifest.published_split
    try:
        splits = read_split(path, manifest.rows, excluded_file_ids=config.data.excluded_file_ids)
    except LabelsError:
        if named is not None or config.evaluation.split != "all":
            raise
        logger.info("SPLIT = all: {} is of other images: left aside", path)
        return None
    if len(splits) > 1:
        logger.warning(
            "{} holds {} folds, so every image was learnt from by some network: the probes' "
            "figures flatter it",
            path,
            len(splits),
        )
        return None
    return splits[0]


def _extract(
    config: Config, source: Source, split: Split | None, compute: Compute
) -> ImageFeatures:
    rows = source.manifest.rows
    cache = prepare_images(config, rows, source.models[0].input_spec)
    values = extract_features(
        source.models,
        rows,
        cache,
        batch_size=config.training.batch_size,
        device=compute.device,
    )
    part_of = {} if split is None else split.part_of()
    return ImageFeatures(
        file_ids=tuple(row.file_id for row in rows),
        patient_ids=tuple(row.patient_id for row in rows),
        parts=tuple(part_of.get(row.file_id, "") for row in rows),
        target_spec=source.manifest.target_spec,
        targets=np.array([row.targets for row in rows], dtype=np.float64),
        values=values,
    )


def _probe(
    config: Config, source: Source, split: Split | None, features: ImageFeatures, run_dir: Path
) -> None:
    splits, how = choose_probe_splits(source.manifest.rows, split, seed=config.runtime.seed)
    is_known = np.isfinite(features.targets).any(axis=1)
    position = {features.file_ids[index]: index for index in np.flatnonzero(is_known)}

    def index(file_ids: Sequence[str]) -> NDArray[np.int64]:
        return np.array([position[i] for i in file_ids if i in position], dtype=np.int64)

    folds = [Fold(index(each.train), index((*each.val, *each.test))) for each in splits]
    spec = features.target_spec
    figures = measure_probes(features.values, features.targets, spec, folds)
    measured = [features.file_ids[row] for fold in folds for row in fold.measured]
    num_learnt = sum(hash_id(file_id) in source.learnt_ids for file_id in measured)
    facts = {
        "network": source.name,
        "n_networks": len(source.models),
        "n_features": features.values.shape[1],
        "task": spec.task,
        "learnt_and_measured_on": how,
        "n_measured": len(measured),
        "n_measured_learnt_by_network": num_learnt,
        "methods": describe_probes(spec.task),
    }
    write_probes(figures, facts, run_dir)
    for name, block in figures.items():
        shown = (f"{key} {value:.3f}" for key, value in block.items() if isinstance(value, float))
        logger.info("{} probe, {}: {}", name, how, ", ".join(shown))
    if num_learnt:
        logger.log(
            "INFO" if splits[0] is split else "WARNING",
            "{} of the {} images that the probes are measured on trained the network or chose its "
            "epoch, so the figures flatter it",
            num_learnt,
            len(measured),
        )


def choose_probe_splits(
    rows: Sequence[Row], split: Split | None, *, seed: int
) -> tuple[tuple[Split, ...], str]:
    """The split, or folds by patient of the labelled rows where it measures nothing; and its name.

    Args:
        rows: All images.
        split: Of them; None = unknown.
        seed: Of the folds.
    """
    if split is not None and (split.val or split.test):
        return (split,), "train to val and test"
    labelled = [row for row in rows if np.isfinite(row.targets).any()]
    num_folds = min(NUM_FOLDS, len({row.patient_id for row in labelled}))
    if num_folds < 2:
        logger.warning("Fewer than two patients with a known target: the probes have no figures")
        return (), "nothing"
    folds = folds_by_patient(labelled, folds=num_folds, val_fraction=0, seed=seed)
    return folds, f"{num_folds} folds by patient"


def _choose_shown(config: Config, split: Split | None, features: ImageFeatures) -> ImageFeatures:
    """The images of [EVALUATION] SPLIT; all where the split is unknown or that part is empty."""
    wanted = config.evaluation.split
    shown = np.flatnonzero(np.array(features.parts) == wanted)
    if split is None or wanted == "all" or not len(shown):
        logger.info("The maps are of every image")
        return features
    logger.info("The maps are of SPLIT = {}: {} images", wanted, len(shown))
    return features.take(shown)
