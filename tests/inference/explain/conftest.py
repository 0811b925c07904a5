"""Small networks, and pictures with a planted bright square that they learn to find."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.architectures import find_architecture
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.encoder import Encoder, EncoderOptions, Stages, WeightsLayout
from csi_predictor.models.encoders2d import raddino
from csi_predictor.models.encoders3d.vit3d import TransformerShape, Vit3d
from csi_predictor.models.heads.layout import CHEST_LAYOUT
from csi_predictor.models.heads.linear import linear_head
from csi_predictor.models.heads.pooling import ZonePooling
from csi_predictor.models.heads.zones import ZoneClassifier
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.specs import InputSpec, TargetSpec

EDGE = 8
SQUARE = TargetSpec(task="multilabel", names=("square", "other"), num_classes=2)


class TinyEncoder(Encoder):
    """Two blocks, a quarter of the resolution, and a ReLU that works in place."""

    feature_dims = (16,)

    def __init__(self) -> None:
        super().__init__()
        self.block1 = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.block2 = nn.Sequential(
            nn.Conv2d(8, 16, 3, 2, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
        )

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.block2(self.block1(images)),)

    def stages(self) -> Stages:
        return tuple(self.named_children())

    def weights_layout(self) -> WeightsLayout:
        return WeightsLayout(module=self, stem="block1.0.weight")

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Planted:
    """Pictures, whether each holds a square, and where: (N,) and (N, H, W) or (N, D, H, W)."""

    pixels: Tensor
    has_square: Tensor
    inside: NDArray[np.bool_]


def input_spec(size: tuple[int, ...]) -> InputSpec:
    return InputSpec(size=size, channels=1, mean=(0.5,), std=(0.5,))


def label_model(encoder: Encoder, size: tuple[int, ...]) -> CsiModel:
    spec = ModelSpec(
        architecture="custom1",
        input_spec=input_spec(size),
        target_spec=SQUARE,
        head="linear",
        zone_focus="none",
    )
    head = linear_head(encoder.feature_dim, num_outputs=2, dropout_rate=0.2)
    return CsiModel(encoder, pooling=None, classifier=head, spec=spec)


def zone_model(encoder: Encoder, size: tuple[int, ...]) -> CsiModel:
    spec = ModelSpec(architecture="custom1", input_spec=input_spec(size))
    width = encoder.feature_dim
    head = ZoneClassifier(width, kind="ordinal", dropout_rate=0.2, share_zones=True)
    return CsiModel(encoder, pooling=ZonePooling(), classifier=head, spec=spec)


def plant(size: tuple[int, ...], *, seed: int, count: int = 16, edge: int = EDGE) -> Planted:
    """Noise of 0.3; every second picture has a square (or cube) that is brighter by 2."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(scale=0.3, size=(count, 1, *size))
    inside = np.zeros((count, *size), bool)
    for index in range(1, count, 2):
        corner = [int(rng.integers(length // edge)) * edge for length in size]
        inside[(index, *(slice(at, at + edge) for at in corner))] = True
    pixels[:, 0][inside] += 2
    has_square = torch.from_numpy(inside.reshape(count, -1).any(axis=1))
    return Planted(torch.from_numpy(pixels).float(), has_square, inside)


def plant_in_zones(size: tuple[int, ...], *, seed: int, count: int = 16) -> tuple[Planted, Tensor]:
    """One square a picture, at the centre of a zone; and (N,) which zone."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(scale=0.3, size=(count, 1, *size))
    inside = np.zeros((count, *size), bool)
    zones = rng.integers(6, size=count)
    for index, zone in enumerate(zones):
        centre = (CHEST_LAYOUT.rows[zone // 2], CHEST_LAYOUT.columns[zone % 2])
        corner = [int(share * edge) - EDGE // 2 for share, edge in zip(centre, size, strict=True)]
        inside[(index, *(slice(at, at + EDGE) for at in corner))] = True
    pixels[:, 0][inside] += 2
    planted = Planted(torch.from_numpy(pixels).float(), torch.ones(count, dtype=torch.bool), inside)
    return planted, torch.from_numpy(zones)


def learn(model: CsiModel, loss_of: Callable[[int], Tensor], *, num_steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(num_steps):
        optimizer.zero_grad()
        loss_of(step).backward()
        optimizer.step()
    model.zero_grad(set_to_none=True)


def train_on_squares(model: CsiModel, *, num_steps: int, edge: int = EDGE) -> CsiModel:
    def loss_of(step: int) -> Tensor:
        planted = plant(model.input_spec.size, seed=step, edge=edge)
        logits = model(planted.pixels).logits[:, 0]
        return F.binary_cross_entropy_with_logits(logits, planted.has_square.float())

    learn(model, loss_of, num_steps=num_steps)
    return model


@pytest.fixture
def planted_squares() -> Callable[..., Planted]:
    """`planted_squares(size, seed=...)`."""
    return plant


@pytest.fixture
def planted_in_zones() -> Callable[..., tuple[Planted, Tensor]]:
    """`planted_in_zones(size, seed=...)`."""
    return plant_in_zones


@pytest.fixture
def tiny() -> CsiModel:
    """An untrained CNN of two labels on 48 x 48 pixels; its last map is 12 x 12."""
    torch.manual_seed(0)
    return label_model(TinyEncoder(), (48, 48))


@pytest.fixture
def tiny_zones() -> CsiModel:
    """An untrained CNN of six zones on 48 x 48 pixels."""
    torch.manual_seed(0)
    return zone_model(TinyEncoder(), (48, 48))


@pytest.fixture(scope="session")
def square_finder() -> CsiModel:
    """A CNN that tells pictures with a bright square from those without."""
    torch.manual_seed(0)
    return train_on_squares(label_model(TinyEncoder(), (48, 48)), num_steps=80)


@pytest.fixture(scope="session")
def cube_finder() -> CsiModel:
    """A transformer of volumes, of which the head reads the class token, that tells the same."""
    torch.manual_seed(0)
    shape = TransformerShape(width=32, depth=2, num_heads=2)
    encoder = Vit3d(shape, volume_size=(32, 24, 32), patch_size=(8, 8, 8))
    return train_on_squares(label_model(encoder, (32, 24, 32)), num_steps=100)


@pytest.fixture(scope="session")
def patch_finder() -> CsiModel:
    """A small RadDINO that tells pictures with a bright patch of 14 pixels from those without."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 70}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raddino, "PUBLISHED_CONFIG", {**raddino.PUBLISHED_CONFIG, **small})
        options = EncoderOptions(input_spec=input_spec((70, 56)))
        encoder = raddino.build_raddino(find_architecture("raddino"), options)
    model = label_model(encoder, (70, 56))
    return train_on_squares(model, num_steps=100, edge=raddino.PATCH_PX)


@pytest.fixture(scope="session")
def zone_finder() -> CsiModel:
    """A CNN whose head pools zones: the zone with the square has grade 3, all others 0."""
    torch.manual_seed(0)
    model = zone_model(TinyEncoder(), (48, 48))

    def loss_of(step: int) -> Tensor:
        planted, zones = plant_in_zones((48, 48), seed=step)
        logits = model(planted.pixels).logits[..., :3]
        truth = F.one_hot(zones, 6).float()[..., None].expand(-1, -1, 3)
        return F.binary_cross_entropy_with_logits(logits, truth)

    learn(model, loss_of, num_steps=100)
    return model
