"""The networks beside the change networks: reconstruction, classification, contrast, adversary."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from csi_predictor.architectures import CHEXNET_LABELS
from csi_predictor.errors import ConfigError
from csi_predictor.models.longitudinal.classification import ClassificationModel
from csi_predictor.models.longitudinal.contrastive import ContrastiveEncoder
from csi_predictor.models.longitudinal.discriminator import Discriminator
from csi_predictor.models.longitudinal.reconstruction import MaskedReconstructionModel
from csi_predictor.models.staged import HEAD, StagedModel

Shallow = Callable[..., Any]


def assert_staged(model: StagedModel, images: torch.Tensor) -> None:
    """Every parameter learns and stands in one stage, and features are as wide as declared."""
    listed = [id(one) for _, stage in model.stages() for one in stage.parameters()]
    assert sorted(listed) == sorted(id(one) for one in model.parameters())
    assert model.stages()[-1] == (HEAD, model.classifier)
    model.zero_grad()
    (model(images) * torch.rand_like(model(images))).sum().backward()
    assert [name for name, one in model.named_parameters() if one.grad is None] == []
    assert model.extract_features(images).shape == (len(images), model.feature_dim)


def test_reconstruction_gives_a_picture_of_the_same_shape(
    masked: MaskedReconstructionModel,
) -> None:
    images = torch.rand(2, 1, 64, 64)
    whole = masked(images)
    assert whole.shape == images.shape
    assert 0 <= whole.min() < whole.max() <= 1
    assert_staged(masked, images)


def test_reconstruction_of_colour_gives_colour(shallow: Shallow) -> None:
    model = shallow(MaskedReconstructionModel, in_channels=3, img_size=64, init_weights=False)
    with torch.no_grad():
        assert model.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 3, 64, 64)


def test_classification_has_the_14_public_findings(shallow: Shallow) -> None:
    model = shallow(ClassificationModel, in_channels=1, labels_num=14, img_size=64).eval()
    images = torch.rand(2, 1, 64, 64)
    assert model(images).shape == (2, 14)
    assert model.target_spec.names == CHEXNET_LABELS
    assert_staged(model, images)


def test_classification_of_another_number_of_labels_names_them(shallow: Shallow) -> None:
    model = shallow(ClassificationModel, labels_num=3, img_size=32, init_weights=False)
    assert model.target_spec.names == ("class_0", "class_1", "class_2")


def test_contrast_gives_unit_vectors_of_128(shallow: Shallow) -> None:
    model = shallow(ContrastiveEncoder, img_size=64).eval()
    images = torch.rand(2, 1, 64, 64)
    vectors = model(images)
    assert vectors.shape == (2, 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert_staged(model, images)


def test_the_adversary_gives_one_logit_a_patch() -> None:
    model = Discriminator(img_size=64)
    images = torch.rand(2, 1, 64, 96)
    assert model(images).shape == (2, 1, 6, 10)  # 64 -> 32, 16, 8, 7, 6
    assert_staged(model, images)


def test_a_logit_sees_70_pixels() -> None:
    # Isola et al. 2017: the 70 x 70 discriminator; norms aside, which see the whole map.
    model = Discriminator(img_size=128)
    for block in model.backbone.blocks:
        block[1] = nn.Identity()
    image = torch.rand(1, 1, 128, 128, requires_grad=True)
    logits = model(image)
    logits[0, 0, 7, 7].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_the_adversary_s_checkpointing_gives_equal_gradients() -> None:
    torch.manual_seed(0)
    model = Discriminator(img_size=32).train()
    images = torch.rand(2, 1, 32, 32)
    gradients = []
    for enabled in (False, True):
        model.set_gradient_checkpointing(enabled)
        model.zero_grad()
        model(images).square().sum().backward()
        gradients.append([one.grad for one in model.parameters()])
    assert model.backbone.is_checkpointing
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_a_map_too_small_for_a_patch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"IMAGE_SIZE = 31x64: .* expected at least 32"):
        Discriminator(img_size=(31, 64))
