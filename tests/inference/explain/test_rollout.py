"""Rollout against calculations on paper, and a second implementation by whole matrices."""

import numpy as np
import pytest
import torch
from torch import Tensor

from csi_predictor.inference.explain.rollout import (
    reading_weights,
    roll_attention,
    roll_gradients,
)


def heads(*matrices: list[list[float]]) -> Tensor:
    """(1, heads, N, N)."""
    return torch.tensor([list(matrices)])


FIRST = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]
SECOND = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
CLASS_TOKEN = torch.tensor([[1.0, 0.0, 0.0]])


def test_rollout_of_two_layers_is_as_on_paper() -> None:
    # Layer 2 with the way around, first row: (0.75, 0.125, 0.125).
    # Layer 1 with the way around: (1, 0, 0), (0, 1, 0), (0.25, 0.25, 0.5).
    # Their product: 0.75 + 0.125 / 4, 0.125 + 0.125 / 4, 0.125 / 2.
    flow = roll_attention([heads(FIRST), heads(SECOND)], CLASS_TOKEN)
    torch.testing.assert_close(flow, torch.tensor([[0.78125, 0.15625, 0.0625]]))


def test_heads_are_averaged_and_the_flow_sums_to_one() -> None:
    flow = roll_attention([heads(FIRST, SECOND)], CLASS_TOKEN)
    # Mean of the heads' first rows (0.75, 0.125, 0.125), half of it, and half of the token itself.
    torch.testing.assert_close(flow, torch.tensor([[0.875, 0.0625, 0.0625]]))


def test_rollout_equals_the_published_product_of_matrices() -> None:
    # Abnar and Zuidema's own order: (A + I) / row sum for each layer, multiplied from the left.
    rng = np.random.default_rng(0)
    raw = rng.random((4, 2, 3, 6, 6))
    attention = raw / raw.sum(axis=-1, keepdims=True)
    joint = np.broadcast_to(np.eye(6), (2, 6, 6))
    for layer in attention.mean(axis=2):
        augmented = layer + np.eye(6)
        joint = (augmented / augmented.sum(axis=-1, keepdims=True)) @ joint
    reading = torch.zeros(2, 6)
    reading[:, 0] = 1
    flow = roll_attention([torch.from_numpy(layer).float() for layer in attention], reading)
    np.testing.assert_allclose(flow, joint[:, 0], rtol=1e-5)


def test_gradient_rollout_of_two_layers_is_as_on_paper() -> None:
    # max(A x gradient, 0): of layer 2 the first row is (0, 0.25, 0.5), of layer 1 the third
    # (0.5, 0, 0); all else is 0. From the class token: layer 2 adds (0, 0.25, 0.5), and layer 1
    # passes its third part on: (0.25, 0.25, 0.5) in all.
    of_first = heads([[0.0, 0, 0], [0, 0, 0], [1, -1, 0]])
    of_second = heads([[-1.0, 1, 2], [0, 0, 0], [0, 0, 0]])
    added = roll_gradients([heads(FIRST), heads(SECOND)], [of_first, of_second], CLASS_TOKEN)
    torch.testing.assert_close(added, torch.tensor([[0.25, 0.25, 0.5]]))


def test_gradient_rollout_equals_the_published_rules_without_the_identity() -> None:
    # Rules 5 and 6 of arXiv:2103.15679 by whole matrices: R = I; R = R + A R; a row of R - I.
    rng = np.random.default_rng(1)
    attention, gradients = rng.random((3, 2, 2, 5, 5)), rng.normal(size=(3, 2, 2, 5, 5))
    relevance = np.broadcast_to(np.eye(5), (2, 5, 5))
    for weights, gradient in zip(attention, gradients, strict=True):
        relevance = relevance + np.maximum(weights * gradient, 0).mean(axis=1) @ relevance
    reading = torch.zeros(2, 5)
    reading[:, 0] = 1
    added = roll_gradients(
        [torch.from_numpy(layer).float() for layer in attention],
        [torch.from_numpy(layer).float() for layer in gradients],
        reading,
    )
    np.testing.assert_allclose(added, (relevance - np.eye(5))[:, 0], rtol=1e-5)


def test_what_is_read_follows_the_gradients_length_and_sums_to_one_an_image() -> None:
    gradients = torch.zeros(2, 3, 2)
    gradients[0, 0] = torch.tensor([3.0, 4.0])
    gradients[1, 1], gradients[1, 2] = torch.tensor([0.0, 1.0]), torch.tensor([3.0, 0.0])
    weights = reading_weights(gradients, num_images=2)
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0, 0], [0, 0.25, 0.75]]))
    masked = reading_weights(gradients, num_images=1)  # two masked zones of one image
    assert masked.sum().item() == pytest.approx(1.0)
    assert masked[0, 0].item() == pytest.approx(5 / 9)


def test_nothing_read_is_no_division_by_zero() -> None:
    assert reading_weights(torch.zeros(1, 3, 2), num_images=1).tolist() == [[0.0, 0.0, 0.0]]
