"""Networks of one image: `MODEL_ARCH` of radiographs."""

from dataclasses import replace

from csi_predictor.architectures.record import (
    IMAGENET,
    IMAGENET_CLASSES,
    Architecture,
    WeightsSource,
)
from csi_predictor.specs import InputSpec

_ENCODERS = "csi_predictor.models.encoders2d"
_GREY = InputSpec(size=(224, 224), channels=1, mean=(0.5,), std=(0.5,))
_BICUBIC = replace(IMAGENET, interpolation="bicubic")

CHEXNET_LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""In the checkpoints' order. Source: Rajpurkar et al. 2017, arXiv:1711.05225, and ChestX-ray14."""

XRV_LABELS = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
)
"""Source: torchxrayvision.datasets.default_pathologies."""

_RADDINO_INPUT = InputSpec(
    size=(518, 518),
    mean=(0.5307,) * 3,
    std=(0.2583,) * 3,
    interpolation="bicubic",
    fit="crop",
    is_eight_bit=True,
)
"""What the official processor does. Source: preprocessor_config.json of microsoft/rad-dino."""


def _resnet(depth: int, feature_dim: int, parameters: int) -> Architecture:
    return Architecture(
        name=f"resnet{depth}",
        family="resnet",
        feature_dim=feature_dim,
        parameters=parameters,
        outputs=IMAGENET_CLASSES,
        timm_name=f"resnet{depth}.tv_in1k",
        source="He et al. 2016, arXiv:1512.03385",
    )


def _densenet(depth: int, feature_dim: int, parameters: int) -> Architecture:
    return Architecture(
        name=f"densenet{depth}",
        family="densenet",
        feature_dim=feature_dim,
        input_spec=_BICUBIC,
        parameters=parameters,
        outputs=IMAGENET_CLASSES,
        timm_name=f"densenet{depth}.tv_in1k",
        source="Huang et al. 2017, arXiv:1608.06993",
    )


def _efficientnet(
    variant: int, feature_dim: int, size: int, tag: str, parameters: int
) -> Architecture:
    return Architecture(
        name=f"efficientnet_b{variant}",
        family="efficientnet",
        feature_dim=feature_dim,
        input_spec=replace(_BICUBIC, size=(size, size)),
        parameters=parameters,
        outputs=IMAGENET_CLASSES,
        timm_name=f"{tag}efficientnet_b{variant}.{'ra_in1k' if not tag else 'ns_jft_in1k'}",
        source="Tan and Le 2019, arXiv:1905.11946",
    )


def _vit(name: str, feature_dim: int, tag: str, spec: InputSpec, parameters: int) -> Architecture:
    return Architecture(
        name=name,
        family="vit",
        feature_dim=feature_dim,
        input_spec=spec,
        parameters=parameters,
        outputs=IMAGENET_CLASSES,
        timm_name=tag,
        source="Dosovitskiy et al. 2021, arXiv:2010.11929",
    )


_HALF = replace(_BICUBIC, mean=(0.5,) * 3, std=(0.5,) * 3)

IMAGE_ROWS = (
    Architecture(
        name="custom1",
        family="custom",
        builder=f"{_ENCODERS}.custom1:build_custom1",
        feature_dim=256,
        input_spec=_GREY,
        parameters=979_168,
        source="this project: five convolution blocks, about 1M parameters",
    ),
    _resnet(18, 512, 11_689_512),
    _resnet(34, 512, 21_797_672),
    _resnet(50, 2048, 25_557_032),
    _resnet(101, 2048, 44_549_160),
    _resnet(152, 2048, 60_192_808),
    _densenet(121, 1024, 7_978_856),
    _densenet(161, 2208, 28_681_000),
    _densenet(169, 1664, 14_149_480),
    _densenet(201, 1920, 20_013_928),
    Architecture(
        name="densenet264",
        family="densenet",
        builder=f"{_ENCODERS}.densenet264:build_densenet264",
        feature_dim=2688,
        input_spec=_BICUBIC,
        parameters=33_337_704,
        outputs=IMAGENET_CLASSES,
        source="Huang et al. 2017, arXiv:1608.06993, table 1",
    ),
    _efficientnet(0, 1280, 224, "", 5_288_548),
    _efficientnet(1, 1280, 240, "tf_", 7_794_184),
    _efficientnet(2, 1408, 260, "tf_", 9_109_994),
    _efficientnet(3, 1536, 300, "tf_", 12_233_232),
    _efficientnet(4, 1792, 380, "tf_", 19_341_616),
    _efficientnet(5, 2048, 456, "tf_", 30_389_784),
    _efficientnet(6, 2304, 528, "tf_", 43_040_704),
    _efficientnet(7, 2560, 600, "tf_", 66_347_960),
    _vit(
        "vit_tiny_patch16_224", 192, "vit_tiny_patch16_224.augreg_in21k_ft_in1k", _HALF, 5_717_416
    ),
    _vit(
        "vit_small_patch16_224",
        384,
        "vit_small_patch16_224.augreg_in21k_ft_in1k",
        _HALF,
        22_050_664,
    ),
    _vit(
        "vit_base_patch16_224", 768, "vit_base_patch16_224.augreg2_in21k_ft_in1k", _HALF, 86_567_656
    ),
    _vit(
        "vit_large_patch16_224",
        1024,
        "vit_large_patch16_224.augreg_in21k_ft_in1k",
        _HALF,
        304_326_632,
    ),
    _vit("vit_huge_patch14", 1280, "vit_huge_patch14_224.orig_in21k", _HALF, 632_045_800),
    Architecture(
        name="chexnet",
        family="chexnet",
        builder=f"{_ENCODERS}.chexnet:build_chexnet",
        feature_dim=1024,
        parameters=6_968_206,
        outputs=len(CHEXNET_LABELS),
        labels=CHEXNET_LABELS,
        weights=WeightsSource(
            folder="chexnet",
            files=("model.pth.tar",),
            repo_id=None,
            page="https://github.com/arnoweng/CheXNet",
            size_mib=27.0,
        ),
        source="Rajpurkar et al. 2017, arXiv:1711.05225",
    ),
    Architecture(
        name="chexnet_xrv",
        family="chexnet",
        builder=f"{_ENCODERS}.chexnet:build_chexnet",
        feature_dim=1024,
        # TorchXRayVision shows its networks -1024 to 1024: (x - 0.5) / (1 / 2048).
        input_spec=InputSpec(
            size=(224, 224),
            channels=1,
            mean=(0.5,),
            std=(1 / 2048,),
            fit="crop",
            percentiles=(0, 100),
        ),
        parameters=6_966_034,
        outputs=len(XRV_LABELS),
        labels=XRV_LABELS,
        weights=WeightsSource(
            folder="chexnet_xrv",
            files=("densenet121-res224-all.safetensors",),
            repo_id=None,
            page="https://github.com/mlmed/torchxrayvision (save its state_dict as safetensors)",
            size_mib=27.0,
        ),
        source="Cohen et al. 2022, arXiv:2111.00595",
    ),
    Architecture(
        name="raddino",
        family="raddino",
        builder=f"{_ENCODERS}.raddino:build_raddino",
        feature_dim=768,
        input_spec=_RADDINO_INPUT,
        parameters=86_580_480,
        weights=WeightsSource(
            folder="rad-dino",
            files=("model.safetensors", "preprocessor_config.json"),
            repo_id="microsoft/rad-dino",
            page="https://huggingface.co/microsoft/rad-dino",
            size_mib=330.0,
        ),
        source="Perez-Garcia et al. 2025, arXiv:2401.10815",
    ),
)
