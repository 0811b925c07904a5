"""Progress in plain lines where there is no terminal."""

from collections.abc import Iterator

import pytest
from loguru import logger

from csi_predictor import progress
from csi_predictor.progress import Progress, track


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Log lines, one for each step."""
    monkeypatch.setattr(progress, "_LINE_INTERVAL_S", 0.0)
    monkeypatch.setattr(progress, "_terminal_bar", lambda: None)
    found: list[str] = []
    sink = logger.add(found.append, format="{message}")
    yield found
    logger.remove(sink)


def test_a_line_says_what_how_much_how_fast_and_how_long(lines: list[str]) -> None:
    with Progress("epoch 1/2", 10, done=4) as shown:
        shown.advance(2, "loss 0.5")
    assert lines[0].startswith("epoch 1/2: 6/10 images, loss 0.5, ")
    assert "images/s, " in lines[0]
    assert lines[0].endswith(" s left\n")


def test_tracking_gives_the_items_themselves(lines: list[str]) -> None:
    assert list(track([3, 1, 2], "reading", 3, unit="files")) == [3, 1, 2]
    assert lines[-1].startswith("reading: 3/3 files, ")
