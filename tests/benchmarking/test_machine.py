"""What the figures were measured on."""

from importlib.metadata import version

from csi_predictor.benchmarking.machine import describe_machine
from csi_predictor.benchmarking.plan import Settings


def test_threads_rounds_and_versions_are_named(settings: Settings) -> None:
    facts = describe_machine(settings)
    assert facts["Threads of each engine"] == "1"
    assert facts["Rounds"] == "2"
    assert f"openvino {version('openvino')}" in facts["Software"]
    assert facts["Processor"]
    assert int(facts["Cores that may be used"]) >= 1
    assert "GPU" not in facts
