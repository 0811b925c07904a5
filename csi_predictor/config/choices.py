"""The closed sets of words that INI keys accept."""

from typing import Literal

Auto = Literal["auto"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Head = Literal["auto", "ordinal", "softmax", "linear", "map", "projection"]
Thresholds = Literal["learned", "even"]
ZoneFocus = Literal["none", "pooling", "masking"]
Masking = Literal["attention", "zero"]
Task = Literal["csi", "multiclass", "multilabel", "change", "reconstruction"]
Source = Literal["phantom", "csv", "medmnist", "volumes", "pairs"]
LabelsLayout = Literal["plain", "chestxray14", "chexpert", "ct_rate"]
Uncertain = Literal["ignore", "zeros", "ones"]
Unmentioned = Literal["zeros", "ignore"]
Stem = Literal["auto", "published", "small"]
Separator = Literal["auto", ";", ",", "tab"]
Normalization = Literal["auto", "medical", "imagenet", "simple", "custom"]
Cache = Literal["none", "memory", "disk"]
Profile = Literal["none", "conservative", "standard", "skin", "randaugment", "autoaugment"]
Optimizer = Literal["adam", "adamw", "sgd"]
Scheduler = Literal["cosine", "onecycle", "multistep", "plateau", "none"]
Monitor = Literal[
    "auto", "val_loss", "val_zone_mae", "val_zone_qwk", "val_auroc_macro", "val_accuracy"
]
Sampling = Literal["uniform", "balanced"]
Loss = Literal["auto", "ordinal", "cumulative", "cross_entropy", "focal", "bce", "asymmetric"]
FineTuning = Literal["full", "frozen", "layerwise", "gradual"]
BatchNorm = Literal["train", "frozen"]
EvaluationSplit = Literal["train", "val", "test", "all"]
TestTime = Literal["none", "mirror"]
Engine = Literal["auto", "torch", "torch-int8", "openvino-int8"]
Quantize = Literal["none", "dynamic", "openvino"]
Calibration = Literal["none", "temperature", "vector", "isotonic"]
CalibrationScope = Literal["head", "question"]
Uncertainty = Literal["none", "mc_dropout", "ensemble"]
Measure = Literal["auto", "confidence", "entropy", "epistemic", "variance"]
Policy = Literal["threshold", "budget", "cost", "class_critical"]
Corruption = Literal[
    "noise",
    "brightness",
    "contrast",
    "blur",
    "salt_and_pepper",
    "jpeg",
    "rotation",
    "crop",
]
HeatMapMethod = Literal[
    "auto",
    "grad_cam",
    "hires_cam",
    "token_grad_cam",
    "attention_rollout",
    "gradient_rollout",
]
Unsure = Literal["ignore", "flag", "withhold"]
BenchmarkEngine = Literal[
    "eager",
    "eager-bf16",
    "channels_last",
    "channels_last-bf16",
    "compile",
    "compile-bf16",
    "openvino",
    "openvino-bf16",
    "onnx",
    "onnx-bf16",
]
StudyRule = Literal["latest", "worst", "mean"]
SynthesisKind = Literal["studies", "ct", "findings"]
