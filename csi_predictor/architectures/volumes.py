"""Networks of volumes: `MODEL_ARCH` of CT."""

from csi_predictor.architectures.record import Architecture
from csi_predictor.specs import InputSpec

_ENCODERS = "csi_predictor.models.encoders3d"
_CT = InputSpec(size=(128, 256, 256), channels=1, mean=(0.5,), std=(0.5,), percentiles=(0, 100))
"""(D, H, W). Source: the described CT system: 1.5 x 0.75 x 0.75 mm, HU -1000 to 1000 as -1 to 1."""

CT_RATE_LABELS = (
    "Medical material",
    "Arterial wall calcification",
    "Cardiomegaly",
    "Pericardial effusion",
    "Coronary artery wall calcification",
    "Hiatal hernia",
    "Lymphadenopathy",
    "Emphysema",
    "Atelectasis",
    "Lung nodule",
    "Lung opacity",
    "Pulmonary fibrotic sequela",
    "Pleural effusion",
    "Mosaic attenuation pattern",
    "Peribronchial thickening",
    "Consolidation",
    "Bronchiectasis",
    "Interlobular septal thickening",
)
"""In the table's order. Source: CT-RATE, arXiv:2403.17834."""


def _resnet3d(depth: int, feature_dim: int, parameters: int) -> Architecture:
    return Architecture(
        name=f"resnet{depth}_3d",
        family="resnet3d",
        builder=f"{_ENCODERS}.resnet3d:build_resnet3d",
        feature_dim=feature_dim,
        input_spec=_CT,
        parameters=parameters,
        outputs=len(CT_RATE_LABELS),
        labels=CT_RATE_LABELS,
        head_hidden=256,
        timm_name=f"resnet{depth}.tv_in1k",
        dimensions=3,
        source="He et al. 2016, arXiv:1512.03385, in three dimensions",
    )


def _densenet3d(
    variant: str, feature_dim: int, parameters: int, timm_name: str | None = None
) -> Architecture:
    return Architecture(
        name=f"densenet{variant}_3d",
        family="densenet3d",
        builder=f"{_ENCODERS}.densenet3d:build_densenet3d",
        feature_dim=feature_dim,
        input_spec=_CT,
        parameters=parameters,
        outputs=len(CT_RATE_LABELS),
        labels=CT_RATE_LABELS,
        head_hidden=512,
        timm_name=timm_name,
        dimensions=3,
        source="Huang et al. 2017, arXiv:1608.06993, in three dimensions",
    )


def _vit3d(variant: str, feature_dim: int, parameters: int, timm_name: str) -> Architecture:
    return Architecture(
        name=f"vit_{variant}_3d",
        family="vit3d",
        builder=f"{_ENCODERS}.vit3d:build_vit3d",
        feature_dim=feature_dim,
        input_spec=_CT,
        parameters=parameters,
        outputs=len(CT_RATE_LABELS),
        labels=CT_RATE_LABELS,
        head_hidden=256,
        timm_name=timm_name,
        dimensions=3,
        source="Dosovitskiy et al. 2021, arXiv:2010.11929, in three dimensions",
    )


VOLUME_ROWS = (
    _resnet3d(18, 512, 33_295_954),
    _resnet3d(34, 512, 63_605_586),
    _resnet3d(50, 2048, 46_684_242),
    _densenet3d("121", 1024, 11_776_658, "densenet121.tv_in1k"),
    _densenet3d("161", 2208, 40_570_322, "densenet161.tv_in1k"),
    _densenet3d("169", 1664, 19_404_434, "densenet169.tv_in1k"),
    _densenet3d("201", 1920, 26_323_602, "densenet201.tv_in1k"),
    _densenet3d("_small", 268, 1_420_346),
    _densenet3d("_tiny", 151, 592_047),
    _vit3d("tiny", 192, 6_573_010, "vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    _vit3d("small", 384, 23_757_970, "vit_small_patch16_224.augreg_in21k_ft_in1k"),
    _vit3d("base", 768, 89_978_386, "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
    _vit3d("large", 1024, 308_872_978, "vit_large_patch16_224.augreg_in21k_ft_in1k"),
)
