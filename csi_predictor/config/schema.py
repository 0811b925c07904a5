"""The INI's sections, keys, types, limits, defaults and meanings: the one place that knows them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from csi_predictor.config import choices
from csi_predictor.config.fields import (
    Counts,
    Edges,
    Names,
    Numbers,
    OptionalPath,
    Paths,
    Section,
    SeparatorWord,
    SplitList,
    UpperWord,
    Word,
    key,
    upper_case,
)
from csi_predictor.specs import Fit, MapRange, Pooling, VoiRule, ZoneHead

Strength = Annotated[choices.Auto | Annotated[float, Field(ge=0)], Word]
Share = Annotated[choices.Auto | Annotated[float, Field(ge=0, le=1)], Word]
Engines = Annotated[tuple[Annotated[choices.BenchmarkEngine, Word], ...], SplitList]


class RuntimeSection(Section):
    """The machine, the seed and where a run's files go."""

    device: Annotated[str, Word] = key(
        "auto",
        "auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
    )
    precision: Annotated[choices.Precision, Word] = key(
        "auto", "arithmetic of training; auto = bf16 on a GPU that has it, else fp32"
    )
    num_workers: Annotated[choices.Auto | Annotated[int, Field(ge=0)], Word] = key(
        "auto",
        "processes that read images; auto = CPU cores, at most 8, but none beside a training on "
        "the CPU; 0 = in the main process",
    )
    seed: int = key(42, "of the split, the weights, the order and the augmentation", ge=0)
    deterministic: bool = key(
        True, "only algorithms that give equal bits each time; false may be faster on a GPU"
    )
    runs_dir: Path = key(Path("runs"), "folder that receives one folder a run")
    run_dir: OptionalPath = key(
        None, "explicit folder of this run; empty = RUNS_DIR/time_mode_arch"
    )
    models_cache: Path = key(Path("models_cache"), "folder of pretrained weights")
    offline: bool = key(False, "true = never ask the network; weights must lie in MODELS_CACHE")
    log_level: Annotated[choices.LogLevel, UpperWord] = key("INFO", "of the console and log.txt")


class ModelSection(Section):
    """The network."""

    model_arch: str = key(
        "custom1", "a name of `--mode models`, timm/<name>, or a family + VARIANT"
    )
    variant: str = key("", "completes a family's name: efficientnet + b3; empty = none")
    pretrained: bool = key(
        False, "true = published weights, from MODELS_CACHE or (OFFLINE = false) downloaded into it"
    )
    weights: OptionalPath = key(
        None, "a local .safetensors (or weights-only .pt/.pth) file for the encoder; empty = none"
    )
    use_official_processor: bool = key(
        False, "true = the network's own published image processor (raddino), from its own file"
    )
    image_size: Annotated[choices.Auto | Annotated[int, Field(ge=16, le=4096)], Word] = key(
        "auto", "edge of the square input, pixels; auto = the architecture's own"
    )
    in_channels: Annotated[choices.Auto | Annotated[int, Field(ge=1, le=3)], Word] = key(
        "auto", "1 or 3; a pretrained 3-channel first layer becomes 1 by summing; auto = its own"
    )
    patch_size: Edges = key(
        (),
        "of a vision transformer, pixels or voxels: one number, or one an axis; empty = its own",
    )
    pooling: Annotated[Pooling, Word] = key(
        "auto",
        "of the whole picture, where the head sees it (not ZONE_FOCUS = pooling): mean, cls (a "
        "transformer's class token); auto = the network's own",
    )
    feature_levels: int = key(
        1,
        "resolutions of the encoder that the head sees: 1 = the last map, 2 = also the one before",
        ge=1,
        le=4,
    )
    global_context: bool = key(
        False, "of ZONE_FOCUS = pooling: true adds the whole picture's features to each zone's"
    )
    dropout_rate: float = key(0.2, "dropout before the head", ge=0, lt=1)
    drop_path_rate: float = key(0.0, "stochastic depth of the encoder, where it has it", ge=0, lt=1)
    gradient_checkpointing: bool = key(False, "true = recompute activations: slower, less memory")
    head: Annotated[choices.Head, Word] = key(
        "auto",
        "of TASK = csi: ordinal (cumulative link) or softmax, both say ungradable; of other tasks: "
        "linear, map, projection; auto = ordinal, linear or map",
    )
    head_hidden: Annotated[choices.Auto | Annotated[int, Field(ge=0)], Word] = key(
        "auto", "width of a linear head's hidden layer; 0 = none; auto = as published"
    )
    thresholds: Annotated[choices.Thresholds, Word] = key(
        "learned",
        "of HEAD = ordinal: learned = better calibrated; even = fixed, for a few hundred images",
    )
    zone_focus: Annotated[choices.ZoneFocus, Word] = key(
        "pooling",
        "none = one pooled vector; pooling = each zone pools its own part of the feature map; "
        "masking = one pass a zone over the masked image (six times slower)",
    )
    masking_strategy: Annotated[choices.Masking, Word] = key(
        "attention", "of ZONE_FOCUS = masking: zero outside the zone, or dim it"
    )
    attention_strength: float = key(
        0.7, "of MASKING_STRATEGY = attention: zone*s + (1-zone)*(1-s)", ge=0.5, le=1
    )
    change_output: Annotated[MapRange, Word] = key(
        "magnitude",
        "of networks of change: magnitude (0 to 1), or signed (-1 to 1: + appeared, - resolved)",
    )

    @property
    def zone_head(self) -> ZoneHead:
        """HEAD of six zones, with auto decided."""
        return "softmax" if self.head == "softmax" else "ordinal"


class DataSection(Section):
    """Where images and grades come from and how an image becomes the network's input."""

    task: Annotated[choices.Task, Word] = key(
        "csi",
        "what is answered: csi = six zones, 0-3 each; networks for the others can be built and "
        "benchmarked, training knows csi",
    )
    source: Annotated[choices.Source, Word] = key(
        "phantom",
        "phantom = the embedded procedural radiographs; csv = your own table and images; "
        "volumes, pairs = what 3D and change networks take, not yet read by training",
    )
    labels: Names = key((), "names of the answers of TASK = multiclass or multilabel")
    volume_shape: Counts = key((), "D, H, W of a 3D network's input, voxels; empty = its own")
    phantom_dir: Path = key(Path("data/phantom"), "folder of SOURCE = phantom's images; reused")
    data_dir: OptionalPath = key(None, "folder of images, searched below it; for SOURCE = csv")
    labels_csv: OptionalPath = key(None, "the labels table, a file; for SOURCE = csv")
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


class AugmentationSection(Section):
    """Random changes of training images; `auto` takes PROFILE's value."""

    profile: Annotated[choices.Profile, Word] = key("standard", "set of strengths")
    mirror_p: Share = key("auto", "probability of a left-right flip, which swaps the zones")
    rotation_deg: Strength = key("auto", "largest rotation, degrees")
    translate: Share = key("auto", "largest shift, share of the edge")
    scale: Share = key("auto", "largest change of size, share")
    brightness: Share = key("auto", "largest added value, share of the range")
    contrast: Share = key("auto", "largest relative change of contrast")
    gamma: Share = key("auto", "largest exponent change: 1/(1+g) to 1+g")
    noise: Share = key("auto", "largest standard deviation of Gaussian noise, share of the range")
    erase_p: Share = key("auto", "probability that one rectangle is blanked")


class TrainingSection(Section):
    """The training loop."""

    batch_size: int = key(16, "images a step", ge=1)
    n_epochs: int = key(24, "epochs at most", ge=1)
    patience: int = key(10, "epochs without improvement before stopping; 0 = never stop", ge=0)
    min_delta: float = key(0.001, "smallest change of MONITOR that counts as better", ge=0)
    monitor: Annotated[choices.Monitor, Word] = key(
        "val_zone_mae", "chooses the best epoch and steps SCHEDULER = plateau"
    )
    learning_rate: float = key(2e-3, "of the head, and of all under FINE_TUNING = full", gt=0)
    backbone_lr_factor: float = key(
        1.0, "the encoder's rate is LEARNING_RATE times this", gt=0, le=1
    )
    weight_decay: float = key(0.02, "not applied to biases and norms", ge=0)
    optimizer: Annotated[choices.Optimizer, Word] = key("adamw", "of the weights")
    momentum: float = key(0.9, "of OPTIMIZER = sgd", ge=0, lt=1)
    scheduler: Annotated[choices.Scheduler, Word] = key("onecycle", "of the learning rate")
    warmup_epochs: float = key(1.0, "epochs of linear rise before SCHEDULER", ge=0)
    accumulation_steps: int = key(1, "batches a step of the optimizer; equals one big batch", ge=1)
    gradient_clip: float = key(1.0, "largest gradient norm; 0 = no clipping", ge=0)
    loss: Annotated[choices.Loss, Word] = key(
        "auto",
        "ordinal = likelihood of the cumulative link; cumulative = a question a threshold; "
        "auto = ordinal for HEAD = ordinal, cross_entropy for HEAD = softmax",
    )
    focal_gamma: float = key(2.0, "of LOSS = focal", ge=0)
    focal_alpha: Numbers = key((), "of LOSS = focal: a weight for each grade 0-3; empty = equal")
    label_smoothing: float = key(
        0.0,
        "share of a label spread over the other grades; ordinal losses: over the neighbours",
        ge=0,
        lt=1,
    )
    unknown_weight: float = key(1.0, "weight of the ungradable answer in the loss", ge=0, le=1)
    second_reader_weight: float = key(
        0.0,
        "share of [EVALUATION] SECOND_READER_CSV in the loss; 0 = only LABELS_CSV is learnt from; "
        "the network answers as LABELS_CSV's reader",
        ge=0,
        lt=1,
    )
    fine_tuning: Annotated[choices.FineTuning, Word] = key(
        "full",
        "full; frozen = head only; layerwise = rate falls towards the input; gradual = unfreeze",
    )
    freeze_backbone: bool = key(False, "true only with FINE_TUNING = frozen; for older INIs")
    frozen_stages: int = key(
        0,
        "stages at the input that never learn, whatever FINE_TUNING: faster, less overfitting",
        ge=0,
    )
    layer_decay: float = key(
        0.7, "of layerwise: each earlier stage's rate is this share", gt=0, le=1
    )
    unfreeze_epochs: Counts = key((1, 10, 20), "of gradual: epochs that unfreeze more, first = 1")
    unfreeze_layers: int = key(2, "of gradual: stages unfrozen at each of them", ge=1)
    batch_norm: Annotated[choices.BatchNorm, Word] = key(
        "train", "frozen = keep the encoder's pretrained BatchNorm statistics"
    )
    ema_decay: float = key(0.0, "of the averaged weights that are evaluated; 0 = none", ge=0, lt=1)
    resume: Literal["auto", "never"] | Path = key(
        "auto", "auto = go on if RUN_DIR holds a state; never; or the folder of the run to go on"
    )
    ensemble_size: int = key(
        1, "networks of different seeds, trained one after another into one bundle", ge=1, le=50
    )
    checkpoint_minutes: float = key(
        5.0, "time between saved states within an epoch; one is saved after each", gt=0
    )
    tensorboard: bool = key(False, "true = also write TensorBoard events (extra: tracking)")


class EvaluationSection(Section):
    """How a trained model is measured."""

    model: Paths = key((), "bundle folder; several, comma-separated, are one ensemble")
    split: Annotated[choices.EvaluationSplit, Word] = key(
        "test", "which rows; all = the whole table, whatever its split"
    )
    test_time: Annotated[choices.TestTime, Word] = key(
        "none", "mirror = average with the flipped image (zones swapped); kept in the bundle"
    )
    second_reader_csv: OptionalPath = key(None, "another reader's table; reader agreement is added")
    bootstrap: int = key(1000, "rounds of the confidence intervals, by patient; 0 = none", ge=0)
    num_thumbnails: int = key(24, "worst cases shown in report.html", ge=0, le=500)


class ScoringSection(Section):
    """Scoring a folder with a trained model."""

    model: Paths = key((), "bundle folder; several, comma-separated, are one ensemble")
    input_dir: OptionalPath = key(None, "folder of DICOM, NIfTI, PNG, JPEG or TIFF files")
    output_dir: OptionalPath = key(None, "folder of scores.csv; empty = RUN_DIR")
    engine: Annotated[choices.Engine, Word] = key("auto", "what runs the network; auto = torch")
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
    risk_medium_above: float = key(1.3, "csi above this is medium risk", ge=0, le=3)
    risk_high_above: float = key(2.2, "csi above this is high risk", ge=0, le=3)
    allow_secondary_capture: bool = key(False, "true = also score Secondary Capture images")


class BenchmarkSection(Section):
    """`--mode benchmark`: what networks and engines cost on this machine."""

    archs: Names = key(
        ("custom1", "resnet50", "densenet121", "efficientnet_b0"),
        "names of `--mode models`, comma-separated; a family, 2d, 3d or all = every row of it",
    )
    models: Paths = key(
        (), "bundle folders to measure too, at their own size; their QWK goes into the picture"
    )
    engines: Engines = key(
        ("eager", "channels_last"),
        "what runs a network; -bf16 = in bfloat16; compile = channels_last through torch.compile",
    )
    batch_sizes: Counts = key((1,), "images a pass, comma-separated")
    image_sizes: Counts = key(
        (), "edges of ARCHS, pixels or voxels, comma-separated; empty = each network's own"
    )
    runs: int = key(10, "timed rounds; the engines of one network take turns in each", ge=1)
    train: bool = key(
        False, "true = also time training steps of ARCHS with eager, channels_last and compile"
    )
    timeout_s: float = key(
        600.0, "seconds that one row's preparation, or its rounds together, may take", gt=0
    )


class SynthesisSection(Section):
    """The embedded procedural radiographs."""

    kind: Annotated[choices.SynthesisKind, Word] = key("studies", "what is made")
    count: int = key(400, "images", ge=1)
    size: int = key(512, "edge of an image, pixels", ge=64, le=4096)
    output_dir: OptionalPath = key(
        None, "empty = RUN_DIR for --mode synthesize, [DATA] PHANTOM_DIR for SOURCE = phantom"
    )
    noise: float = key(1.0, "of the detector and of the exposure; 1 = usual, 0 = none", ge=0, le=5)
    rotation_deg: float = key(3.0, "spread of the patients' rotation, degrees", ge=0, le=20)
    ungradable_fraction: float = key(0.04, "share of zones that can't be graded", ge=0, le=0.25)
    grade_overlap: float = key(
        1.0,
        "how far pictures stray from their grades; 0 = exact, 1 = as readers disagree",
        ge=0,
        le=3,
    )


class Config(BaseModel):
    """A whole INI, checked. Sections are attributes in lower case: `config.model.model_arch`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=upper_case, populate_by_name=True
    )

    runtime: RuntimeSection = RuntimeSection()
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    augmentation: AugmentationSection = AugmentationSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    scoring: ScoringSection = ScoringSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    synthesis: SynthesisSection = SynthesisSection()


SECTIONS: dict[str, type[Section]] = {
    name.upper(): type(field.get_default(call_default_factory=True))
    for name, field in Config.model_fields.items()
}


def default_of(section: str, name: str) -> Any:
    """The default of an INI key, by its upper-case names."""
    return SECTIONS[section].model_fields[name.lower()].default
