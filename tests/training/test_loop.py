"""The loop: epochs, the best weights, stopping, and resuming to equal bits."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from loguru import logger
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.errors import InterruptedRunError, TrainingError
from csi_predictor.runtime import Compute
from csi_predictor.training.fine_tuning import FineTuning
from csi_predictor.training.learner import Learner
from csi_predictor.training.loop import Figures, Loop
from csi_predictor.training.order import EpochBatches
from csi_predictor.training.schedule import Schedule
from csi_predictor.training.state import StateStore
from csi_predictor.training.stopping import BestWeights

NUM_ROWS = 23
N_EPOCHS = 4


@dataclass
class Output:
    logits: Tensor


class NoisyModel(nn.Module):
    """Dropout and BatchNorm, so that a resume must restore generators and statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 2)

    def forward(self, pixels: Tensor) -> Output:
        return Output(self.head(self.body(pixels)))

    def stages(self) -> tuple[tuple[str, nn.Module], ...]:
        return (("body", self.body), ("head", self.head))

    def freeze_stages(self, names: object) -> None:
        pass


@dataclass
class Batch:
    pixels: Tensor
    targets: Tensor
    indices: Tensor


@dataclass
class Loader:
    """Fixed rows in the sampler's order; may wait or act before each batch."""

    sampler: EpochBatches
    before: object = None

    def __iter__(self):  # type: ignore[no-untyped-def]
        generator = torch.Generator().manual_seed(9)
        pixels = torch.randn(NUM_ROWS, 6, generator=generator)
        targets = torch.randn(NUM_ROWS, 2, generator=generator)
        for keys in self.sampler:
            if callable(self.before):
                self.before()
            rows = torch.tensor([row for _, row in keys])
            yield Batch(pixels[rows], targets[rows], rows)


def make_loop(
    folder: Path,
    *,
    figures: list[float] | None = None,
    before: object = None,
    interval_s: float = 1e9,
    patience: int = 0,
    n_epochs: int = N_EPOCHS,
) -> Loop:
    torch.manual_seed(3)
    model = NoisyModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    sampler = EpochBatches(NUM_ROWS, batch_size=4, seed=3)
    schedule = Schedule(optimizer, total_steps=N_EPOCHS * 3, warmup_steps=2, shape="cosine")
    fine_tuning = FineTuning("full")
    values = iter(figures) if figures is not None else None
    learner = Learner(
        model,
        F.mse_loss,
        optimizer=optimizer,
        schedule=schedule,
        compute=Compute(torch.device("cpu"), torch.float32),
        gradient_clip=1.0,
        ema_decay=0.9,
    )
    return Loop(
        learner=learner,
        loader=Loader(sampler, before),
        sampler=sampler,
        file_ids=tuple(f"image{row}" for row in range(NUM_ROWS)),
        start_epoch=lambda epoch: fine_tuning.start_epoch(model, epoch),
        validate=None if values is None else lambda _: {"val_loss": next(values)},
        best=BestWeights("val_loss", min_delta=0.0),
        store=StateStore(folder, interval_s=interval_s),
        n_epochs=n_epochs,
        accumulation_steps=2,
        patience=patience,
    )


def assert_equal_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_run_without_validation_keeps_the_last_averaged_weights(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    weights = loop.run()
    assert_equal_bits(dict(weights), loop.learner.evaluated_model.state_dict())
    assert [row["epoch"] for row in loop.history] == [1, 2, 3, 4]
    assert {"train_loss", "learning_rate", "images_per_s"} <= loop.history[0].keys()


def test_the_best_epochs_weights_are_kept_not_the_last__weakness_10(tmp_path: Path) -> None:
    two_epochs = make_loop(tmp_path / "a", figures=[3.0, 1.0], n_epochs=2)
    expected = two_epochs.run()
    four_epochs = make_loop(tmp_path / "b", figures=[3.0, 1.0, 2.0, 2.0])
    found = four_epochs.run()
    assert four_epochs.best.epoch == 2
    assert_equal_bits(dict(found), dict(expected))


def test_patience_counts_epochs_since_the_best(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, figures=[1.0, 2.0, 2.0, 0.0], patience=2)
    loop.run()
    assert len(loop.history) == 3


def test_ctrl_c_in_mid_epoch_saves_and_the_next_run_ends_at_equal_bits(tmp_path: Path) -> None:
    expected = make_loop(tmp_path / "whole").run()
    calls = []

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 9:  # second epoch, third batch: in the middle of an accumulation
            signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "stopped"
    with pytest.raises(InterruptedRunError, match="run the same command again to go on"):
        make_loop(folder, before=interrupt).run()
    resumed = make_loop(folder)
    found = resumed.run()
    assert_equal_bits(dict(found), dict(expected))
    assert len(resumed.history) == N_EPOCHS


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    expected = make_loop(tmp_path).run()
    again = make_loop(tmp_path, before=lambda: pytest.fail("a batch was read"))
    assert_equal_bits(dict(again.run()), dict(expected))


SCRIPT = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from test_loop import make_loop
make_loop(Path(sys.argv[2]), before=lambda: time.sleep(0.2), interval_s=0.1).run()
"""


def test_kill_9_in_mid_epoch_resumes_to_equal_bits(tmp_path: Path) -> None:
    expected = make_loop(tmp_path / "whole").run()
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(folder)],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    checkpoint = folder / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)  # some more batches, and perhaps checkpoints, of the unfinished training
    process.kill()
    process.wait()
    state = StateStore(folder, interval_s=1).load()
    assert state is not None
    assert not state["position"]["is_finished"]
    assert_equal_bits(dict(make_loop(folder).run()), dict(expected))


def test_another_number_of_threads_is_warned_of(tmp_path: Path) -> None:
    make_loop(tmp_path, n_epochs=1).run()
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "num_threads": 64}, path)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    make_loop(tmp_path, n_epochs=1).run()
    logger.remove(sink)
    assert any("began with 64 threads and goes on with 1: equal to rounding" in s for s in lines)


def test_a_loss_that_is_not_finite_names_the_files(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    with torch.no_grad():
        loop.learner.model.head.weight[0, 0] = float("nan")  # type: ignore[union-attr,index,operator]
    text = r"epoch 1, batch 1: the loss is not a finite number; its images: image\d+, image\d+"
    with pytest.raises(TrainingError, match=text):
        loop.run()


def test_a_damaged_state_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match="not a readable training state: delete it, or set"):
        make_loop(tmp_path).run()


def test_the_history_is_told_after_each_epoch(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, figures=[1.0, 0.5, 0.4, 0.3])
    told: list[Figures] = []
    loop.on_epoch = lambda history: told.append(dict(history[-1]))
    loop.run()
    assert [row["val_loss"] for row in told] == [1.0, 0.5, 0.4, 0.3]


def test_an_undefined_figure_stops_nothing_and_is_warned_of_once(tmp_path: Path) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}", level="WARNING")
    loop = make_loop(tmp_path, figures=[float("nan")] * 4, patience=1)
    loop.run()
    logger.remove(sink)
    assert len(loop.history) == 4
    text = "val_loss is undefined on the validation rows"
    assert sum(text in line for line in lines) == 1
