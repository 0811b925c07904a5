from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.create import build_model_from_spec
from csi_predictor.models.longitudinal.change import LongitudinalMIMModel, LongitudinalMIMModelBig
from csi_predictor.models.longitudinal.reconstruction import MaskedReconstructionModel
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.staged import HEAD, StagedModel
from csi_predictor.models.weights import load_published_weights

Shallow = Callable[..., Any]


def pictures(size: int = 64, channels: int = 1, number: int = 2) -> Tensor:
    return torch.rand(2, number, channels, size, size, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("name", ["big", "small"])
def test_two_pictures_give_one_map_of_their_size(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    with torch.no_grad():
        change = model(*pictures())
    assert change.shape == (2, 1, 64, 64)
    assert 0 <= change.min() < change.max() <= 1


def test_the_position_embeddings_follow_the_picture_s_size(shallow: Shallow) -> None:
    model = shallow(LongitudinalMIMModel, img_size=128, init_weights=False).eval()
    assert model.encoder.bottleneck.transformer.embeddings.position_embeddings.shape[1] == 16
    with torch.no_grad():
        assert model(*pictures(128, number=1)).shape == (1, 1, 128, 128)
    assert model.input_spec.size == (128, 128)


def test_a_signed_map_of_colour_pictures_has_both_signs(shallow: Shallow) -> None:
    torch.manual_seed(0)
    model = shallow(LongitudinalMIMModel, 3, img_size=64, output="signed").eval()
    with torch.no_grad():
        change = model(*pictures(channels=3))
    assert -1 <= change.min() < 0 < change.max() <= 1
    assert model.spec.map_range == "signed"
    assert model.input_spec.channels == 3


def test_swapped_pictures_pass_the_one_encoder_and_give_another_map(
    big: LongitudinalMIMModelBig,
) -> None:
    baseline, followup = pictures()
    seen: list[Tensor] = []
    hook = big.encoder.bottleneck.register_forward_hook(lambda _, __, maps: seen.append(maps))
    with torch.no_grad():
        one, other = big(baseline, followup), big(followup, baseline)
    hook.remove()
    assert not torch.allclose(one, other)
    torch.testing.assert_close(torch.cat(seen[1].chunk(2)[::-1]), seen[0], rtol=1e-4, atol=1e-5)
    assert sum(isinstance(part, type(big.encoder)) for part in big.modules()) == 1


def test_the_encoder_is_the_backbone_and_stands_once_in_the_state(
    big: LongitudinalMIMModelBig,
) -> None:
    assert big.encoder is big.backbone
    assert {name.partition(".")[0] for name in big.state_dict()} == {"backbone", "classifier"}


def test_the_skip_connections_of_the_big_network_are_used(big: LongitudinalMIMModelBig) -> None:
    baseline, followup = pictures()
    with torch.no_grad():
        whole = big(baseline, followup)
        for skip in big.classifier.decoder.skips:
            kept = skip[1].weight.clone()
            skip[1].weight.zero_()
            assert not torch.allclose(big(baseline, followup), whole)
            skip[1].weight.copy_(kept)
    widths = [skip[0].in_channels for skip in big.classifier.decoder.skips]
    assert widths == [2 * 224, 2 * 80, 2 * 48]  # both pictures' maps at 1/8, 1/4, 1/2


def test_every_parameter_learns_and_stands_in_one_stage(big: LongitudinalMIMModelBig) -> None:
    stages = big.stages()
    assert stages[-1] == (HEAD, big.classifier)
    listed = [id(parameter) for _, stage in stages for parameter in stage.parameters()]
    assert sorted(listed) == sorted(id(parameter) for parameter in big.parameters())
    big.zero_grad()
    big(*pictures()).square().mean().backward()
    unused = [name for name, parameter in big.named_parameters() if parameter.grad is None]
    big.zero_grad()
    assert unused == []


def test_position_embeddings_learn_without_weight_decay(small: LongitudinalMIMModel) -> None:
    groups = small.parameter_groups(learning_rate=1e-3, weight_decay=0.01)
    decay = {id(one): group["weight_decay"] for group in groups for one in group["params"]}
    assert len(decay) == len(list(small.parameters()))
    embeddings = small.encoder.bottleneck.transformer.embeddings
    assert decay[id(embeddings.position_embeddings)] == 0.0
    assert decay[id(embeddings.project[0].weight)] == 0.01


def test_features_are_those_of_one_picture(big: LongitudinalMIMModelBig) -> None:
    baseline, followup = pictures()
    with torch.no_grad():
        features = big.extract_features(baseline)
        assert not torch.allclose(features, big.extract_features(followup))
    assert features.shape == (2, big.feature_dim) == (2, 640)


def test_freezing_the_encoder_as_described_leaves_the_head_learning(
    small: LongitudinalMIMModel,
) -> None:
    for parameter in small.encoder.parameters():
        parameter.requires_grad = False
    learning = {
        name.partition(".")[0] for name, one in small.named_parameters() if one.requires_grad
    }
    small.requires_grad_(True)
    assert learning == {"classifier"}


def test_frozen_stages_keep_their_batch_norms_still(small: LongitudinalMIMModel) -> None:
    small.freeze_stages([name for name, _ in small.stages()[:-1]])
    small.train()
    norm = small.encoder.features.blocks["0"].bn1
    before = norm.running_mean.clone()
    with torch.no_grad():
        small(*pictures())
    assert torch.equal(norm.running_mean, before)
    assert not small.encoder.features.stem[0][0].weight.requires_grad
    assert small.classifier.dropout.training
    small.freeze_stages([])
    small.eval()


def _gradients(
    model: StagedModel, *, is_checkpointing: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """Gradients, buffers after the step, bytes kept for the backward pass."""
    model.set_gradient_checkpointing(is_checkpointing)
    model.zero_grad()
    kept: dict[int, tuple[int, Any]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), storage)
        return tensor

    torch.manual_seed(3)  # of dropout
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(*pictures()).square().mean()
    loss.backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    return gradients, buffers, sum(size for size, _ in kept.values())


def test_checkpointing_gives_equal_gradients_and_statistics_and_keeps_less(
    big: LongitudinalMIMModelBig,
) -> None:
    start = {name: buffer.clone() for name, buffer in big.named_buffers()}
    big.train()
    plain, plain_buffers, plain_bytes = _gradients(big, is_checkpointing=False)
    big.load_state_dict(start, strict=False)
    again, again_buffers, again_bytes = _gradients(big, is_checkpointing=True)
    big.set_gradient_checkpointing(False)
    big.load_state_dict(start, strict=False)
    big.eval()
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-5, atol=1e-5)
    for name, buffer in plain_buffers.items():
        torch.testing.assert_close(again_buffers[name], buffer)
    moved = [name for name in start if not torch.equal(start[name], plain_buffers[name])]
    assert moved
    weights = sum(parameter.nbytes for parameter in big.parameters())
    assert again_bytes - weights < 0.5 * (plain_bytes - weights)


def test_a_saved_network_comes_back_from_its_spec(
    small: LongitudinalMIMModel, shallow: Shallow, tmp_path: Path
) -> None:
    save_file(small.state_dict(), tmp_path / "model.safetensors")
    spec = ModelSpec.from_dict(small.spec.to_dict())
    again = shallow(build_model_from_spec, spec).eval()
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    with torch.no_grad():
        assert torch.equal(again(*pictures()), small(*pictures()))
    assert again.spec == small.spec


def test_the_encoder_of_masked_pretraining_goes_into_a_change_network(
    masked: MaskedReconstructionModel, small: LongitudinalMIMModel, shallow: Shallow, tmp_path: Path
) -> None:
    save_file(masked.state_dict(), tmp_path / "masked.safetensors")
    model = shallow(LongitudinalMIMModel, img_size=64, init_weights=False)
    row = find_architecture("LongitudinalMIMModel")
    load_published_weights(model, row, tmp_path / "masked.safetensors")
    pairs = zip(model.encoder.parameters(), masked.encoder.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_half_precision_training_gives_finite_gradients(small: LongitudinalMIMModel) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        change = small(*pictures())
    change.float().mean().backward()
    finite = all(one.grad is not None and one.grad.isfinite().all() for one in small.parameters())
    small.zero_grad()
    assert finite


def test_a_network_without_initialisation_keeps_torch_s_start(shallow: Shallow) -> None:
    # kaiming_uniform_ with a = sqrt(5): bound 1 / sqrt(fan_in), deviation bound / sqrt(3).
    model = shallow(LongitudinalMIMModel, img_size=64, init_weights=False)
    weight = model.classifier.process[0].layers[0].weight
    assert weight.std().item() == pytest.approx((3 * 640 * 9) ** -0.5, rel=0.01)


def test_pictures_of_two_shapes_are_refused(small: LongitudinalMIMModel) -> None:
    with pytest.raises(ValueError, match=r"baseline is \(2, 1, 64, 64\) and followup \(1, 1, 64"):
        small(torch.rand(2, 1, 64, 64), torch.rand(1, 1, 64, 64))


def test_pictures_of_another_size_are_refused(small: LongitudinalMIMModel) -> None:
    with pytest.raises(ConfigError, match=r"a map of 8x8: the network was built for 4x4: .* IMAGE"):
        small(*pictures(128, number=1))


def test_dropout_falls_on_whole_channels_before_the_decoder(big: LongitudinalMIMModelBig) -> None:
    assert isinstance(big.classifier.dropout, nn.Dropout2d)
    assert big.classifier.dropout.p == big.spec.dropout_rate == 0.1
