"""[TRAINING]: keys, types, limits, defaults and meanings."""

from pathlib import Path
from typing import Annotated, Literal

from csi_predictor.config import choices
from csi_predictor.config.fields import Counts, Numbers, Section, Word, key


class TrainingSection(Section):
    """The training loop."""

    batch_size: int = key(16, "images a step", ge=1)
    n_epochs: int = key(24, "epochs at most", ge=1)
    patience: int = key(10, "epochs without improvement before stopping; 0 = never stop", ge=0)
    min_delta: float = key(0.001, "smallest change of MONITOR that counts as better", ge=0)
    monitor: Annotated[choices.Monitor, Word] = key(
        "auto",
        "chooses the best epoch and steps SCHEDULER = plateau; auto = val_zone_mae for TASK = csi, "
        "val_auroc_macro for labels and classes",
    )
    learning_rate: float = key(2e-3, "of the head, and of all under FINE_TUNING = full", gt=0)
    backbone_lr_factor: float = key(
        1.0, "the encoder's rate is LEARNING_RATE times this", gt=0, le=1
    )
    weight_decay: float = key(0.02, "not applied to biases and norms", ge=0)
    optimizer: Annotated[choices.Optimizer, Word] = key("adamw", "of the weights")
    momentum: float = key(0.9, "of OPTIMIZER = sgd", ge=0, lt=1)
    scheduler: Annotated[choices.Scheduler, Word] = key("onecycle", "of the learning rate")
    milestones: Counts = key(
        (50, 75), "of SCHEDULER = multistep: epochs after which the rate is multiplied"
    )
    milestone_factor: float = key(0.1, "of SCHEDULER = multistep", gt=0, le=1)
    warmup_epochs: float = key(1.0, "epochs of linear rise before SCHEDULER", ge=0)
    accumulation_steps: int = key(1, "batches a step of the optimizer; equals one big batch", ge=1)
    micro_batching: bool = key(
        False,
        "true = a step that runs out of memory is tried again in halves, with equal gradients "
        "but for BatchNorm",
    )
    gradient_clip: float = key(1.0, "largest gradient norm; 0 = no clipping", ge=0)
    loss: Annotated[choices.Loss, Word] = key(
        "auto",
        "ordinal = likelihood of the cumulative link; cumulative = a question a threshold; "
        "bce and asymmetric are of TASK = multilabel; auto = ordinal for HEAD = ordinal, "
        "cross_entropy for HEAD = softmax and multiclass, bce for multilabel",
    )
    focal_gamma: float = key(2.0, "of LOSS = focal", ge=0)
    focal_alpha: Numbers = key(
        (),
        "of LOSS = focal: a weight for each grade 0-3 or class; of multilabel a share of the "
        "positives between 0 and 1, one for all or one a label; empty = equal",
    )
    asymmetric_gamma: Numbers = key(
        (1.0, 4.0), "of LOSS = asymmetric: focus of the positives, of the negatives"
    )
    asymmetric_margin: float = key(
        0.05, "of LOSS = asymmetric: negatives below this probability count nothing", ge=0, lt=1
    )
    pos_weight: Annotated[Literal["none", "auto"] | Numbers, Word] = key(
        "none",
        "of LOSS = bce: weight of a positive; none = 1; auto = negatives over positives of the "
        "training rows; or numbers, one for all or one a label",
    )
    class_weights: Literal["none", "auto"] = key(
        "none",
        "of LOSS = cross_entropy of classes: auto = one over the share of each class's training "
        "rows, their mean 1",
    )
    pos_weight_cap: float = key(10.0, "largest weight of POS_WEIGHT = auto", ge=1)
    sampling: Annotated[choices.Sampling, Word] = key(
        "uniform",
        "balanced = rows of rare classes and labels are drawn more often, with replacement",
    )
    label_smoothing: float = key(
        0.0,
        "share of a label spread over all grades or classes; ordinal losses: over the neighbours",
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
    stage_rates: Numbers = key(
        (),
        "of layerwise: the rate of each stage itself, from the head to the input; the last one "
        "serves all stages before it; empty = LAYER_DECAY",
    )
    unfreeze_epochs: Counts = key((1, 10, 20), "of gradual: epochs that unfreeze more, first = 1")
    unfreeze_layers: int = key(2, "of gradual: stages unfrozen at each of them", ge=1)
    feature_cache: bool = key(
        True,
        "of frozen with PROFILE = none and no mixing: the encoder's features are computed once, "
        "not in each epoch; same result",
    )
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
