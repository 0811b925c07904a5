"""One thread a test, for tiny tensors lose more to waiting threads than they gain; and the log."""

from collections.abc import Iterator

import pytest
import torch
from loguru import logger


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What is logged during the test, without times and levels."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)
