"""A trained model in a folder: what goes in comes out, and nothing else gets in."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from csi_predictor.errors import BundleError
from csi_predictor.files import sha256_of
from csi_predictor.inference.bundle import hash_facts, hash_id, load_bundle, save_bundle
from csi_predictor.inference.predictor import Predictor
from csi_predictor.models.create import create_model
from csi_predictor.specs import MIRRORED_ZONE_INDEX

CPU = torch.device("cpu")


def predictor_of(folders: Sequence[Path], *, device: torch.device) -> Predictor:
    return Predictor([load_bundle(folder) for folder in folders], device=device)


def save(
    folder: Path, *, seeds: tuple[int, ...] = (0,), test_time: str = "none", size: int = 64
) -> Path:
    members = []
    for seed in seeds:
        torch.manual_seed(seed)
        model = create_model("custom1", image_size=size)
        members.append(model.state_dict())
    save_bundle(
        folder,
        members,
        spec=model.spec,
        test_time=test_time,  # type: ignore[arg-type]
        baseline_grades=(1.0, 0.0, 1.0, 1.0, 2.0, float("nan")),
        learnt_ids={"007", "scan"},
        training={"num_images": 12},
        config_ini="[MODEL]\n",
    )
    return folder


def pixels(count: int = 3, size: int = 64) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def test_a_loaded_model_gives_the_same_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("custom1", image_size=64).eval()
    bundle = load_bundle(save(tmp_path))
    with torch.inference_mode():
        expected = model(pixels()).logits
        assert torch.equal(bundle.models[0](pixels()).logits, expected)
    assert bundle.facts.spec == model.spec
    assert bundle.facts.training == {"num_images": 12}
    assert bundle.facts.model_sha256 == sha256_of(tmp_path / "model.safetensors")


def test_an_ensemble_answers_with_the_mean_probability(tmp_path: Path) -> None:
    both = predictor_of([save(tmp_path / "both", seeds=(0, 1))], device=CPU)
    singles = [save(tmp_path / f"one{seed}", seeds=(seed,)) for seed in (0, 1)]
    answers = [predictor_of([folder], device=CPU).predict_pixels(pixels()) for folder in singles]
    grades, ungradable, _ = both.predict_pixels(pixels())
    np.testing.assert_allclose(grades, (answers[0][0] + answers[1][0]) / 2, atol=1e-12)
    np.testing.assert_allclose(ungradable, (answers[0][1] + answers[1][1]) / 2, atol=1e-12)
    together = predictor_of(singles, device=CPU)
    np.testing.assert_allclose(together.predict_pixels(pixels())[0], grades, atol=1e-12)
    assert together.facts.model_id.count("+") == 1


def test_a_mirrored_look_puts_the_sides_back(tmp_path: Path) -> None:
    predictor = predictor_of([save(tmp_path, test_time="mirror")], device=CPU)
    grades, *_ = predictor.predict_pixels(pixels())
    mirrored, *_ = predictor.predict_pixels(pixels().flip(-1))
    np.testing.assert_allclose(mirrored, grades[:, list(MIRRORED_ZONE_INDEX)], atol=1e-6)


def test_answers_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    predictor = predictor_of([save(tmp_path)], device=CPU)
    whole, *_ = predictor.predict_pixels(pixels(5))
    single = np.concatenate([predictor.predict_pixels(image[None])[0] for image in pixels(5)])
    np.testing.assert_allclose(whole, single, atol=1e-6)


def test_a_folder_without_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"bundle\.json: no such file: expected a bundle"):
        load_bundle(tmp_path)
    save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model\.safetensors: no such file"):
        load_bundle(tmp_path)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="the file was changed or damaged: copy the bundle again"):
        load_bundle(tmp_path)


def test_damaged_facts_and_other_versions_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path) / "bundle.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:100], encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.json: damaged"):
        load_bundle(tmp_path)
    path.write_text(text.replace('"format": 1', '"format": 99'), encoding="utf-8")
    with pytest.raises(BundleError, match="bundle format 99: this version reads 1"):
        load_bundle(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors.pop(next(name for name in tensors if name.endswith("weight")))
    save_file(tensors, path)
    facts = json.loads((tmp_path / "bundle.json").read_text(encoding="utf-8"))
    facts["model_sha256"] = sha256_of(path)
    facts.pop("facts_sha256")
    facts["facts_sha256"] = hash_facts(facts)
    (tmp_path / "bundle.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(BundleError, match="the weights don't fit the network"):
        load_bundle(tmp_path)


def test_facts_that_were_edited_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path) / "bundle.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"test_time": "none"', '"test_time": "mirror"'), encoding="utf-8")
    with pytest.raises(BundleError, match="was changed after it was written"):
        load_bundle(tmp_path)


def test_what_was_learnt_from_is_known_again_but_not_told(tmp_path: Path) -> None:
    facts = load_bundle(save(tmp_path)).facts
    assert facts.learnt_ids == {hash_id("007"), hash_id("scan")}
    assert facts.baseline_grades == (1.0, 0.0, 1.0, 1.0, 2.0, None)
    text = (tmp_path / "bundle.json").read_text(encoding="utf-8")
    assert "scan" not in text
    assert "NaN" not in text


def test_an_ensemble_of_unlike_preprocessing_is_refused(tmp_path: Path) -> None:
    folders = [save(tmp_path / "a"), save(tmp_path / "b", size=96)]
    with pytest.raises(BundleError, match=r"input_spec is .* an ensemble needs equal ones"):
        predictor_of(folders, device=CPU)
    folders = [save(tmp_path / "c"), save(tmp_path / "d", test_time="mirror")]
    with pytest.raises(BundleError, match=r"test_time is mirror, but .* has none"):
        predictor_of(folders, device=CPU)
    with pytest.raises(BundleError, match="no bundle is named"):
        Predictor([], device=CPU)
