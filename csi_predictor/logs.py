"""Where log lines go: the console and `log.txt` of the run's folder.

Lines of `logger.bind(file_only=True)` go to the file alone.
"""

import sys
from pathlib import Path

from loguru import logger

_CONSOLE = "<level>{level: <7}</level> {message}"
_FILE = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <7} {name}:{line} {message}"


def start_console_log(level: str) -> None:
    """Replace all sinks by the console (stderr)."""
    logger.remove()
    # diagnose writes variables' values into tracebacks: they can hold patient data
    logger.add(
        sys.stderr,
        level=level,
        format=_CONSOLE,
        filter=lambda record: not record["extra"].get("file_only"),
        backtrace=False,
        diagnose=False,
    )


def add_log_file(run_dir: Path, level: str) -> int:
    """Append to `run_dir/log.txt` from now on; returns the sink's id for `close_log_file`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    return logger.add(
        run_dir / "log.txt",
        level=level,
        format=_FILE,
        encoding="utf-8",
        backtrace=False,
        diagnose=False,
    )


def close_log_file(sink_id: int) -> None:
    """Flush and close a sink of `add_log_file`."""
    logger.remove(sink_id)
