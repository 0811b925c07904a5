"""Ask predictors again about damaged and mirrored images; the files stay as they are."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    CorruptedStore,
    MirroredStore,
)
from csi_predictor.data.manifest import Row
from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.figures import Block
from csi_predictor.evaluation.quantization import main_figure
from csi_predictor.evaluation.robustness import (
    LightFigures,
    laterality_block,
    light_figures,
    robustness_block,
)
from csi_predictor.inference.predictions import Predictions
from csi_predictor.inference.questions import questions_of
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.uncertainty.trust import Answers

Ask = Callable[[Sequence[Row], PixelStore], Answers]
"""Some of the evaluated rows and their pictures -> the answers evaluated, in the rows' order."""

MOST_IMAGES = 500
"""Forty passes over each image; more images would narrow the intervals little."""

EXAMPLE_SEVERITY = 3


def ask_about_damaged(
    config: Config, ask: Ask, rows: Sequence[Row], cache: PixelStore, clean: Answers
) -> Block:
    """Figures on each of [EVALUATION] CORRUPTIONS at five severities, of at most `MOST_IMAGES`.

    The images are drawn by [RUNTIME] SEED from those with any known answer. The memory needed
    doesn't grow with the number of corruptions.

    Args:
        config: The whole configuration.
        ask: Of one predictor, or of each fold's own.
        rows: Evaluated.
        cache: Of their images.
        clean: The evaluated answers about the rows as they are, in their order.

    Raises:
        LabelsError: No row has a known answer.
    """
    rounds, seed = config.evaluation.bootstrap, config.runtime.seed
    index = choose_images(clean, seed=seed)
    chosen, before = [rows[i] for i in index], clean.take(index)
    resampling = resample_patients(before.patient_ids, rounds=rounds, seed=seed)
    names = config.evaluation.corruptions
    figures: dict[str, list[LightFigures]] = {}
    for number, name in enumerate(names, start=1):
        logger.info("Robustness, {} of {}: {}", number, len(names), name)
        figures[name] = []
        for severity in SEVERITIES:
            after = ask(chosen, CorruptedStore(cache, name, severity=severity, seed=seed))
            figures[name].append(light_figures(after, before, resampling))
    block = robustness_block(
        light_figures(before, before, resampling),
        figures,
        main=main_figure(before),
        resampling=resampling,
        rounds=rounds,
        seed=seed,
    )
    return {"n_images_evaluated": len(rows), **block}


def ask_about_mirrored(
    config: Config,
    ask: Ask,
    rows: Sequence[Row],
    cache: PixelStore,
    clean: Answers,
    *,
    is_by_construction: bool,
) -> Block:
    """Whether grades change sides with mirrored images, of at most `MOST_IMAGES` images.

    Args:
        config: The whole configuration.
        ask: Of one predictor of zones, or of each fold's own.
        rows: Evaluated.
        cache: Of their images.
        clean: The answers about the rows as they are, in their order.
        is_by_construction: Whether every look is averaged with the mirrored one.

    Raises:
        LabelsError: No row has a known answer.
    """
    index = choose_images(clean, seed=config.runtime.seed)
    logger.info("Laterality: {} images mirrored", len(index))
    mirrored = ask([rows[i] for i in index], MirroredStore(cache))
    original = clean.take(index)
    if not isinstance(original, Predictions) or not isinstance(mirrored, Predictions):
        raise AssertionError("asked for only of zones, which have sides")
    block = laterality_block(
        original,
        mirrored,
        rounds=config.evaluation.bootstrap,
        seed=config.runtime.seed,
        is_by_construction=is_by_construction,
    )
    return {"n_images_evaluated": len(rows), **block}


def corruption_examples(
    config: Config, rows: Sequence[Row], cache: PixelStore
) -> dict[str, NDArray[Any]]:
    """Title -> (H, W) or (3, H, W): the first row's image as it is and damaged at severity 3.

    Of a volume the middle slice. Empty where the report is to show no image.
    """
    names = config.evaluation.corruptions
    if not names or not rows or not config.evaluation.num_thumbnails:
        return {}
    row, seed = rows[0], config.runtime.seed
    pictures: dict[str, NDArray[Any]] = {"As it is": cache.get(row)}
    for name in names:
        store = CorruptedStore(cache, name, severity=EXAMPLE_SEVERITY, seed=seed)
        pictures[CORRUPTIONS[name].title] = store.get(row)
    if len(cache.spec.size) == 2:
        return pictures
    return {title: pixels[len(pixels) // 2] for title, pixels in pictures.items()}


def choose_images(answers: Answers, *, seed: int) -> NDArray[np.int64]:
    """Index of at most `MOST_IMAGES` images with any known answer, in their order.

    Raises:
        LabelsError: There is none.
    """
    known = np.flatnonzero(questions_of(answers).is_known.any(axis=1))
    if not len(known):
        raise LabelsError(
            f"robustness: {len(answers)} images and no known answer among them: expected at least "
            "one; choose another [EVALUATION] SPLIT"
        )
    if len(known) > MOST_IMAGES:
        known = np.random.default_rng(seed).choice(known, size=MOST_IMAGES, replace=False)
    return np.sort(known).astype(np.int64)
