"""[EVALUATION]: keys, types, limits, defaults and meanings."""

from typing import Annotated, get_args

from pydantic import BeforeValidator, Field

from csi_predictor.config import choices
from csi_predictor.config.fields import (
    Names,
    Numbers,
    OptionalPath,
    Paths,
    Section,
    SplitList,
    Word,
    key,
)

HEAT_MAPS_IF_TRUE = 6


def _count_of(value: object) -> object:
    """`true` and `false` stand for the usual number and for none."""
    return {"true": HEAT_MAPS_IF_TRUE, "false": 0, "none": 0}.get(str(value).lower(), value)


def _words(words: tuple[str, ...]) -> BeforeValidator:
    """A list of words, in which `none` is none of them and `all` is each."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        named = {"": (), "none": (), "false": (), "all": words, "true": words}
        lower = value.strip().lower()
        return named.get(lower, tuple(part.strip() for part in lower.split(",") if part.strip()))

    return BeforeValidator(read)


Policies = Annotated[tuple[choices.Policy, ...], _words(get_args(choices.Policy))]
Corruptions = Annotated[tuple[choices.Corruption, ...], _words(get_args(choices.Corruption))]
Shares = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], SplitList]


class EvaluationSection(Section):
    """How a trained model is measured."""

    model: Paths = key((), "bundle folder; several, comma-separated, are one ensemble")
    split: Annotated[choices.EvaluationSplit, Word] = key(
        "test", "which rows; all = the whole table, whatever its split"
    )
    test_time: Annotated[choices.TestTime, Word] = key(
        "none",
        "of a training, kept in its bundle: mirror = average with the flipped image (zones "
        "swapped)",
    )
    second_reader_csv: OptionalPath = key(None, "another reader's table; reader agreement is added")
    bootstrap: int = key(1000, "rounds of the confidence intervals, by patient; 0 = none", ge=0)
    calibration: Annotated[choices.Calibration, Word] = key(
        "temperature", "of probabilities, fitted on validation images and kept in the bundle"
    )
    calibration_scope: Annotated[choices.CalibrationScope, Word] = key(
        "head", "one calibration for the whole head, or one for each question (zone or label)"
    )
    uncertainty: Annotated[choices.Uncertainty, Word] = key(
        "none", "passes compared: none = those there are, MC_SAMPLES with dropout, or the ensemble"
    )
    mc_samples: int = key(30, "passes of UNCERTAINTY = mc_dropout", ge=2, le=1000)
    coverage: float = key(
        0.9, "share of truths that the prediction sets are to hold; 0 = no sets", ge=0, lt=1
    )
    keep_trust: bool = key(
        False, "of evaluate: true = what was fitted anew replaces the bundle's, and scoring uses it"
    )
    triage: Policies = key(
        ("budget", "threshold"),
        "policies, comma-separated, the first decides in scoring: threshold, budget, cost, "
        "class_critical; all or none",
    )
    triage_measure: Annotated[choices.Measure, Word] = key(
        "auto", "what makes an image unsure; auto = confidence"
    )
    target_accuracy: float = key(
        0.95, "share of right answers that `threshold` is to reach among automatic ones", gt=0, le=1
    )
    review_budget: float = key(
        0.2, "share of the images that `budget` gives to the reader", ge=0, le=1
    )
    error_cost: float = key(100.0, "of one wrong answer, for `cost`", ge=0)
    review_cost: float = key(2.0, "of one image that the reader looks at, for `cost`", ge=0)
    critical_answers: Names = key(
        (), "for `class_critical`: labels or classes never to miss; of zones grades, as 3"
    )
    reader_accuracy: Shares = key(
        (0.95,), "of the reader who gets the unsure images: one number, or one an answer"
    )
    compare_model: Paths = key((), "another bundle (or ensemble), measured on the same images")
    subgroups: Names = key(
        (),
        "columns of the labels table, or DICOM's sex, age, view, manufacturer, model, site",
    )
    age_bands: Numbers = key((40, 60, 80), "years at which the bands of `age` begin")
    corruptions: Corruptions = key(
        (),
        "robustness at five severities: noise, brightness, contrast, blur, salt_and_pepper, jpeg, "
        "rotation, crop; all or none",
    )
    heatmaps: Annotated[int, BeforeValidator(_count_of)] = key(
        0, "worst cases drawn with heat maps; true = 6, false = 0", ge=0, le=500
    )
    heatmap_method: Annotated[choices.HeatMapMethod, Word] = key(
        "auto", "auto goes by the network: Grad-CAM, HiResCAM where zones are pooled, rollout"
    )
    quantize: Annotated[choices.Quantize, Word] = key(
        "none", "int8 form to measure and keep in the bundle: of linear layers, or of all layers"
    )
    quantize_max_drop: float = key(
        0.01, "int8 is refused if its zone QWK, macro AUROC or accuracy falls by more", ge=0, le=1
    )
    quantize_images: int = key(300, "validation images that calibrate QUANTIZE = openvino", ge=1)
    num_thumbnails: int = key(24, "worst cases shown in report.html", ge=0, le=500)
