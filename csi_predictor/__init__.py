"""CSI-Predictor: train, evaluate and run radiology models from one INI file.

from csi_predictor import load_config, build_model, create_model, load_bundle
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csi_predictor.config import load_config
    from csi_predictor.inference.bundle import load_bundle
    from csi_predictor.models.build import build_model
    from csi_predictor.models.create import create_model

__all__ = ["build_model", "create_model", "load_bundle", "load_config"]

_HOMES = {
    "load_config": "csi_predictor.config",
    "build_model": "csi_predictor.models.build",
    "create_model": "csi_predictor.models.create",
    "load_bundle": "csi_predictor.inference.bundle",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for, so that `--help` never loads torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'csi_predictor' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
