"""Damaged and mirrored images through the one predict path, with networks made by hand."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from csi_predictor.config import Config, load_config
from csi_predictor.data.cache import PixelStore, PreparedCache
from csi_predictor.data.corruptions import CORRUPTIONS
from csi_predictor.data.manifest import Row
from csi_predictor.errors import LabelsError
from csi_predictor.inference.bundle import load_bundle, save_bundle
from csi_predictor.inference.predictions import Predictions
from csi_predictor.inference.predictor import Predictor, open_predictor
from csi_predictor.models.create import create_model
from csi_predictor.specs import InputSpec
from csi_predictor.workflows import robustness
from csi_predictor.workflows.answers import predict
from csi_predictor.workflows.robustness import (
    ask_about_damaged,
    ask_about_mirrored,
    choose_images,
    corruption_examples,
)

Grade = Callable[[np.ndarray], np.ndarray]
Calibrated = Callable[[Any], Any]
Make = Callable[..., "Asked"]
KEYS = ["TRAINING.BATCH_SIZE=4", "EVALUATION.BOOTSTRAP=20"]
SHAPE = (36, 40)


def configure(*keys: str) -> Config:
    return load_config(None, [*KEYS, *keys], {})


class HandMade(nn.Module):
    """A network of zones whose grades follow from the zones' mean grey."""

    def __init__(self, grade: Grade, spec: InputSpec) -> None:
        super().__init__()
        self._grade = grade
        self._mean, self._std = spec.mean[0], spec.std[0]
        self.num_images = 0

    def forward(self, pixels: torch.Tensor) -> SimpleNamespace:
        grey = pixels[:, 0] * self._std + self._mean
        zones = grey.reshape(-1, 3, 12, 2, 20).mean(dim=(2, 4)).reshape(-1, 6)
        grades = torch.from_numpy(self._grade(zones.numpy()))
        self.num_images += len(grades)
        logits = torch.zeros(*grades.shape, 5)
        logits.scatter_(2, grades[..., None], math.log(37))  # 37 of 37 + 1 + 1 + 1 is 0.925
        logits[..., 4] = -20  # never ungradable
        return SimpleNamespace(logits=logits)


def looks(zones: np.ndarray) -> np.ndarray:
    """Each zone by what is seen there."""
    return np.clip(np.floor(4 * zones + 1e-5), 0, 3).astype(np.int64)


def sits(zones: np.ndarray) -> np.ndarray:
    """What usually is in each place, one grade less in a dark image."""
    is_dark = zones.mean(axis=1, keepdims=True) < 0.5
    return np.clip(np.array([3, 1, 2, 0, 3, 1]) - is_dark, 0, 3).astype(np.int64)


def means_alike(zones: np.ndarray) -> np.ndarray:
    """Both sides of each level by their mean."""
    return looks(np.repeat(zones.reshape(-1, 3, 2).mean(axis=2), 2, axis=1))


def as_they_are(answers: Any) -> Any:
    return answers


class Asked:
    """A predictor of a hand-made network and its answers about some rows."""

    def __init__(self, folder: Path, grade: Grade, *keys: str, test_time: str = "none") -> None:
        torch.manual_seed(0)
        frame = create_model("custom1", image_size=SHAPE, head="softmax")
        self.config = configure(*keys)
        self.network = HandMade(grade, frame.spec.input_spec)
        self.predictor = Predictor(
            [load_bundle(save(folder, frame, test_time))],
            device=torch.device("cpu"),
            networks=[self.network],
        )
        spec = self.predictor.input_spec
        self.cache = PreparedCache("memory", folder, spec, prepare=draw)

    def robustness(self, rows: list[Row], calibrated: Calibrated = as_they_are) -> dict:
        def ask(chosen: Sequence[Row], store: PixelStore) -> Any:
            return calibrated(predict(self.config, self.predictor, chosen, store))

        return ask_about_damaged(self.config, ask, rows, self.cache, calibrated(self.answers(rows)))

    def laterality(self) -> dict:
        def ask(chosen: Sequence[Row], store: PixelStore) -> Any:
            return predict(self.config, self.predictor, chosen, store)

        rows = make_rows(20)
        return ask_about_mirrored(
            self.config,
            ask,
            rows,
            self.cache,
            self.answers(rows),
            is_by_construction=self.predictor.bundles[0].facts.test_time == "mirror",
        )

    def answers(self, rows: list[Row]) -> Any:
        return predict(self.config, self.predictor, rows, self.cache)


def save(folder: Path, network: Any, test_time: str = "none") -> Path:
    save_bundle(
        folder,
        [network.state_dict()],
        spec=network.spec,
        test_time=test_time,
        baseline_grades=(1.0,) * 6,
        learnt_ids=(),
        training={},
        config_ini="",
    )
    return folder


def draw(path: Path, spec: InputSpec) -> SimpleNamespace:
    """Zones of one shade each, laid out as in a frontal image."""
    shades = np.random.default_rng(int(path.name)).random((3, 2))
    return SimpleNamespace(pixels=np.kron(shades, np.ones((12, 20))).astype(np.float32))


def make_rows(count: int) -> list[Row]:
    shades = [np.random.default_rng(n).random(6) for n in range(count)]
    return [
        Row(f"{n}", f"P{n}", Path(f"{n}"), tuple(map(float, looks(shades[n]))))
        for n in range(count)
    ]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def call(grade: Grade, *keys: str, **settings: str) -> Asked:
        return Asked(tmp_path, grade, *keys, **settings)

    return call


def test_a_network_that_looks_at_the_image_swaps(make: Make) -> None:
    block = make(looks).laterality()
    assert block["swaps"] is True
    assert (block["share_following"], block["difference_to_swapped"]) == (1, pytest.approx(0))
    assert block["n_images"] == block["n_images_evaluated"] == 20


def test_a_network_that_answers_by_position_is_caught(make: Make) -> None:
    block = make(sits).laterality()
    assert block["swaps"] is False
    assert (block["share_following"], block["difference_to_unswapped"]) == (0, pytest.approx(0))
    assert "its sides can't be trusted" in block["sentence"]


def test_a_network_that_gives_both_sides_one_grade_tells_nothing(make: Make) -> None:
    assert make(means_alike).laterality()["swaps"] is None


def test_a_swap_by_averaging_is_said_to_be_so(make: Make) -> None:
    block = make(looks, test_time="mirror").laterality()
    assert (block["swaps"], block["is_by_construction"]) == (True, True)
    assert "by construction" in block["sentence"]


def test_a_position_that_averaging_hides_is_not_called_a_swap(make: Make) -> None:
    assert make(sits, test_time="mirror").laterality()["swaps"] is None


def test_sides_are_asked_for_of_zones_alone(make: Make) -> None:
    asked, rows = make(looks), make_rows(3)
    with pytest.raises(AssertionError, match="asked for only of zones, which have sides"):
        ask_about_mirrored(
            asked.config,
            lambda *_: "labels",  # type: ignore[arg-type,return-value]
            rows,
            asked.cache,
            asked.answers(rows),
            is_by_construction=False,
        )


def test_each_corruption_is_measured_at_five_severities(make: Make) -> None:
    asked, rows = make(looks, "EVALUATION.CORRUPTIONS=noise,brightness"), make_rows(12)
    block = asked.robustness(rows)
    assert asked.network.num_images == 12 + 2 * 5 * 12
    assert (block["n_images"], block["n_images_evaluated"], block["main"]) == (12, 12, "zone_qwk")
    assert list(block["corruptions"]) == ["noise", "brightness"]
    assert block["clean"]["zone_qwk"] == pytest.approx(1)
    # these grades follow the mean grey, which brightness moves and noise hardly
    assert block["worst"] == "brightness"
    severities = block["corruptions"]["brightness"]["severities"]
    changed = [each["share_answers_changed"] for each in severities]
    assert changed[0] < changed[-1]
    assert changed[-1] > 0.5 > block["corruptions"]["noise"]["severities"][0]["zone_mae"]
    assert block["bootstrap"]["rounds"] == 20
    assert asked.robustness(rows) == block


def test_clean_and_damaged_answers_are_calibrated_alike(make: Make) -> None:
    def unsure(answers: Any) -> Predictions:
        return answers.calibrated(0.5 * answers.grade_probs + 0.125)

    block = make(looks, "EVALUATION.CORRUPTIONS=contrast").robustness(make_rows(6), unsure)
    every = [block["clean"], *block["corruptions"]["contrast"]["severities"]]
    # by hand: 0.925 becomes 0.5875
    assert [each["mean_confidence"] for each in every] == pytest.approx([0.5875] * 6)


def test_of_many_images_some_are_drawn_by_the_seed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robustness, "MOST_IMAGES", 5)
    rows = make_rows(9)
    rows[0] = replace(rows[0], targets=(float("nan"),) * 6)
    asked = make(looks, "EVALUATION.CORRUPTIONS=noise")
    block = asked.robustness(rows)
    assert (block["n_images"], block["n_images_evaluated"]) == (5, 9)
    answers = asked.answers(rows)
    chosen = [tuple(choose_images(answers, seed=seed)) for seed in (1, 1, 2, 3)]
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) > 1
    for index in chosen:
        assert list(index) == sorted(set(index) - {0})
        assert len(index) == 5


def test_images_without_any_known_answer_are_refused(make: Make) -> None:
    rows = [replace(row, targets=(float("nan"),) * 6) for row in make_rows(3)]
    with pytest.raises(LabelsError, match="robustness: 3 images and no known answer among them"):
        make(looks, "EVALUATION.CORRUPTIONS=noise").robustness(rows)


@pytest.mark.parametrize(
    ("main", "model"),
    [
        ("auroc_macro", {"labels": ("a", "b")}),
        ("accuracy", {"labels": ("x", "y", "z"), "task": "multiclass"}),
        ("zone_qwk", {}),
    ],
)
def test_a_real_network_of_each_task_is_measured(
    tmp_path: Path, main: str, model: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = create_model("custom1", image_size=32, **model)
    bundle = load_bundle(save(tmp_path, network))
    predictor = open_predictor([bundle], device=torch.device("cpu"))
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (6, predictor.target_spec.num_targets)).astype(float)
    rows = [Row(f"{n}", f"P{n}", Path(f"{n}"), tuple(truth[n])) for n in range(6)]

    def grain(path: Path, spec: Any) -> SimpleNamespace:
        pixels = np.random.default_rng(int(path.name)).random(spec.size, dtype=np.float32)
        return SimpleNamespace(pixels=pixels)

    cache = PreparedCache("none", tmp_path, predictor.input_spec, prepare=grain)
    config = configure("EVALUATION.CORRUPTIONS=blur,jpeg")

    def ask(chosen: Sequence[Row], store: PixelStore) -> Any:
        return predict(config, predictor, chosen, store)

    block = ask_about_damaged(config, ask, rows, cache, ask(rows, cache))
    assert block["main"] == main
    severities = block["corruptions"]["blur"]["severities"]
    assert len({each["mean_confidence"] for each in severities}) == 5


def test_examples_are_shown_only_where_pictures_are_wanted(make: Make) -> None:
    cache, rows = make(looks).cache, make_rows(1)
    every = corruption_examples(configure("EVALUATION.CORRUPTIONS=all"), rows, cache)
    assert list(every) == ["As it is", *(each.title for each in CORRUPTIONS.values())]
    assert all(pixels.shape == SHAPE for pixels in every.values())
    np.testing.assert_array_equal(every["As it is"], cache.get(rows[0]))
    hidden = configure("EVALUATION.CORRUPTIONS=all", "EVALUATION.NUM_THUMBNAILS=0")
    assert corruption_examples(hidden, rows, cache) == {}
    assert corruption_examples(configure(), rows, cache) == {}


def test_the_example_of_a_volume_is_its_middle_slice(tmp_path: Path) -> None:
    spec = InputSpec(size=(5, 8, 8), channels=1, mean=(0.0,), std=(1.0,))

    def layers(path: Path, spec: Any) -> SimpleNamespace:
        pixels = np.broadcast_to(np.linspace(0, 1, 5)[:, None, None], (5, 8, 8))
        return SimpleNamespace(pixels=pixels.astype(np.float32))

    cache = PreparedCache("none", tmp_path, spec, prepare=layers)
    found = corruption_examples(configure("EVALUATION.CORRUPTIONS=contrast"), make_rows(1), cache)
    np.testing.assert_allclose(found["As it is"], np.full((8, 8), 0.5))
    assert found["Contrast"].shape == (8, 8)
