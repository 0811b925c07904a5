"""Maps of trained networks lie where a bright square was planted, and maps of others don't."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from csi_predictor.inference.explain.heat_map import heat_map
from csi_predictor.inference.explain.target import Target
from csi_predictor.models.assemble import CsiModel
from csi_predictor.specs import ZONES

Plant = Callable[..., Any]
SQUARE = Target("square")
CHANCE = 5
"""Times the energy of an even map: the least that a found square must hold."""

EDGES = {"square_finder": 8, "cube_finder": 8, "patch_finder": 14}


def share_inside(values: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) energy in the square, over what an even map would have there."""
    axes = tuple(range(1, values.ndim))
    energy = (values * inside).sum(axis=axes) / values.sum(axis=axes)
    return np.asarray(energy / inside.mean(axis=axes))


def test_a_cnn_finds_a_planted_square(square_finder: CsiModel, planted_squares: Plant) -> None:
    planted = planted_squares((48, 48), seed=1000)
    found = heat_map(square_finder, planted.pixels, SQUARE)
    has = planted.has_square.numpy()
    assert found.method == "grad_cam"
    assert (share_inside(found.values[has], planted.inside[has]) >= CHANCE).all()


@pytest.mark.parametrize("method", ["auto", "gradient_rollout", "attention_rollout"])
@pytest.mark.parametrize("finder", ["cube_finder", "patch_finder"])
def test_a_transformer_finds_a_planted_square(
    finder: str, planted_squares: Plant, method: Any, request: pytest.FixtureRequest
) -> None:
    model: CsiModel = request.getfixturevalue(finder)
    planted = planted_squares(model.input_spec.size, seed=1000, edge=EDGES[finder])
    found = heat_map(model, planted.pixels, SQUARE, method=method)
    has = planted.has_square.numpy()
    assert found.method == ("gradient_rollout" if method == "auto" else method)
    assert np.median(share_inside(found.values[has], planted.inside[has])) >= CHANCE


def test_the_zone_with_the_square_shows_it(zone_finder: CsiModel, planted_in_zones: Plant) -> None:
    planted, zones = planted_in_zones((48, 48), seed=1000, count=8)
    for index, zone in enumerate(zones):
        pixels, inside = planted.pixels[[index]], planted.inside[[index]]
        own = heat_map(zone_finder, pixels, Target(ZONES[zone]))
        assert own.method == "hires_cam"
        assert share_inside(own.values, inside).item() >= CHANCE
        whole = heat_map(zone_finder, pixels, Target("csi"))
        assert share_inside(whole.values, inside).item() >= CHANCE


@pytest.mark.parametrize("finder", EDGES)
def test_a_map_of_random_weights_isnt_that_of_the_trained_network(
    finder: str, planted_squares: Plant, request: pytest.FixtureRequest
) -> None:
    # The sanity check of Adebayo et al. 2018, arXiv:1810.03292: weights drawn anew.
    trained: CsiModel = request.getfixturevalue(finder)
    planted = planted_squares(trained.input_spec.size, seed=1000, edge=EDGES[finder])
    has = planted.has_square.numpy()
    pixels = planted.pixels[has]
    random = deepcopy(trained)
    torch.manual_seed(5)
    for module in random.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    learnt = heat_map(trained, pixels, SQUARE).values
    drawn = heat_map(random, pixels, SQUARE).values
    pairs = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(learnt, drawn, strict=True)]
    assert np.mean(pairs) < 0.5
    assert np.median(share_inside(drawn + 1e-9, planted.inside[has])) < CHANCE
