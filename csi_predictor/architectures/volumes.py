"""Networks of volumes: `MODEL_ARCH` of CT."""

from functools import partial

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


def _row(
    name: str,
    feature_dim: int,
    parameters: int,
    timm_name: str | None = None,
    *,
    family: str,
    head_hidden: int,
    source: str,
) -> Architecture:
    return Architecture(
        name=name,
        family=family,
        builder=f"{_ENCODERS}.{family}:build_{family}",
        feature_dim=feature_dim,
        input_spec=_CT,
        parameters=parameters,
        outputs=len(CT_RATE_LABELS),
        labels=CT_RATE_LABELS,
        head_hidden=head_hidden,
        timm_name=timm_name,
        dimensions=3,
        source=f"{source}, in three dimensions",
    )


_resnet3d = partial(
    _row, family="resnet3d", head_hidden=256, source="He et al. 2016, arXiv:1512.03385"
)
_densenet3d = partial(
    _row, family="densenet3d", head_hidden=512, source="Huang et al. 2017, arXiv:1608.06993"
)
_vit3d = partial(
    _row, family="vit3d", head_hidden=256, source="Dosovitskiy et al. 2021, arXiv:2010.11929"
)

VOLUME_ROWS = (
    _resnet3d("resnet18_3d", 512, 33_295_954, "resnet18.tv_in1k"),
    _resnet3d("resnet34_3d", 512, 63_605_586, "resnet34.tv_in1k"),
    _resnet3d("resnet50_3d", 2048, 46_684_242, "resnet50.tv_in1k"),
    _densenet3d("densenet121_3d", 1024, 11_776_658, "densenet121.tv_in1k"),
    _densenet3d("densenet161_3d", 2208, 40_570_322, "densenet161.tv_in1k"),
    _densenet3d("densenet169_3d", 1664, 19_404_434, "densenet169.tv_in1k"),
    _densenet3d("densenet201_3d", 1920, 26_323_602, "densenet201.tv_in1k"),
    _densenet3d("densenet_small_3d", 268, 1_420_346),
    _densenet3d("densenet_tiny_3d", 151, 592_047),
    _vit3d("vit_tiny_3d", 192, 6_573_010, "vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    _vit3d("vit_small_3d", 384, 23_757_970, "vit_small_patch16_224.augreg_in21k_ft_in1k"),
    _vit3d("vit_base_3d", 768, 89_978_386, "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
    _vit3d("vit_large_3d", 1024, 308_872_978, "vit_large_patch16_224.augreg_in21k_ft_in1k"),
)
