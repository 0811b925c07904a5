"""Networks of the longitudinal family: two radiographs to a map of change, and their parts."""

from csi_predictor.architectures.record import Architecture
from csi_predictor.specs import InputSpec

_BUILDERS = "csi_predictor.models.longitudinal.build"
_GREY = InputSpec(size=(512, 512), channels=1, mean=(0.0,), std=(1.0,), fit="letterbox")
_SOURCE = "the described longitudinal system; composition in docs/longitudinal.md"


def _row(
    name: str, class_name: str, *, parameters: int, num_images: int = 1, outputs: int = 0
) -> Architecture:
    return Architecture(
        name=name,
        family="longitudinal",
        builder=f"{_BUILDERS}:build_{name}",
        feature_dim=640,
        input_spec=_GREY,
        parameters=parameters,
        outputs=outputs,
        is_complete=True,
        num_images=num_images,
        class_name=class_name,
        source=_SOURCE,
    )


CHANGE_ROWS = (
    _row("longitudinal_mim_big", "LongitudinalMIMModelBig", parameters=0, num_images=2),
    _row("longitudinal_mim", "LongitudinalMIMModel", parameters=0, num_images=2),
    _row("masked_reconstruction", "MaskedReconstructionModel", parameters=0),
    _row("longitudinal_classification", "ClassificationModel", parameters=0, outputs=14),
    _row("contrastive_encoder", "ContrastiveEncoder", parameters=0),
    _row("patchgan_discriminator", "Discriminator", parameters=0),
)
