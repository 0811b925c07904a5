"""Encoders, heads and the one interface of every network."""

from csi_predictor.models.assemble import CsiModel, ModelOutput
from csi_predictor.models.build import build_model
from csi_predictor.models.create import build_model_from_spec, create_model
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.staged import StagedModel

__all__ = [
    "CsiModel",
    "ModelOutput",
    "ModelSpec",
    "StagedModel",
    "build_model",
    "build_model_from_spec",
    "create_model",
]
