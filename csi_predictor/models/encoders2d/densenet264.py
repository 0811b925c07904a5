"""The deepest DenseNet of the paper, which no library publishes: built from timm's own blocks."""

from dataclasses import replace

from csi_predictor.architectures import Architecture
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d.timm_encoder import TimmEncoder, build_network

_GROWTH_RATE = 32
_BLOCKS = (6, 12, 64, 48)
"""Source: Huang et al. 2017, arXiv:1608.06993, table 1."""


def build_densenet264(architecture: Architecture, options: EncoderOptions) -> TimmEncoder:
    """DenseNet-BC of 264 layers with random weights; nobody has published trained ones.

    Raises:
        ConfigError: A key asks for what a DenseNet doesn't have.
    """
    shallower = replace(architecture, timm_name="densenet121")
    net = build_network(shallower, options, growth_rate=_GROWTH_RATE, block_config=_BLOCKS)
    return TimmEncoder(net, architecture, options)
