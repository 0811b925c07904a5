"""[SYNTHESIS]: keys, types, limits, defaults and meanings."""

from typing import Annotated

from csi_predictor.config import choices
from csi_predictor.config.fields import Counts, OptionalPath, Section, Word, key


class SynthesisSection(Section):
    """The embedded procedural radiographs."""

    kind: Annotated[choices.SynthesisKind, Word] = key(
        "studies",
        "what `--mode synthesize` makes: studies = radiographs with six zones; findings = "
        "radiographs with labels; ct = CT volumes with labels",
    )
    count: int = key(400, "images", ge=1)
    size: int = key(512, "edge of a radiograph, pixels", ge=64, le=4096)
    ct_shape: Counts = key((64, 96, 96), "D, H, W of a CT volume, voxels; the field is 336 mm")
    output_dir: OptionalPath = key(
        None, "empty = RUN_DIR for --mode synthesize, [DATA] PHANTOM_DIR for SOURCE = phantom"
    )
    noise: float = key(1.0, "of the detector and of the exposure; 1 = usual, 0 = none", ge=0, le=5)
    rotation_deg: float = key(3.0, "spread of the patients' rotation, degrees", ge=0, le=20)
    ungradable_fraction: float = key(0.04, "share of zones that can't be graded", ge=0, le=0.25)
    grade_overlap: float = key(
        1.0,
        "how far pictures stray from their grades or labels; 0 = exact, 1 = as readers disagree",
        ge=0,
        le=3,
    )
