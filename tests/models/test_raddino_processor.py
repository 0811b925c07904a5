"""The official processor's file: read by value, and refused when it isn't the official one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import AutoImageProcessor

from csi_predictor.architectures import find_architecture
from csi_predictor.config.schema import Config
from csi_predictor.data.prepare import prepare, to_tensor
from csi_predictor.errors import ConfigError
from csi_predictor.models import ModelSpec, build, build_model
from csi_predictor.models.build import build_model_spec
from csi_predictor.models.encoders2d import raddino
from csi_predictor.models.raddino_processor import OFFICIAL_VALUES, official_input_spec
from csi_predictor.specs import InputSpec

ROW = find_architecture("raddino")
# The values that huggingface.co/microsoft/rad-dino publishes.
PUBLISHED = """{
  "crop_size": {"height": 518, "width": 518},
  "do_center_crop": true,
  "do_convert_rgb": true,
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "image_mean": [0.5307, 0.5307, 0.5307],
  "image_processor_type": "BitImageProcessor",
  "image_std": [0.2583, 0.2583, 0.2583],
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {"shortest_edge": 518}
}"""


def _cache(tmp_path: Path, text: str = PUBLISHED, **changes: Any) -> Path:
    """A MODELS_CACHE with the file; a change to `...` leaves the key out."""
    if changes:
        values = {**json.loads(text), **changes}
        text = json.dumps({key: value for key, value in values.items() if value is not ...})
    path = tmp_path / "rad-dino" / "preprocessor_config.json"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_rows_picture_says_what_the_official_file_says(tmp_path: Path) -> None:
    official = official_input_spec(ROW, _cache(tmp_path))
    assert official.processor is not None
    assert json.loads(official.processor) == json.loads(PUBLISHED) == OFFICIAL_VALUES
    assert official == InputSpec(**{**ROW.input_spec.to_dict(), "processor": official.processor})
    assert (official.size, official.fit, official.interpolation) == ((518, 518), "crop", "bicubic")
    assert official.is_eight_bit


@pytest.mark.parametrize(
    "changes",
    [
        {"image_processor_type": "BitImageProcessorFast"},
        {"_valid_processor_keys": ["images"], "_note": "copied", "processor_class": "AnyProcessor"},
        {"data_format": "channels_first", "default_to_square": False, "do_pad": None},
    ],
)
def test_what_older_and_newer_versions_write_to_the_same_effect_is_the_same(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    (tmp_path / "plain").mkdir()
    plain = official_input_spec(ROW, _cache(tmp_path / "plain"))
    assert official_input_spec(ROW, _cache(tmp_path, **changes)) == plain


def test_what_the_installed_transformers_saves_is_accepted(tmp_path: Path) -> None:
    folder = _cache(tmp_path) / "rad-dino"
    before = official_input_spec(ROW, tmp_path)
    AutoImageProcessor.from_pretrained(folder, local_files_only=True).save_pretrained(folder)
    assert official_input_spec(ROW, tmp_path) == before


def test_a_missing_file_says_where_it_comes_from_and_goes(tmp_path: Path) -> None:
    expected = (
        r"USE_OFFICIAL_PROCESSOR = true: .*rad-dino.preprocessor_config\.json: no such file: put "
        r"preprocessor_config\.json of https://huggingface\.co/microsoft/rad-dino there, or set"
    )
    with pytest.raises(ConfigError, match=expected):
        official_input_spec(ROW, tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"resample": 2}, r"resample = 2 \(expected 3\)"),
        ({"do_center_crop": False}, r"do_center_crop = false \(expected true\)"),
        ({"image_std": [0.2, 0.2583, 0.2583]}, r"image_std = \[0\.2, .*\] \(expected \[0\.2583, "),
        ({"size": {"height": 518, "width": 518}}, r'expected \{"shortest_edge": 518\}'),
        ({"image_processor_type": "ViTImageProcessor"}, r'"ViTImageProcessor" \(expected "Bit'),
        ({"image_processor_type": "BitImageProcessorPil"}, r'Pil" \(expected "BitImageProcessor"'),
        ({"rescale_factor": ...}, r"rescale_factor is missing \(expected 0\.00392156862745098\)"),
        ({"do_pad": True}, r"do_pad = true \(expected none\)"),
        ({"data_format": "channels_last"}, r'data_format = "channels_last" \(expected none\)'),
        ({"brightness": 2}, r"brightness = 2 \(expected none\)"),
    ],
)
def test_a_differing_value_is_named_with_the_expected_one(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    whole = rf"preprocessor_config\.json: not the official processor: .*{expected}.*fetch it again"
    with pytest.raises(ConfigError, match=whole):
        official_input_spec(ROW, _cache(tmp_path, **changes))


def test_all_differing_keys_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        official_input_spec(ROW, _cache(tmp_path, resample=0, do_rescale=False, do_resize=...))
    for key in ("resample = 0", "do_rescale = false", "do_resize is missing"):
        assert key in str(caught.value)
    assert "image_mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PUBLISHED[:100], r"can't be read as JSON \(JSONDecodeError\): fetch it again from https"),
        ("[1, 2]", "holds a list: expected an object"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        official_input_spec(ROW, _cache(tmp_path, text))


def test_a_file_of_other_bytes_is_named(tmp_path: Path) -> None:
    path = _cache(tmp_path) / "rad-dino" / "preprocessor_config.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"can't be read as JSON \(UnicodeDecodeError\)"):
        official_input_spec(ROW, tmp_path)


@pytest.mark.parametrize("name", ["resnet18", "chexnet"])
def test_another_network_has_no_official_processor(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} has none: expected false, or MODEL_ARCH ="):
        official_input_spec(find_architecture(name), tmp_path)


def _config(models_cache: Path, **model: object) -> Config:
    values = {"model_arch": "raddino", "use_official_processor": True, **model}
    return Config.model_validate({"model": values, "runtime": {"models_cache": models_cache}})


def test_from_the_ini_to_logits_through_the_official_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 56}
    monkeypatch.setattr(raddino, "PUBLISHED_CONFIG", {**raddino.PUBLISHED_CONFIG, **tiny})
    folder = _cache(tmp_path) / "rad-dino"
    model = build_model(_config(tmp_path)).eval()
    picture = np.random.default_rng(0).integers(0, 256, (613, 555), dtype=np.uint8)
    picture[:20], picture[-20:] = 0, 255  # so that the percentiles are 0 and 255
    PIL.Image.fromarray(picture).save(tmp_path / "chest.png")

    spec = model.input_spec
    images = to_tensor(prepare(tmp_path / "chest.png", spec).pixels, spec)[None]

    official = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    expected = official(PIL.Image.fromarray(picture), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)
    with torch.inference_mode():
        assert model(images).logits.shape == (1, 6, 4)
        assert torch.equal(model(images).features, model.backbone.net(images).pooler_output)
    # What a bundle keeps says the same without the file.
    (folder / "preprocessor_config.json").unlink()
    kept = ModelSpec.from_dict(json.loads(json.dumps(model.spec.to_dict()))).input_spec
    again = to_tensor(prepare(tmp_path / "chest.png", kept).pixels, kept)[None]
    assert kept == spec
    assert torch.equal(again, images)


def test_without_the_key_no_file_is_needed(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = build_model(_config(tmp_path, use_official_processor=False))
    assert model.input_spec == ROW.input_spec


def test_with_the_key_a_missing_file_stops_the_build(tmp_path: Path) -> None:
    config = _config(tmp_path)
    runtime = config.runtime.model_copy(update={"offline": True})
    with pytest.raises(ConfigError, match="no such file: put preprocessor_config"):
        build_model(config.model_copy(update={"runtime": runtime}))


def test_a_missing_file_is_fetched_where_there_is_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object, models_cache: Path, offline: bool, name: str) -> Path:
        assert not offline
        return _cache(models_cache) / "rad-dino" / name

    monkeypatch.setattr(build, "find_pretrained", fetch)
    assert build_model_spec(_config(tmp_path)).input_spec.processor is not None


def test_the_processors_size_cant_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[MODEL\] IMAGE_SIZE: the official processor sets it"):
        build_model(_config(_cache(tmp_path), image_size=224))
