"""Heat maps find what was planted, fit the picture, and never stand in for a failure."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.int8_linear import quantize_linears
from csi_predictor.inference.explain.heat_map import heat_map, mean_heat_map
from csi_predictor.inference.explain.target import Target
from csi_predictor.models import create_model
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.encoders2d.custom1 import Custom1
from csi_predictor.specs import ZONES
from tests.inference.explain.conftest import plant, plant_in_zones, share_inside
