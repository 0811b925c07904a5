"""Features of rows against the networks called by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.manifest import Row
from csi_predictor.data.prepare import to_tensor
from csi_predictor.errors import CsiError
from csi_predictor.inference.features import ImageFeatures, extract_features
from csi_predictor.models.create import create_model
from csi_predictor.models.staged import StagedModel
from csi_predictor.specs import InputSpec, TargetSpec

CPU = torch.device("cpu")
ROWS = tuple(Row(f"{n}", f"p{n}", Path(f"{n}"), (0.0, 1.0)) for n in range(5))


class Picture:
    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels


def draw(path: Path, spec: InputSpec) -> Picture:
    return Picture(np.random.default_rng(int(path.name)).random(spec.size, dtype=np.float32))


def network(seed: int, name: str = "custom1", **settings: object) -> StagedModel:
    torch.manual_seed(seed)
    return create_model(name, num_classes=2, **settings).eval()  # type: ignore[arg-type]


def extract(*models: StagedModel) -> np.ndarray:
    cache = PreparedCache("none", Path("unused"), models[0].input_spec, prepare=draw)
    return extract_features(models, ROWS, cache, batch_size=2, device=CPU)


@pytest.mark.parametrize(
    ("name", "size"),
    [("custom1", {"image_size": 64}), ("densenet_tiny_3d", {"image_size": (32, 32, 48)})],
)
def test_features_are_those_of_the_network_in_the_rows_order(name: str, size: dict) -> None:
    model = network(0, name, **size)
    found = extract(model)
    spec = model.input_spec
    pixels = torch.stack([to_tensor(draw(row.path, spec).pixels, spec) for row in ROWS])
    with torch.inference_mode():
        expected = model.extract_features(pixels)
    assert found.dtype == np.float32
    assert found.shape == (5, model.feature_dim)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_several_networks_stand_side_by_side() -> None:
    one, two = network(1, image_size=64), network(2, image_size=64)
    np.testing.assert_array_equal(extract(one, two), np.hstack([extract(one), extract(two)]))
    assert (extract(one) != extract(two)).any()


def test_features_that_are_not_numbers_are_refused() -> None:
    model = network(0, image_size=64)
    with torch.no_grad():
        next(model.backbone.parameters()).fill_(float("nan"))
    with pytest.raises(CsiError, match=r"custom1: 5 of 5 images .* check its weights"):
        extract(model)


def test_images_are_taken_in_the_order_of_an_index() -> None:
    features = ImageFeatures(
        file_ids=("a", "b", "c"),
        patient_ids=("p", "q", "r"),
        parts=("train", "", "test"),
        target_spec=TargetSpec(task="multilabel", names=("x", "y"), num_classes=2),
        targets=np.arange(6.0).reshape(3, 2),
        values=np.eye(3, dtype=np.float32),
    )
    taken = features.take(np.array([2, 0]))
    assert (taken.file_ids, taken.patient_ids) == (("c", "a"), ("r", "p"))
    assert taken.parts == ("test", "train")
    assert taken.targets.tolist() == [[4, 5], [0, 1]]
    assert taken.values.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert len(taken) == 2
