"""Encoders, heads and the one interface of every network."""

from csi_predictor.models.assemble import CsiModel, ModelOutput
from csi_predictor.models.build import build_model, build_model_from_spec, create_model
from csi_predictor.models.model_spec import ModelSpec

__all__ = [
    "CsiModel",
    "ModelOutput",
    "ModelSpec",
    "build_model",
    "build_model_from_spec",
    "create_model",
]
