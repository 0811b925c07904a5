"""The networks of a training: folds and members, their folders, seeds and means."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split import Split
from csi_predictor.training.run import mean_history, median_grades, plan_places, train_networks
from csi_predictor.training.stopping import BestWeights


def test_a_single_network_lives_in_the_runs_folder(tmp_path: Path) -> None:
    (place,) = plan_places(tmp_path, num_splits=1, ensemble_size=1, seed=7)
    assert (place.folder, place.seed, place.name) == (tmp_path, 7, "")


def test_each_fold_has_every_member_with_its_own_seed_and_folder(tmp_path: Path) -> None:
    places = plan_places(tmp_path, num_splits=2, ensemble_size=2, seed=7)
    assert [(p.split_index, p.seed) for p in places] == [(0, 7), (0, 8), (1, 7), (1, 8)]
    assert places[3].folder == tmp_path / "fold_2" / "member_2"
    assert places[3].name == "fold 2/2, member 2/2, "
    assert len({p.folder for p in places}) == 4


def test_the_baseline_is_the_median_grade_of_the_gradable_rows() -> None:
    nan = float("nan")
    targets = [(0.0, 1.0, nan), (1.0, nan, nan), (3.0, 2.0, nan)]
    rows = [Row(f"f{i}", f"p{i}", Path(f"{i}"), found) for i, found in enumerate(targets)]
    found = median_grades(rows)
    assert found[:2] == (1.0, 2.0)  # the median of 1 and 2 is 1.5, given as 2
    assert np.isnan(found[2])


def test_the_mean_history_goes_as_far_as_the_longest_fold() -> None:
    one = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]
    two = [{"epoch": 1, "loss": 2.0}]
    assert mean_history([one, two]) == [{"epoch": 1, "loss": 1.5}, {"epoch": 2, "loss": 0.5}]


class FadingLoop:
    """Gets worse after its second epoch, and is trained to the fourth all the same."""

    def __init__(self, seed: int) -> None:
        self.history = [{"epoch": float(epoch)} for epoch in range(1, 5)]
        self.best = BestWeights("val_loss", 0.0)
        self._model = nn.Linear(1, 1)
        self._seed = seed

    def run(self) -> dict[str, torch.Tensor]:
        for epoch, value in enumerate((0.5, 0.3, 0.4, 0.6), start=1):
            nn.init.constant_(self._model.weight, 10 * self._seed + epoch)
            self.best.offer(value, epoch, self._model)
        assert self.best.weights is not None
        return self.best.weights


def test_each_member_keeps_the_weights_of_its_own_best_epoch__weakness_001_10(
    tmp_path: Path,
) -> None:
    rows = tuple(Row(f"f{i}", f"p{i}", Path(f"{i}"), (0.0,)) for i in range(2))
    places = plan_places(tmp_path, num_splits=1, ensemble_size=3, seed=7)
    trained = train_networks(
        places,
        [Split(("f0",), ("f1",))],
        Manifest(rows),
        build_loop=lambda place, train, val: FadingLoop(place.seed),
    )
    assert [float(network.weights["weight"]) for network in trained] == [72, 82, 92]
    assert [network.best_epoch for network in trained] == [2, 2, 2]
