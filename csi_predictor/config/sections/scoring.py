"""[SCORING]: keys, types, limits, defaults and meanings."""

from typing import Annotated

from pydantic import Field

from csi_predictor.config import choices
from csi_predictor.config.fields import OptionalPath, Paths, Section, Word, key


class ScoringSection(Section):
    """Scoring a folder with a trained model."""

    model: Paths = key((), "bundle folder; several, comma-separated, are one ensemble")
    input_dir: OptionalPath = key(None, "folder of DICOM, NIfTI, PNG, JPEG or TIFF files")
    output_dir: OptionalPath = key(None, "folder of scores.csv; empty = RUN_DIR")
    engine: Annotated[choices.Engine, Word] = key(
        "auto", "what runs the network; auto = torch; int8 needs a report: [EVALUATION] QUANTIZE"
    )
    workers: Annotated[choices.Auto | Annotated[int, Field(ge=0)], Word] = key(
        "auto", "processes that read files; auto = CPU cores; 0 = in the main process"
    )
    batch_size: int = key(16, "images a pass", ge=1)
    timeout_s: float = key(60.0, "seconds that one file may take to read", gt=0)
    max_megapixels: float = key(100.0, "larger pictures are refused before decoding", gt=0)
    study_rule: Annotated[choices.StudyRule, Word] = key(
        "latest", "which image speaks for a study in studies.csv"
    )
    min_gradable_zones: int = key(3, "fewer gradable zones give no csi and no risk", ge=1, le=6)
    ungradable_threshold: float = key(
        0.5, "a zone is ungradable when its probability is at least this", gt=0, le=1
    )
    unsure: Annotated[choices.Unsure, Word] = key(
        "flag", "an image that the bundle's triage would give to a reader: flag or withhold its csi"
    )
    risk_medium_above: float = key(1.3, "csi above this is medium risk", ge=0, le=3)
    risk_high_above: float = key(2.2, "csi above this is high risk", ge=0, le=3)
    allow_secondary_capture: bool = key(False, "true = also score Secondary Capture images")
