"""The network of a plan."""

from pathlib import Path

import pytest
import torch

from csi_predictor.architectures import find_architecture
from csi_predictor.benchmarking.networks import build_subject, size_text
from csi_predictor.benchmarking.plan import NetworkPlan
from csi_predictor.errors import ConfigError
from csi_predictor.inference.bundle import load_bundle, save_bundle
from csi_predictor.inference.predict import run_models
from csi_predictor.models.create import create_model

CPU = torch.device("cpu")


def subject(name: str, size: int | None = None, bundle: Path | None = None) -> object:
    plan = NetworkPlan(name=name, image_size=size, batch_size=2, engines=("eager",), bundle=bundle)
    return build_subject(plan, seed=0, device=CPU)


def test_a_published_network_has_its_published_outputs_and_parameters() -> None:
    found = subject("resnet18", 64)
    count = sum(parameter.numel() for parameter in found.model.parameters())
    assert count == find_architecture("resnet18").parameters
    assert found.shape == (3, 64, 64)
    with torch.inference_mode():
        assert found.model(found.pixels(2, seed=0, device=CPU)).shape == (2, 1000)


def test_a_timm_network_has_1000_outputs() -> None:
    found = subject("timm/test_vit", None)
    with torch.inference_mode():
        assert found.model(found.pixels(1, seed=0, device=CPU)).shape == (1, 1000)


def test_a_network_of_pairs_takes_both_pictures_in_one_tensor() -> None:
    found = subject("longitudinal_mim", 64)
    assert found.shape == (2, 1, 64, 64)
    with torch.inference_mode():
        assert found.model(found.pixels(1, seed=0, device=CPU)).shape[0] == 1


def test_a_network_of_volumes_takes_a_cube() -> None:
    found = subject("densenet_tiny_3d", 32)
    assert found.size == (32, 32, 32)
    with torch.inference_mode():
        assert found.model(found.pixels(2, seed=0, device=CPU)).shape == (2, 18)


def test_weights_and_pixels_are_those_of_the_seed_and_dropout_is_off() -> None:
    first, second = subject("custom1", 32), subject("custom1", 32)
    pixels = first.pixels(3, seed=4, device=CPU)
    assert torch.equal(pixels, second.pixels(3, seed=4, device=CPU))
    assert not torch.equal(pixels, second.pixels(3, seed=5, device=CPU))
    with torch.inference_mode():
        assert torch.equal(first.model(pixels), second.model(pixels))
        assert torch.equal(first.model(pixels), first.model(pixels))


def test_a_size_that_the_network_cannot_take_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match="custom1 halves the picture"):
        subject("custom1", 16)


def test_a_bundle_is_measured_with_all_its_passes(tmp_path: Path) -> None:
    members = [create_model("custom1", image_size=32) for _ in range(2)]
    save_bundle(
        tmp_path,
        [member.state_dict() for member in members],
        spec=members[0].spec,
        test_time="mirror",
        baseline_grades=(0.0,) * 6,
        learnt_ids=(),
        training={},
        config_ini="",
    )
    found = subject("anything", None, bundle=tmp_path)
    pixels = found.pixels(2, seed=1, device=CPU)
    with torch.inference_mode():
        logits = found.model(pixels)
    bundle = load_bundle(tmp_path)
    expected = run_models(bundle.models, pixels, device=CPU, test_time="mirror")
    assert logits.shape == (4, 2, 6, 4)
    assert torch.equal(logits, expected)


def test_sizes_are_written_as_timm_writes_them() -> None:
    assert size_text((224, 224)) == "224"
    assert size_text((224, 192)) == "224x192"
    assert size_text((64, 64, 64)) == "64x64x64"
