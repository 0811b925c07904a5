import copy

import pytest
import torch

from csi_predictor.models import CsiModel, create_model
from csi_predictor.models.batch_norm import batch_norms

FAMILIES = ["custom1", "resnet18", "densenet121", "timm/tf_efficientnet_lite0"]


def tiny(name: str = "custom1", **spec: object) -> CsiModel:
    torch.manual_seed(0)
    return create_model(name, image_size=64, **spec)


def pictures(model: CsiModel, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, model.input_spec.channels, 64, 64, generator=generator)


def learn_one_step(model: CsiModel) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model(pictures(model)).logits.square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("zone_focus", ["none", "pooling", "masking"])
@pytest.mark.parametrize(("head", "outputs"), [("ordinal", 4), ("softmax", 5)])
def test_every_focus_and_head_gives_logits_of_six_zones(
    zone_focus: str, head: str, outputs: int
) -> None:
    model = tiny(zone_focus=zone_focus, head=head)
    output = model(pictures(model))
    assert output.logits.shape == (2, 6, outputs)
    assert output.features.shape == (2, model.feature_dim)


def test_extract_features_gives_the_features_of_the_forward_pass() -> None:
    model = tiny(feature_levels=2).eval()
    images = pictures(model)
    torch.testing.assert_close(model.extract_features(images), model(images).features)


def test_levels_and_context_widen_what_the_head_takes() -> None:
    model = tiny(feature_levels=2, global_context=True)
    assert model.feature_dim == 128 + 256
    assert model.classifier.weight.shape[-1] == 2 * (128 + 256)


def test_masking_looks_at_each_zone_alone() -> None:
    model = tiny(zone_focus="masking", masking_strategy="zero").eval()
    images = torch.zeros(1, 1, 64, 64)
    changed = images.clone()
    changed[..., :16, :30] = 3.0  # the patient's right apex
    differs = (model(changed).logits - model(images).logits).abs().amax(dim=-1)[0] > 1e-6
    assert differs.tolist() == [True, False, False, False, False, False]


@pytest.mark.parametrize("name", FAMILIES)
def test_stages_hold_every_parameter_and_end_with_the_head(name: str) -> None:
    model = tiny(name)
    stages = model.stages()
    held = {id(parameter) for _, stage in stages for parameter in stage.parameters()}
    assert held == {id(parameter) for parameter in model.parameters()}
    assert stages[-1] == ("head", model.classifier)


@pytest.mark.parametrize("name", [*FAMILIES, "timm/vit_tiny_patch16_224"])
def test_checkpointing_gives_equal_gradients_and_statistics(name: str) -> None:
    plain = tiny(name, dropout_rate=0.0)
    frugal = copy.deepcopy(plain)
    frugal.set_gradient_checkpointing(True)
    for model in (plain, frugal):
        model.train()
        model(pictures(model)).logits.square().mean().backward()
    for (key, one), two in zip(plain.named_parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=1e-5, msg=key)
    for (key, one), two in zip(plain.named_buffers(), frugal.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=key)


def test_checkpointing_keeps_fewer_activations() -> None:
    kept = {}
    for is_frugal in (False, True):
        model = tiny()
        model.set_gradient_checkpointing(is_frugal)
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(pictures(model))
        kept[is_frugal] = sum(sizes)
    assert kept[True] < kept[False] / 2


def test_statistics_move_again_after_a_checkpointed_step() -> None:
    model = tiny()
    model.set_gradient_checkpointing(True)
    learn_one_step(model)
    before = model.backbone.block1[1].running_mean.clone()
    learn_one_step(model)
    assert not torch.equal(model.backbone.block1[1].running_mean, before)
    assert model.backbone.block1[1].num_batches_tracked == 2


@pytest.mark.parametrize("name", ["custom1", "resnet18", "timm/vit_tiny_patch16_224"])
def test_frozen_stages_do_not_change_at_all(name: str) -> None:
    model = tiny(name)
    model.freeze_stages([stage for stage, _ in model.stages() if stage != "head"])
    model.train()
    before = copy.deepcopy(model.state_dict())
    learn_one_step(model)
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed
    assert all(key.startswith("classifier.") for key in changed)


def test_stages_that_are_not_named_thaw() -> None:
    model = tiny()
    model.freeze_stages(["block1", "block2"])
    model.freeze_stages(["block1"])
    model.train()
    assert not model.backbone.block1.training
    assert model.backbone.block2.training
    assert all(parameter.requires_grad for parameter in model.backbone.block2.parameters())


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no stage layer4: expected one of block1, .*, head"):
        tiny().freeze_stages(["layer4"])


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_scale() -> None:
    model = tiny("resnet18")
    model.freeze_batch_norm()
    model.train()
    norm = model.backbone.net.bn1
    mean, scale = norm.running_mean.clone(), norm.weight.clone()
    learn_one_step(model)
    assert torch.equal(norm.running_mean, mean)
    assert not torch.equal(norm.weight, scale)
    assert not any(one.training for one in batch_norms(model.backbone))
    assert model.classifier.training


def rates(model: CsiModel, **arguments: object) -> dict[str, float]:
    groups = model.parameter_groups(learning_rate=1.0, weight_decay=0.1, **arguments)
    return {group["name"]: group["lr"] for group in groups}


def test_groups_hold_every_parameter_once() -> None:
    model = tiny("resnet18")
    groups = model.parameter_groups(learning_rate=1.0, weight_decay=0.1)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())


def test_biases_norms_thresholds_and_embeddings_are_not_decayed() -> None:
    model = tiny("timm/vit_tiny_patch16_224")
    groups = model.parameter_groups(learning_rate=1.0, weight_decay=0.1)
    spared = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    for name, parameter in model.named_parameters():
        is_embedding = name.endswith(("pos_embed", "cls_token"))
        expected = parameter.ndim <= 1 or name.endswith("bias") or is_embedding
        assert (id(parameter) in spared) == expected, name


def test_the_encoder_has_its_share_of_the_heads_rate() -> None:
    found = rates(tiny(), backbone_lr_factor=0.1)
    assert found["head"] == 1.0
    assert {rate for name, rate in found.items() if "head" not in name} == {0.1}


def test_layerwise_rates_fall_from_the_head_to_the_input() -> None:
    found = rates(tiny(), fine_tuning="layerwise", layer_decay=0.5)
    # By hand: head 1, block5 1/2, block4 1/4, ... block1 1/32.
    assert found["head"] == 1.0
    assert [found[f"block{n}"] for n in (5, 4, 3, 2, 1)] == [0.5, 0.25, 0.125, 0.0625, 0.03125]


def test_frozen_leaves_only_the_head_to_the_optimizer() -> None:
    assert set(rates(tiny(), fine_tuning="frozen")) == {"head", "head without decay"}
