"""Dropout passes of real small networks, against hand and analytic values."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from csi_predictor.errors import BundleError
from csi_predictor.inference.mc_dropout import dropout_passes, drops_only_in_head, has_dropout
from csi_predictor.models import CsiModel, create_model

RATE = 0.4


def small(**spec: object) -> CsiModel:
    """`custom1` with BatchNorm in the encoder and dropout in the head; statistics not the first."""
    torch.manual_seed(0)
    model = create_model("custom1", image_size=32, **{"dropout_rate": RATE, **spec})
    model(pictures(model, 8))
    return model.eval()


def small_with_encoder_dropout() -> CsiModel:
    """Two kinds of dropout before the encoder, one of them of whole channels."""
    model = small(num_classes=3)
    encode = model.backbone.forward
    drops = nn.Sequential(nn.Dropout2d(0.5), nn.Dropout(0.3))
    model.drops = drops
    model.backbone.forward = lambda images: encode(drops(images))
    return model


def pictures(model: CsiModel, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, model.input_spec.channels, 32, 32, generator=generator)


@contextmanager
def counted(part: nn.Module) -> Iterator[list[int]]:
    """How many images each call of a part has seen."""
    calls: list[int] = []
    handle = part.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    yield calls
    handle.remove()


def test_the_variance_of_a_linear_head_is_the_analytic_one() -> None:
    """Of w (x m / (1 - p)) with masks m: p / (1 - p) times the sum of (w x) squared."""
    model = small(num_classes=3)
    pixels = pictures(model, 4)
    features = model.extract_features(pixels).detach()
    logits = dropout_passes(model, pixels, num_passes=2000, seed=1)
    weight = model.classifier[1].weight.detach()
    expected = RATE / (1 - RATE) * (features.square() @ weight.square().T)
    torch.testing.assert_close(logits.var(dim=0), expected, rtol=0.15, atol=0)
    error_of_mean = (expected / 2000).sqrt()
    assert ((logits.mean(dim=0) - model(pixels).logits).abs() < 4 * error_of_mean).all()


@pytest.mark.parametrize("make", [small, small_with_encoder_dropout])
def test_an_answer_does_not_hang_on_its_batch_order_or_size(make) -> None:
    model = make()
    pixels = pictures(model, 7)
    together = dropout_passes(model, pixels, num_passes=4, seed=3)
    alone = torch.cat(
        [dropout_passes(model, pixels[i : i + 1], num_passes=4, seed=3) for i in range(7)], dim=1
    )
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
    turned = dropout_passes(model, pixels.flip(0), num_passes=4, seed=3)
    torch.testing.assert_close(turned.flip(1), together, rtol=0, atol=1e-6)


def test_a_pass_has_one_mask_for_all_images_and_each_pass_another() -> None:
    model = small(num_classes=3)
    twins = pictures(model, 1).expand(5, -1, -1, -1)
    logits = dropout_passes(model, twins, num_passes=6, seed=0)
    torch.testing.assert_close(logits, logits[:, :1].expand_as(logits), rtol=0, atol=1e-6)
    assert len({tuple(row.tolist()) for row in logits[:, 0]}) == 6


def test_the_seed_alone_decides() -> None:
    model = small_with_encoder_dropout()
    pixels = pictures(model, 3)
    torch.manual_seed(1)
    first = dropout_passes(model, pixels, num_passes=3, seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(dropout_passes(model, pixels, num_passes=3, seed=5), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(dropout_passes(model, pixels, num_passes=3, seed=6), first)
    # more passes begin with the same ones
    assert torch.equal(dropout_passes(model, pixels, num_passes=5, seed=5)[:3], first)


def test_channels_are_dropped_whole() -> None:
    """Of channels that are all 1 Dropout2d leaves 0 or 1 / (1 - p) everywhere, as torch's own."""
    model = small(num_classes=3)
    model.drops = nn.Dropout2d(0.5)
    seen: list[Tensor] = []
    encode = model.backbone.forward

    def forward(images: Tensor) -> object:
        seen.append(model.drops(torch.ones(len(images), 40, 3, 3)))
        return encode(images)

    model.backbone.forward = forward
    dropout_passes(model, pictures(model, 2), num_passes=1, seed=0)
    assert set(seen[-1].unique().tolist()) == {0.0, 2.0}
    assert (seen[-1] == seen[-1][:, :, :1, :1]).all()


def test_batch_norm_keeps_its_statistics_to_the_bit__weakness_001_07() -> None:
    for model in (small(num_classes=3), small_with_encoder_dropout()):
        model.train()  # as after an epoch
        before = copy.deepcopy(model.state_dict())
        modes = [module.training for module in model.modules()]
        dropout_passes(model, pictures(model, 4), num_passes=5, seed=0)
        for name, values in model.state_dict().items():
            assert torch.equal(values, before[name]), name
        assert [module.training for module in model.modules()] == modes


def test_batch_norm_answers_as_in_evaluation__weakness_001_07() -> None:
    """With a rate too small to drop anything, a pass is the answer of evaluation mode."""
    model = small(num_classes=3, dropout_rate=1e-9)
    pixels = pictures(model, 3)
    passes = dropout_passes(model.train(), pixels, num_passes=2, seed=0)
    expected = model.eval()(pixels).logits.detach()
    torch.testing.assert_close(passes, expected.expand(2, -1, -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("spec", [{}, {"num_classes": 3}, {"zone_focus": "masking"}])
def test_dropout_in_the_head_runs_the_encoder_once_a_batch__weakness_001_07(spec) -> None:
    model = small(**spec)
    assert drops_only_in_head(model)
    with counted(model.backbone) as encoded, counted(model.classifier) as answered:
        logits = dropout_passes(model, pictures(model, 2), num_passes=30, seed=0)
    assert len(encoded) == 1
    assert len(answered) == 30
    assert logits.shape == (30, *model(pictures(model, 2)).logits.shape)
    assert logits.dtype == torch.float32


def test_dropout_in_the_encoder_runs_it_in_every_pass() -> None:
    model = small_with_encoder_dropout()
    assert not drops_only_in_head(model)
    with counted(model.backbone) as encoded:
        dropout_passes(model, pictures(model, 2), num_passes=5, seed=0)
    assert encoded == [2] * 5


def test_passes_over_the_head_equal_those_of_the_whole_network(monkeypatch) -> None:
    model = small()
    pixels = pictures(model, 2)
    short = dropout_passes(model, pixels, num_passes=3, seed=2)
    monkeypatch.setattr("csi_predictor.inference.mc_dropout.drops_only_in_head", lambda _: False)
    torch.testing.assert_close(dropout_passes(model, pixels, num_passes=3, seed=2), short)


def test_a_dropout_layer_that_never_runs_is_found__weakness_001_07() -> None:
    model = small(num_classes=3, dropout_rate=0.0)
    model.mc_dropout = nn.Dropout(0.5)  # declared, never called
    assert has_dropout(model)
    with pytest.raises(BundleError, match="it has dropout layers but runs none of them"):
        dropout_passes(model, pictures(model, 2), num_passes=3, seed=0)


def test_a_network_without_dropout_is_refused() -> None:
    model = small(num_classes=3, dropout_rate=0.0)
    assert not has_dropout(model)
    expected = (
        r"custom1, UNCERTAINTY = mc_dropout: no dropout layer has a rate above 0, so that every "
        r"pass would be the same: expected one that drops: train with \[MODEL\] DROPOUT_RATE above "
        r"0, or set \[EVALUATION\] UNCERTAINTY = none or ensemble"
    )
    with pytest.raises(BundleError, match=expected):
        dropout_passes(model, pictures(model, 2), num_passes=3, seed=0)


def test_a_layer_that_drops_all_leaves_nothing() -> None:
    model = small(num_classes=3)
    model.classifier[0].p = 1.0
    logits = dropout_passes(model, pictures(model, 2), num_passes=2, seed=0)
    torch.testing.assert_close(logits, model.classifier[1].bias.detach().expand(2, 2, 3))


def test_hooks_are_gone_after_an_error() -> None:
    model = small(num_classes=3)
    with pytest.raises(RuntimeError):
        dropout_passes(model, torch.zeros(1, 5, 32, 32), num_passes=2, seed=0)
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="num_passes = 0: expected at least 1"):
        dropout_passes(model, pictures(model, 1), num_passes=0, seed=0)
