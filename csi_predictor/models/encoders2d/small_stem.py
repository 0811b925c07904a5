"""The first layers of a resnet for pictures of 28 to 64 pixels."""

from typing import Any

from torch import nn


def make_stem_small(net: Any) -> None:
    """Put a 3x3 convolution of stride 1 in place of timm's 7x7 of stride 2, and no pooling after.

    A published stem leaves 7x7 positions of a picture of 28 pixels before the first block and one
    after the last.

    Args:
        net: A `timm.models.resnet.ResNet`; changed in place.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2, as the MedMNIST v2 protocol takes it.
    """
    published = net.conv1
    conv = nn.Conv2d(published.in_channels, published.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    net.conv1 = conv
    net.maxpool = nn.Identity()
