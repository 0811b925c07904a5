"""[DATA]: keys, types, limits, defaults and meanings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from csi_predictor.config import choices
from csi_predictor.config.fields import (
    Counts,
    Names,
    Numbers,
    OptionalPath,
    Section,
    SeparatorWord,
    Word,
    key,
)
from csi_predictor.specs import Fit, VoiRule


class DataSection(Section):
    """Where images and grades come from and how an image becomes the network's input."""

    task: Annotated[choices.Task, Word] = key(
        "csi",
        "what is answered: csi = six zones, 0-3 each; multiclass = one of several classes; "
        "multilabel = each label or not; change and reconstruction networks are built and "
        "benchmarked, not yet trained",
    )
    source: Annotated[choices.Source, Word] = key(
        "phantom",
        "phantom = the embedded procedural images (labels: findings; of a 3D network: "
        "CT); csv = your own table and images; volumes = your own table and CT; medmnist = a "
        "published set; pairs = what change networks take, not yet read by training",
    )
    labels: Names = key(
        (),
        "names of the answers of TASK = multiclass or multilabel, in their order; empty = those "
        "of the table or set",
    )
    labels_layout: Annotated[choices.LabelsLayout, Word] = key(
        "plain",
        "of LABELS_CSV: plain = a column a label (multilabel) or a column `label` (multiclass); "
        "chestxray14, chexpert, ct_rate = the tables that those sets come with",
    )
    uncertain_labels: Annotated[choices.Uncertain, Word] = key(
        "ignore", "-1 of LABELS_LAYOUT = chexpert: ignore (unknown), zeros (absent), ones (present)"
    )
    unmentioned_labels: Annotated[choices.Unmentioned, Word] = key(
        "zeros", "empty cells of LABELS_LAYOUT = chexpert: zeros (absent) or ignore (unknown)"
    )
    medmnist_flag: Annotated[str, Word] = key(
        "", "of SOURCE = medmnist: pathmnist, chestmnist, ..."
    )
    medmnist_size: int = key(28, "of SOURCE = medmnist: the file's edge: 28, 64, 128 or 224")
    medmnist_download: bool = key(
        False, "of SOURCE = medmnist: true = fetch the file into DATA_DIR where it is missing"
    )
    volume_shape: Counts = key((), "D, H, W of a 3D network's input, voxels; empty = its own")
    spacing_mm: Numbers = key(
        (),
        "D, H, W: distance of voxels to which volumes are resampled before VOLUME_SHAPE crops or "
        "pads them; empty = the whole volume is resized to VOLUME_SHAPE",
    )
    hu_min: Annotated[choices.Auto | float, Word] = key(
        -1000.0, "Hounsfield unit of CT volumes that becomes 0; auto = not CT: LOW_PERCENTILE"
    )
    hu_max: Annotated[choices.Auto | float, Word] = key(
        1000.0, "Hounsfield unit of CT volumes that becomes 1; auto = not CT: HIGH_PERCENTILE"
    )
    phantom_dir: Path = key(Path("data/phantom"), "folder of SOURCE = phantom's images; reused")
    data_dir: OptionalPath = key(
        None, "folder of images, searched below it; of SOURCE = medmnist: of its .npz files"
    )
    labels_csv: OptionalPath = key(None, "the labels table, a file; for SOURCE = csv and volumes")
    labels_csv_separator: Annotated[choices.Separator, SeparatorWord] = key(
        "auto", "of the columns; ; , or tab (also as semicolon, comma)"
    )
    id_column: str = key("FileID", "column that names the image file, without its extension")
    patient_column: str = key(
        "PatientID", "column that names the patient; absent = DICOM's PatientID, else each file"
    )
    image_extension: str = key("auto", "auto = any known one; or .dcm, .nii.gz, .png, ...")
    excluded_file_ids: Names = key((), "ids to leave out, comma-separated")
    val_fraction: float = key(
        0.15, "share of images, by patient, for validation; 0 = none", ge=0, lt=1
    )
    test_fraction: float = key(
        0.15, "share of images, by patient, for the test; 0 = none; unused with FOLDS", ge=0, lt=1
    )
    split_file: OptionalPath = key(None, "a split.csv to use again; empty = draw one from SEED")
    folds: int = key(
        0, "0 = one split; k = train k folds by patient and evaluate them pooled", ge=0, le=20
    )
    fit: Annotated[Fit | choices.Auto, Word] = key(
        "auto", "another aspect ratio: stretch, letterbox or crop; auto = the architecture's own"
    )
    voi: Annotated[VoiRule, Word] = key(
        "window", "window = apply DICOM's VOI LUT or first window; ignore = the full range"
    )
    low_percentile: Annotated[choices.Auto | Annotated[float, Field(ge=0, le=49)], Word] = key(
        "auto", "percentile of the pixels that becomes 0; auto = the architecture's own, mostly 0.5"
    )
    high_percentile: Annotated[choices.Auto | Annotated[float, Field(ge=51, le=100)], Word] = key(
        "auto",
        "percentile of the pixels that becomes 1; auto = the architecture's own, mostly 99.5",
    )
    normalization_strategy: Annotated[choices.Normalization, Word] = key(
        "auto",
        "after 0-1: medical (.5/.5), imagenet, simple (0/1), custom; auto = the architecture's own",
    )
    custom_mean: Numbers = key((), "of NORMALIZATION_STRATEGY = custom, one number a channel")
    custom_std: Numbers = key((), "of NORMALIZATION_STRATEGY = custom, one number a channel")
    cache: Annotated[choices.Cache, Word] = key(
        "disk", "prepared images: none, memory, or disk (under CACHE_DIR; kept between runs)"
    )
    cache_dir: Path = key(Path("data/cache"), "folder of CACHE = disk")
