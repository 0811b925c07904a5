"""Progress for people: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from loguru import logger
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

Item = TypeVar("Item")
_LINE_INTERVAL_S = 5.0


class Progress:
    """Counts units of work and shows rate, time left and figures such as the loss.

    Use as a context manager; `advance` may be called from one thread only.

    Args:
        description: What is done, e.g. `epoch 3/30`.
        total: Units in all.
        unit: Plural name of a unit, e.g. `images`.
        done: Units already done before (after a resume); not counted in the rate.
    """

    def __init__(
        self, description: str, total: int, *, unit: str = "images", done: int = 0
    ) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self._done = done
        self._done_before = done
        self._started_s = self._last_line_s = time.monotonic()
        self._bar = _terminal_bar()
        self._task: TaskID | None = None

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self.description, total=self.total, completed=self._done, figures=""
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1, figures: str = "") -> None:
        """Book `count` units done; `figures` is free text, e.g. `loss 0.512`."""
        self._done += count
        if self._bar is not None and self._task is not None:
            shown = f"{figures}  {self._rate():.1f} {self.unit}/s"
            self._bar.update(self._task, completed=self._done, figures=shown)
        elif time.monotonic() - self._last_line_s >= _LINE_INTERVAL_S:
            self._last_line_s = time.monotonic()
            logger.info(self._line(figures))

    def _rate(self) -> float:
        seconds = max(time.monotonic() - self._started_s, 1e-9)
        return (self._done - self._done_before) / seconds

    def _line(self, figures: str) -> str:
        left_s = (self.total - self._done) / max(self._rate(), 1e-9)
        parts = (f"{self.description}: {self._done}/{self.total} {self.unit}", figures)
        text = ", ".join(part for part in parts if part)
        return f"{text}, {self._rate():.1f} {self.unit}/s, {left_s:.0f} s left"


def track(
    items: Iterable[Item], description: str, total: int, unit: str = "images"
) -> Iterator[Item]:
    """The items themselves, with progress shown as they are used."""
    with Progress(description, total, unit=unit) as progress:
        for item in items:
            yield item
            progress.advance()


def _terminal_bar() -> RichProgress | None:
    if not sys.stderr.isatty():
        return None
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
