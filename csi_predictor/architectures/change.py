"""Networks of the longitudinal family: two radiographs to a map of change, and their parts."""

from typing import Literal

from csi_predictor.architectures.images import CHEXNET_LABELS
from csi_predictor.architectures.record import Architecture
from csi_predictor.specs import InputSpec, Task

_GREY = InputSpec(size=(512, 512), channels=1, mean=(0.0,), std=(1.0,), fit="letterbox")
_SOURCE = "the described longitudinal system; composition in docs/longitudinal.md"


def _row(
    name: str,
    class_name: str,
    *,
    parameters: int,
    tasks: tuple[Task, ...],
    feature_dim: int = 640,
    head: Literal["projection"] | None = None,
    num_images: int = 1,
    labels: tuple[str, ...] = (),
) -> Architecture:
    return Architecture(
        name=name,
        family="longitudinal",
        builder="csi_predictor.models.longitudinal.build:build_longitudinal",
        feature_dim=feature_dim,
        input_spec=_GREY,
        parameters=parameters,
        outputs=len(labels),
        labels=labels,
        head=head,
        is_complete=True,
        tasks=tasks,
        num_images=num_images,
        class_name=class_name,
        source=_SOURCE,
    )


_CHANGE: tuple[Task, ...] = ("change",)
_RECONSTRUCTION: tuple[Task, ...] = ("reconstruction",)
_MAPS: tuple[Task, ...] = ("reconstruction", "change")
_LABELS: tuple[Task, ...] = ("multilabel", "multiclass", "regression")

CHANGE_ROWS = (
    _row(
        "longitudinal_mim_big",
        "LongitudinalMIMModelBig",
        parameters=180_237_585,
        tasks=_CHANGE,
        num_images=2,
    ),
    _row(
        "longitudinal_mim",
        "LongitudinalMIMModel",
        parameters=121_056_945,
        tasks=_CHANGE,
        num_images=2,
    ),
    _row(
        "masked_reconstruction",
        "MaskedReconstructionModel",
        parameters=105_421_745,
        tasks=_RECONSTRUCTION,
    ),
    _row(
        "longitudinal_classification",
        "ClassificationModel",
        parameters=101_959_678,
        tasks=_LABELS,
        labels=CHEXNET_LABELS,
    ),
    _row(
        "contrastive_encoder",
        "ContrastiveEncoder",
        parameters=102_442_992,
        tasks=_MAPS,
        head="projection",
    ),
    _row(
        "patchgan_discriminator",
        "Discriminator",
        parameters=2_763_585,
        tasks=_MAPS,
        feature_dim=512,
    ),
)
