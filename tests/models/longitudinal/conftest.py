"""Longitudinal networks with one layer of ViT-Base in place of twelve: whole, quick to build."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from csi_predictor.models.longitudinal import bottleneck
from csi_predictor.models.longitudinal.change import LongitudinalMIMModel, LongitudinalMIMModelBig
from csi_predictor.models.longitudinal.reconstruction import MaskedReconstructionModel
from csi_predictor.models.longitudinal.transformer_branch import ViTEncoder

Shallow = Callable[..., Any]


def _build_shallow(build: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bottleneck, "ViTEncoder", partial(ViTEncoder, 1))
        return build(*arguments, **keywords)


@pytest.fixture(scope="session")
def shallow() -> Shallow:
    return _build_shallow


@pytest.fixture(scope="module")
def big() -> LongitudinalMIMModelBig:
    torch.manual_seed(0)
    model: LongitudinalMIMModelBig = _build_shallow(LongitudinalMIMModelBig, img_size=64)
    return model.eval()


@pytest.fixture(scope="module")
def small() -> LongitudinalMIMModel:
    torch.manual_seed(0)
    model: LongitudinalMIMModel = _build_shallow(LongitudinalMIMModel, img_size=64)
    return model.eval()


@pytest.fixture(scope="module")
def masked() -> MaskedReconstructionModel:
    torch.manual_seed(0)
    model: MaskedReconstructionModel = _build_shallow(MaskedReconstructionModel, img_size=64)
    return model.eval()
