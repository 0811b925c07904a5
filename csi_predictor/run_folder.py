"""The folder of one run: found or made, locked against a second process, with log and INI."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from loguru import logger

from csi_predictor.config import Config, load_config, render_ini
from csi_predictor.errors import ConfigError, CsiError
from csi_predictor.files import write_text
from csi_predictor.logs import add_log_file, close_log_file

STATE = "state"
INI = "config.ini"
_FINISHED = "finished"
_RESUMABLE_SECTIONS = ("model", "data", "augmentation", "training")
_RESUMABLE_RUNTIME = ("seed", "precision", "deterministic")
_FREE_KEYS = {"resume", "checkpoint_minutes", "tensorboard", "cache", "cache_dir"}


@contextmanager
def open_run(config: Config, mode: str) -> Iterator[Path]:
    """The run's folder, while this process alone may write to it.

    Raises:
        ConfigError: Another process works there, or it holds a training with other settings.
    """
    run_dir = _choose(config, mode)
    _make(run_dir / STATE if mode == "train" else run_dir)
    lock = FileLock(run_dir / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"{run_dir}: another process works in this folder: wait for it, or choose another "
            "[RUNTIME] RUN_DIR"
        ) from error
    sink = add_log_file(run_dir, config.runtime.log_level)
    try:
        logger.info("{} in {}", mode, run_dir)
        _write_ini(config, mode, run_dir)
        yield run_dir
    except (CsiError, KeyboardInterrupt) as error:
        logger.bind(file_only=True).error("{}", error or "interrupted")
        raise
    finally:
        close_log_file(sink)
        lock.release()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: can't be made ({error.strerror}): set [RUNTIME] RUNS_DIR or RUN_DIR to a "
            "folder that this account may write to"
        ) from error


def mark_finished(run_dir: Path) -> None:
    """Note that a training needs no resuming."""
    write_text(run_dir / STATE / _FINISHED, "finished\n")


def _choose(config: Config, mode: str) -> Path:
    resume = config.training.resume
    if mode != "train":
        return config.runtime.run_dir or _new_folder(config, mode)
    if isinstance(resume, Path):
        if not (resume / STATE).is_dir():
            raise ConfigError(
                f"[TRAINING] RESUME = {resume}: holds no folder {STATE}: expected the folder of an "
                "interrupted training, auto or never"
            )
        _check_same(config, resume)
        return resume
    if config.runtime.run_dir is not None:
        return _explicit(config, config.runtime.run_dir)
    unfinished = _find_unfinished(config) if resume == "auto" else None
    if unfinished is not None:
        logger.info("Found an interrupted training with this INI; going on with it")
    return unfinished or _new_folder(config, mode)


def _explicit(config: Config, run_dir: Path) -> Path:
    if (run_dir / STATE).is_dir():
        if config.training.resume == "never":
            for folder in run_dir.rglob(STATE):
                shutil.rmtree(folder)
        else:
            _check_same(config, run_dir)
    return run_dir


def _new_folder(config: Config, mode: str) -> Path:
    name = config.model.model_arch.replace("/", "-")
    stem = f"{datetime.now():%Y%m%d-%H%M%S}_{mode}_{name}"
    candidates = [config.runtime.runs_dir / stem] + [
        config.runtime.runs_dir / f"{stem}_{count}" for count in range(2, 1000)
    ]
    return next(path for path in candidates if not path.exists())


def _find_unfinished(config: Config) -> Path | None:
    """The newest interrupted training of this very configuration."""
    text = _portable_ini(config)
    for path in sorted(config.runtime.runs_dir.glob(f"*_train_*/{STATE}"), reverse=True):
        ini = path.parent / INI
        is_open = not (path / _FINISHED).exists() and ini.is_file()
        if is_open and ini.read_text(encoding="utf-8") == text and _is_unlocked(path.parent):
            return path.parent
    return None


def _is_unlocked(run_dir: Path) -> bool:
    try:
        with FileLock(run_dir / ".lock", timeout=0):
            return True
    except Timeout:
        return False


def _check_same(config: Config, run_dir: Path) -> None:
    """Refuse to go on with a training whose settings were others."""
    if not (run_dir / INI).is_file():
        return
    before = load_config(run_dir / INI, environment={})
    problems = [
        f"[{section.upper()}] {name.upper()}: {new}, but {run_dir / INI} was started with {old}: "
        "set it back, choose another RUN_DIR, or [TRAINING] RESUME = never to start anew"
        for section, name, old, new in _differences(before, config)
    ]
    if problems:
        raise ConfigError(problems)


def _differences(before: Config, now: Config) -> Iterator[tuple[str, str, object, object]]:
    for section in ("runtime", *_RESUMABLE_SECTIONS):
        old_section, new_section = getattr(before, section), getattr(now, section)
        names = _RESUMABLE_RUNTIME if section == "runtime" else type(old_section).model_fields
        for name in names:
            old, new = getattr(old_section, name), getattr(new_section, name)
            if old != new and name not in _FREE_KEYS:
                yield section, name, old, new


def _portable_ini(config: Config) -> str:
    """The resolved INI, free of this run's folder, so that running it again makes a new run."""
    runtime = config.runtime.model_copy(update={"run_dir": None})
    training = config.training.model_copy(update={"resume": "auto"})
    return render_ini(config.model_copy(update={"runtime": runtime, "training": training}))


def _write_ini(config: Config, mode: str, run_dir: Path) -> None:
    is_guest = mode != "train" and (run_dir / STATE).is_dir()
    write_text(run_dir / (f"{mode}.ini" if is_guest else INI), _portable_ini(config))
