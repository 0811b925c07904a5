"""[EVALUATION] COMPARE_MODEL: another bundle, or ensemble, on the same images."""

from collections.abc import Sequence

import torch

from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.errors import ConfigError
from csi_predictor.evaluation.figures import Block
from csi_predictor.evaluation.versus import versus_block
from csi_predictor.inference.bundle import hash_id, load_bundle
from csi_predictor.inference.predictor import LabelPredictor, Predictor, open_predictor
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.specs import TargetSpec
from csi_predictor.uncertainty.trust import Answers
from csi_predictor.uncertainty.trust_file import read_trust
from csi_predictor.workflows.answers import predict
from csi_predictor.workflows.examination import Examined, judge
from csi_predictor.workflows.images import prepare_images
from csi_predictor.workflows.trust import dropout_for


def open_other(config: Config, targets: TargetSpec, device: torch.device) -> Examined | None:
    """The predictor of COMPARE_MODEL with its own trust; None where there is none.

    Raises:
        BundleError: A bundle can't be loaded.
        ConfigError: It answers something else.
    """
    folders = config.evaluation.compare_model
    if not folders:
        return None
    bundles = [load_bundle(folder) for folder in folders]
    trust = read_trust(bundles[0]) if len(bundles) == 1 else None
    passes = 0 if trust is None else trust.settings.dropout_passes
    other = open_predictor(bundles, device=device, dropout=dropout_for(passes))
    found = other.target_spec
    if (found.task, found.names) != (targets.task, targets.names):
        raise ConfigError(
            f"[EVALUATION] COMPARE_MODEL: {other.facts.model_id} answers {found.task}: "
            f"{', '.join(found.names)}: expected {targets.task}: {', '.join(targets.names)}"
        )
    return Examined(other, (), trust)


def check_other_unseen(config: Config, rows: Sequence[Row], other: Examined | None) -> None:
    """Refuse images that the other model has learnt from: the comparison would flatter it.

    Raises:
        ConfigError: It has learnt from some.
    """
    if other is None:
        return
    bundles = other.predictor.bundles
    learnt = frozenset[str]().union(*(bundle.facts.learnt_ids for bundle in bundles))
    count = sum(hash_id(row.file_id) in learnt for row in rows)
    if count:
        raise ConfigError(
            f"[EVALUATION] COMPARE_MODEL: {other.predictor.facts.model_id} has learnt from {count} "
            f"of the {len(rows)} images: expected images that neither model has seen: train both "
            "with the same [DATA] SPLIT_FILE"
        )


def measure_other(
    config: Config, other: Examined | None, predictions: Answers, rows: Sequence[Row]
) -> Block | None:
    """Both models on the rows; None without COMPARE_MODEL."""
    if other is None:
        return None
    predictor: Predictor | LabelPredictor = other.predictor
    store: PixelStore = prepare_images(config, rows, predictor.input_spec)
    answers = judge(config, other, predict(config, predictor, rows, store)).after
    resampling = resample_patients(
        predictions.patient_ids, rounds=config.evaluation.bootstrap, seed=config.runtime.seed
    )
    block = versus_block(predictions, answers, resampling)
    return {"other": predictor.facts.model_id, **block}
