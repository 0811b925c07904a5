"""[EVALUATION] SUBGROUPS: whom the evaluated images are of."""

from collections.abc import Sequence

from csi_predictor.config import Config
from csi_predictor.data.build import build_attributes
from csi_predictor.data.manifest import Row
from csi_predictor.evaluation.figures import Block
from csi_predictor.evaluation.subgroups import subgroups_block
from csi_predictor.uncertainty.trust import Answers


def check_subgroups(config: Config, rows: Sequence[Row]) -> None:
    """Read them before any work starts.

    Raises:
        ConfigError: AGE_BANDS don't rise.
        LabelsError: A subgroup is neither a column nor a DICOM tag, or makes no groups.
    """
    if config.evaluation.subgroups:
        build_attributes(config, rows)


def measure_subgroups(config: Config, predictions: Answers, rows: Sequence[Row]) -> Block | None:
    """The figures of each subgroup; None where none is asked for."""
    if not config.evaluation.subgroups:
        return None
    return subgroups_block(
        predictions,
        build_attributes(config, rows),
        rounds=config.evaluation.bootstrap,
        seed=config.runtime.seed,
    )
