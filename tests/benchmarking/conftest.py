from pathlib import Path

import pytest

from csi_predictor.benchmarking.plan import NetworkPlan, Settings

__all__ = ["plan", "settings"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        device="cpu",
        num_threads=1,
        seed=0,
        deterministic=False,
        runs=2,
        train=False,
        timeout_s=60.0,
        log_path=tmp_path / "engines.txt",
    )


@pytest.fixture
def plan() -> NetworkPlan:
    """The small network at its smallest size."""
    return NetworkPlan(name="custom1", image_size=32, batch_size=2, engines=("eager", "openvino"))
