"""The configuration: schema, loading with every problem at once, and writing."""

from csi_predictor.config.loader import load_config
from csi_predictor.config.schema import Config
from csi_predictor.config.writer import render_default_ini, render_ini

__all__ = ["Config", "load_config", "render_default_ini", "render_ini"]
