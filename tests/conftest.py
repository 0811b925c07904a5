"""Fixtures that several rooms' tests share."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs beside the project; the test skips where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the shared real data isn't beside the project")
    return folder


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of real ImageNet weights beside the project; the test skips where it is absent."""
    folder = SHARED / "weights"
    if not folder.is_dir():
        pytest.skip("the shared weights aren't beside the project")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """One torch thread a test process: more would wait for each other on busy cores."""
    torch.set_num_threads(1)
