import pytest
import timm
import torch
from torch import Tensor, nn

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models import create_model
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d.timm_encoder import TimmEncoder, build_timm_encoder
from csi_predictor.specs import InputSpec

VIT = "vit_tiny_patch16_224"


def build(name: str, size: int | tuple[int, int] = 64, **options: object) -> TimmEncoder:
    edges = (size, size) if isinstance(size, int) else size
    row = find_architecture(name)
    return build_timm_encoder(
        row, EncoderOptions(input_spec=InputSpec(size=edges), **options)
    ).eval()


def shake(net: nn.Module) -> None:
    """Numbers of its own in every BatchNorm and bias, which start as ones and zeros."""
    generator = torch.Generator().manual_seed(3)
    for tensor in net.state_dict().values():
        if tensor.ndim == 1 and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet18", (512, 2, 2)),
        ("densenet121", (1024, 2, 2)),
        ("timm/tf_efficientnet_lite0", (1280, 2, 2)),
        (VIT, (192, 4, 4)),  # tokens
        ("timm/swin_tiny_patch4_window7_224", (768, 2, 2)),  # channels last inside timm
        ("timm/mobilenetv3_small_050", (288, 2, 2)),  # its head's convolution is behind the map
    ],
)
def test_the_last_map_has_channels_before_height(name: str, shape: tuple[int, ...]) -> None:
    encoder = build(name)
    assert encoder.forward_features(torch.zeros(1, 3, 64, 64)).shape[1:] == shape
    assert encoder.feature_dims == shape[:1]


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnet50",
        "densenet121",
        "densenet161",
        "efficientnet_b0",
        "efficientnet_b1",
        VIT,
        "vit_small_patch16_224",
        # Networks with a norm, a convolution or a pooling of their own behind the map:
        "timm/mobilenetv3_small_050",
        "timm/convnext_atto",
        "timm/vit_tiny_r_s16_p8_224",
        "timm/vit_wee_patch16_reg1_gap_256",
        "timm/deit3_small_patch16_224",
        "timm/eva02_tiny_patch14_224",
        "timm/swin_tiny_patch4_window7_224",
        "timm/regnetx_002",
    ],
)
def test_logits_equal_timms_own_for_the_same_weights(name: str) -> None:
    torch.manual_seed(0)
    row = find_architecture(name)
    fixed = timm.get_pretrained_cfg(row.timm_name).fixed_input_size
    size = 56 if "patch14" in name else 64
    arguments = {"img_size": size} if fixed else {}
    reference = timm.create_model(row.timm_name, num_classes=11, **arguments).eval()
    shake(reference)
    model = create_model(name, num_classes=11, image_size=size).eval()
    encoder = model.backbone
    state = reference.state_dict()
    head = encoder.published_head(state)
    assert head is not None
    encoder.net.load_state_dict({key: state[key] for key in encoder.net.state_dict()}, strict=True)
    linear = model.classifier[-1]
    assert head[0].shape == linear.weight.shape == (11, encoder.feature_dim)
    with torch.no_grad():
        linear.weight.copy_(head[0])
        linear.bias.copy_(head[1])
        images = torch.randn(2, 3, size, size)
        expected = reference(images)
        logits = model(images).logits
    assert expected.std() > 1e-3  # else equal would mean nothing
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("options", [{"pooling": "mean"}, {"feature_levels": 2}])
def test_a_head_over_other_features_is_not_the_published_one(options: dict[str, object]) -> None:
    state = timm.create_model(VIT, img_size=64).state_dict()
    assert build(VIT).published_head(state) is not None
    assert build(VIT, **options).published_head(state) is None


def test_a_file_without_a_classifier_has_no_published_head() -> None:
    state = timm.create_model("resnet18", num_classes=0).state_dict()
    assert build("resnet18").published_head(state) is None


def test_mean_pooling_is_the_mean_of_the_patch_tokens() -> None:
    encoder = build(VIT, pooling="mean")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = encoder.net.forward_features(images)
        torch.testing.assert_close(encoder(images).pooled, tokens[:, 1:].mean(dim=1))


def test_the_class_token_is_the_first_of_timms_tokens() -> None:
    encoder = build(VIT, pooling="cls")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = encoder.net.forward_features(images)
        torch.testing.assert_close(encoder(images).pooled, tokens[:, 0])
    assert encoder.feature_dim == 192


def test_a_class_token_is_normed_where_timm_norms_behind_its_pooling() -> None:
    encoder = build("timm/eva02_tiny_patch14_224", size=56, pooling="cls")
    images = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        tokens = encoder.net.forward_features(images)
        expected = nn.functional.layer_norm(tokens[:, 0], (192,), eps=1e-6)
        torch.testing.assert_close(encoder(images).pooled, expected, atol=1e-5, rtol=1e-5)


def test_several_maps_are_pooled_by_their_means() -> None:
    encoder = build(VIT, feature_levels=3)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        encoded = encoder(images)
    means = [one.mean(dim=(2, 3)) for one in encoded.maps]
    torch.testing.assert_close(encoded.pooled, torch.cat(means, dim=1))
    assert encoder.feature_dim == encoded.pooled.shape[1] == 3 * 192


@pytest.mark.parametrize(
    ("name", "size"), [(VIT, (64, 64)), (VIT, (32, 128)), (VIT, (128, 16)), ("resnet18", (97, 61))]
)
def test_tokens_keep_their_place_in_the_map(name: str, size: tuple[int, int]) -> None:
    encoder = build(name, size=size)
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        features = encoder.net.forward_features(images)
        feature_map = encoder.forward_features(images)
    if name != VIT:
        torch.testing.assert_close(feature_map, features)
        return
    rows, columns = size[0] // 16, size[1] // 16
    assert feature_map.shape == (1, 192, rows, columns)
    # Token 0 is the class; the patches follow row by row.
    last = 1 + (rows - 1) * columns + (columns - 1)
    torch.testing.assert_close(feature_map[0, :, rows - 1, columns - 1], features[0, last])
    torch.testing.assert_close(feature_map[0, :, 0, columns - 1], features[0, columns])


def test_the_grid_of_patches_is_timms_own_and_not_guessed_from_the_picture() -> None:
    # Patches of 16 x 8 on a square picture make 4 rows of 8; the aspect ratio would say 6 x 5.
    encoder = build(VIT, patch_size=(16, 8))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        tokens = encoder.net.forward_features(images)
        feature_map = encoder.forward_features(images)
    assert feature_map.shape == (1, 192, 4, 8)
    torch.testing.assert_close(feature_map[0, :, 1, 3], tokens[0, 1 + 8 + 3])


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("resnet18", (256, 512)),
        ("densenet121", (1024, 1024)),
        ("timm/tf_efficientnet_lite0", (112, 1280)),
        (VIT, (192, 192)),
        ("timm/swin_tiny_patch4_window7_224", (384, 768)),
    ],
)
def test_levels_are_timms_own_maps_before_its_last(name: str, dims: tuple[int, ...]) -> None:
    encoder = build(name, feature_levels=2)
    images = torch.randn(2, 3, 64, 64)
    finer, last = encoder.forward_maps(images)
    every = encoder.net.forward_intermediates(images, intermediates_only=True)
    torch.testing.assert_close(finer, every[-2])
    options = EncoderOptions(input_spec=InputSpec(size=(64, 64)))
    one_map = TimmEncoder(encoder.net, find_architecture(name), options).eval()
    torch.testing.assert_close(last, one_map.forward_features(images))
    assert encoder.feature_dims == (finer.shape[1], last.shape[1]) == dims


def test_no_layer_is_left_without_a_gradient() -> None:
    encoder = build("timm/tf_efficientnet_lite0", feature_levels=3).train()
    sum(one.square().mean() for one in encoder.forward_maps(torch.randn(2, 3, 64, 64))).backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("resnet50", "stem", "layer4"),
        ("densenet121", "stem", "features.denseblock4+features.norm5"),
        ("efficientnet_b0", "stem", "blocks.6+conv_head+bn2"),
        (VIT, "stem", "blocks.11+norm"),
        ("timm/convnext_atto", "stem", "stages.3+head"),
        ("timm/mobilenetv3_small_050", "stem", "conv_head"),
        ("timm/pit_ti_224", "stem", "transformers+norm"),  # timm has no groups of it
    ],
)
def test_stages_hold_each_parameter_once_from_input_to_output(
    name: str, first: str, last: str
) -> None:
    size = 224 if "pit" in name else 64
    encoder = build(name, size=size)
    stages = encoder.stages()
    held = [id(parameter) for _, stage in stages for parameter in stage.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in encoder.parameters()}
    assert stages[0][0] == first
    assert stages[-1][0] == last


def test_a_transformers_blocks_learn_slower_the_nearer_they_are_to_the_input() -> None:
    model = create_model(VIT, image_size=64, num_classes=3)
    groups = model.parameter_groups(
        learning_rate=1.0, weight_decay=0.1, fine_tuning="layerwise", layer_decay=0.5
    )
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    net = model.backbone.net
    assert len(rates) == len(list(model.parameters()))
    # By hand: the head, then twelve blocks, then the stem with patches, class token and positions.
    assert rates[id(model.classifier[-1].weight)] == 1.0
    assert rates[id(net.norm.weight)] == 0.5
    assert rates[id(net.blocks[11].attn.qkv.weight)] == 0.5
    assert rates[id(net.blocks[0].mlp.fc1.weight)] == 0.5**12
    assert rates[id(net.pos_embed)] == rates[id(net.patch_embed.proj.weight)] == 0.5**13


def test_one_module_is_its_own_stage_for_hooks() -> None:
    encoder = build("resnet18")
    assert dict(encoder.stages())["layer4"] is encoder.net.layer4


def gradients(encoder: TimmEncoder, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    encoder.zero_grad()
    torch.manual_seed(7)
    encoded = encoder(images)
    loss = encoded.pooled.square().mean() + sum(one.square().mean() for one in encoded.maps)
    loss.backward()
    return loss.detach(), {
        name: parameter.grad.clone() for name, parameter in encoder.named_parameters()
    }


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize(
    ("name", "drop_path_rate"),
    [("resnet18", 0.2), ("efficientnet_b0", 0.2), (VIT, 0.2), ("densenet121", 0.0)],
)
def test_checkpointing_gives_equal_gradients_and_statistics(
    name: str, drop_path_rate: float, levels: int
) -> None:
    """The same paths are dropped in the second pass, and BatchNorm counts the batch once."""
    torch.manual_seed(1)
    plain = build(name, drop_path_rate=drop_path_rate, feature_levels=levels).double().train()
    saving = build(name, drop_path_rate=drop_path_rate, feature_levels=levels).double().train()
    saving.load_state_dict(plain.state_dict())
    saving.set_gradient_checkpointing(True)
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    loss, expected = gradients(plain, images)
    same_loss, found = gradients(saving, images)
    torch.testing.assert_close(same_loss, loss, atol=1e-10, rtol=1e-10)
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-5, rtol=1e-5, msg=key)
    assert any(gradient.abs().max() > 1e-4 for gradient in expected.values())
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(saving.state_dict()[key], value, msg=key)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", VIT, "densenet121"])
def test_checkpointing_keeps_fewer_activations(name: str) -> None:
    def kept(enabled: bool) -> int:
        encoder = build(name).train()
        encoder.set_gradient_checkpointing(enabled)
        sizes: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            encoder(torch.randn(2, 3, 64, 64))
        parameters = {parameter.data_ptr() for parameter in encoder.parameters()}
        return sum(size for pointer, size in sizes.items() if pointer not in parameters)

    assert kept(True) < 0.8 * kept(False)


@pytest.mark.parametrize(
    ("name", "layer", "rate"),
    [
        ("resnet18", "layer4.1.drop_path", 0.4),  # the last block drops at the whole rate
        ("efficientnet_b0", "blocks.5.3.drop_path", 0.4 * 14 / 16),  # block 14 of 0 to 15
        (VIT, "blocks.11.drop_path2", 0.4),
    ],
)
def test_stochastic_depth_reaches_the_network(name: str, layer: str, rate: float) -> None:
    encoder = build(name, drop_path_rate=0.4)
    shake(encoder.net)  # timm's ResNet starts with residual branches of zero
    assert encoder.net.get_submodule(layer).drop_prob == pytest.approx(rate)
    images = torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(encoder(images).pooled, encoder(images).pooled)
    encoder.train()
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    assert not torch.allclose(encoder(images).pooled, encoder(images).pooled)


def test_dropout_stands_before_the_head_and_only_in_training() -> None:
    model = create_model(VIT, image_size=32, num_classes=5, dropout_rate=0.5)
    images = torch.randn(2, 3, 32, 32)
    model.eval()
    torch.testing.assert_close(model(images).logits, model(images).logits)
    model.train()
    first, second = model(images), model(images)
    torch.testing.assert_close(first.features, second.features)
    assert not torch.allclose(first.logits, second.logits)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("timm/tf_efficientnet_lit0", {}, r"has no network tf_efficientnet_lit0: .*lite0\?"),
        (
            "timm/resnet18.nonsense",
            {},
            r"no weights nonsense of resnet18: expected one of .*tv_in1k",
        ),
        ("densenet121", {"drop_path_rate": 0.1}, r"DROP_PATH_RATE: densenet121 has no stochastic"),
        ("resnet18", {"feature_levels": 6}, r"resnet18 has 5 resolutions: expected 1 to 5"),
        (
            "resnet50",
            {"pooling": "cls"},
            r"\[MODEL\] POOLING = cls: resnet50 has no class token: expected auto or mean",
        ),
        (
            "timm/vit_wee_patch16_reg1_gap_256",
            {"pooling": "cls", "patch_size": (16, 16)},
            r"POOLING = cls: timm/vit_wee_patch16_reg1_gap_256 has no class token",
        ),
        (VIT, {"pooling": "cls", "feature_levels": 2}, r"POOLING = cls: FEATURE_LEVELS = 2 sets"),
        ("resnet18", {"patch_size": (8, 8)}, r"PATCH_SIZE = 8: resnet18 has no patches: .* auto"),
        ("densenet121", {"patch_size": (8, 8)}, r"PATCH_SIZE = 8: densenet121 has no patches"),
        ("efficientnet_b0", {"patch_size": (8, 8)}, r"PATCH_SIZE = 8: efficientnet_b0 has no pa"),
        # timm's constructor takes the word for its stem.
        ("timm/convnext_atto", {"patch_size": (8, 8)}, r"PATCH_SIZE = 8: timm/convnext_atto has"),
        (
            "timm/swin_tiny_patch4_window7_224",
            {"patch_size": (2, 2)},
            r"PATCH_SIZE = 2: timm/swin_tiny_patch4_window7_224 has no patches",
        ),
        (
            VIT,
            {"patch_size": (14, 14)},
            r"IMAGE_SIZE = 64: vit_tiny_patch16_224 cuts the picture into patches of 14 pixels: "
            r"expected a multiple, such as 56",
        ),
    ],
)
def test_what_timm_lacks_is_refused(name: str, options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(name, **options)


@pytest.mark.parametrize(("size", "nearest"), [((64, 100), 96), ((9, 64), 16)])
def test_a_picture_that_patches_cannot_tile_is_refused(size: tuple[int, int], nearest: int) -> None:
    with pytest.raises(ConfigError, match=rf"IMAGE_SIZE = \d+: .* such as {nearest}$"):
        build(VIT, size=size)


def test_kernels_that_overlap_need_no_multiple() -> None:
    with torch.device("meta"):
        encoder = build("timm/pvt_v2_b0", size=64).eval()
        # 64 isn't a multiple of the first kernel, 7, whose stride is 4.
        assert encoder.forward_maps(torch.zeros(1, 3, 64, 64))[-1].shape == (1, 256, 2, 2)


def test_checkpointing_is_refused_where_timm_has_none() -> None:
    encoder = build("timm/pit_ti_224", size=224)
    with pytest.raises(ConfigError, match="GRADIENT_CHECKPOINTING = true: timm/pit_ti_224 can't"):
        encoder.set_gradient_checkpointing(True)
