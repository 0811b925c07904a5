"""[EVALUATION]: keys, types, limits, defaults and meanings."""

from typing import Annotated

from csi_predictor.config import choices
from csi_predictor.config.fields import OptionalPath, Paths, Section, Word, key


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
    quantize: Annotated[choices.Quantize, Word] = key(
        "none", "int8 form to measure and keep in the bundle: of linear layers, or of all layers"
    )
    quantize_max_drop: float = key(
        0.01, "int8 is refused if its zone QWK, macro AUROC or accuracy falls by more", ge=0, le=1
    )
    quantize_images: int = key(300, "validation images that calibrate QUANTIZE = openvino", ge=1)
    num_thumbnails: int = key(24, "worst cases shown in report.html", ge=0, le=500)
