"""The folder of a run: found again after an interrupt, never shared, never mixed."""

from pathlib import Path

import pytest
from filelock import FileLock

from csi_predictor.config import Config, load_config
from csi_predictor.errors import ConfigError, InterruptedRunError
from csi_predictor.run_folder import mark_finished, open_run


def configure(tmp_path: Path, *overrides: str) -> Config:
    return load_config(None, [f"RUNTIME.RUNS_DIR={tmp_path / 'runs'}", *overrides], {})


def interrupt(config: Config) -> Path:
    """A training that stopped after it had saved a state."""
    try:
        with open_run(config, "train") as run_dir:
            assert (run_dir / "state").is_dir()
            raise InterruptedRunError("stopped")
    except InterruptedRunError:
        return run_dir


def test_a_run_gets_its_own_folder_with_log_and_resolved_ini(tmp_path: Path) -> None:
    config = configure(tmp_path, "TRAINING.N_EPOCHS=3")
    with open_run(config, "train") as run_dir:
        pass
    assert run_dir.parent == tmp_path / "runs"
    assert run_dir.name.endswith("_train_custom1")
    assert load_config(run_dir / "config.ini", environment={}) == config
    assert "train in" in (run_dir / "log.txt").read_text(encoding="utf-8")


def test_an_interrupted_training_with_the_same_ini_is_found_again(tmp_path: Path) -> None:
    config = configure(tmp_path)
    first = interrupt(config)
    with open_run(config, "train") as run_dir:
        assert run_dir == first
        mark_finished(run_dir)
    with open_run(config, "train") as run_dir:
        assert run_dir != first


def test_another_ini_never_or_another_mode_starts_a_new_folder(tmp_path: Path) -> None:
    first = interrupt(configure(tmp_path))
    for overrides in (["TRAINING.N_EPOCHS=3"], ["TRAINING.RESUME=never"]):
        with open_run(configure(tmp_path, *overrides), "train") as run_dir:
            assert run_dir != first
    with open_run(configure(tmp_path), "evaluate") as run_dir:
        assert run_dir != first


def test_an_explicit_folder_refuses_other_settings(tmp_path: Path) -> None:
    folder = f"RUNTIME.RUN_DIR={tmp_path / 'mine'}"
    interrupt(configure(tmp_path, folder))
    changed = configure(tmp_path, folder, "TRAINING.LEARNING_RATE=0.5", "RUNTIME.SEED=1")
    with pytest.raises(ConfigError) as caught, open_run(changed, "train"):
        pass
    assert len(caught.value.problems) == 2
    assert "[RUNTIME] SEED: 1, but " in caught.value.problems[0]
    assert "RESUME = never to start anew" in caught.value.problems[1]
    with open_run(configure(tmp_path, folder, "EVALUATION.BOOTSTRAP=5"), "train") as run_dir:
        assert (run_dir / "state").is_dir()


def test_never_drops_the_old_state_of_an_explicit_folder(tmp_path: Path) -> None:
    folder = f"RUNTIME.RUN_DIR={tmp_path / 'mine'}"
    run_dir = interrupt(configure(tmp_path, folder))
    (run_dir / "state" / "checkpoint.pt").touch()
    (run_dir / "fold_1" / "state").mkdir(parents=True)
    with open_run(configure(tmp_path, folder, "TRAINING.RESUME=never"), "train"):
        assert not list((run_dir / "state").iterdir())
        assert not (run_dir / "fold_1" / "state").exists()


def test_resume_takes_the_folder_of_a_training(tmp_path: Path) -> None:
    first = interrupt(configure(tmp_path))
    with open_run(configure(tmp_path, f"TRAINING.RESUME={first}"), "train") as run_dir:
        assert run_dir == first
    wrong = configure(tmp_path, f"TRAINING.RESUME={tmp_path}")
    with pytest.raises(ConfigError, match="holds no folder state"), open_run(wrong, "train"):
        pass


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    config = configure(tmp_path, f"RUNTIME.RUN_DIR={tmp_path / 'mine'}")
    (tmp_path / "mine").mkdir()
    with (
        FileLock(tmp_path / "mine" / ".lock"),
        pytest.raises(ConfigError, match="another process works in this folder"),
        open_run(config, "train"),
    ):
        pass


def test_an_error_stands_in_the_log(tmp_path: Path) -> None:
    run_dir = interrupt(configure(tmp_path))
    assert "ERROR" in (run_dir / "log.txt").read_text(encoding="utf-8")


def test_a_guest_mode_does_not_overwrite_the_ini_of_a_training(tmp_path: Path) -> None:
    folder = f"RUNTIME.RUN_DIR={tmp_path / 'mine'}"
    interrupt(configure(tmp_path, folder))
    with open_run(configure(tmp_path, folder, "TRAINING.N_EPOCHS=9"), "score") as run_dir:
        assert "N_EPOCHS = 9" in (run_dir / "score.ini").read_text(encoding="utf-8")
        assert "N_EPOCHS = 9" not in (run_dir / "config.ini").read_text(encoding="utf-8")
