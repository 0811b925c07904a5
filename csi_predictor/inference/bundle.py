"""A trained model in one folder: weights, network, preprocessing, answers and their history.

    model/
    ├── model.safetensors   weights of every member, keys `member0.…`
    ├── bundle.json         everything else, as written by `save_bundle`
    └── model_card.md       for people (written by the reporting room)

Only safetensors and JSON are read: a bundle can't run code.
"""

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from csi_predictor.errors import BundleError
from csi_predictor.files import replaced, sha256_of, write_text
from csi_predictor.inference.predict import TestTime
from csi_predictor.models.create import build_model_from_spec
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.staged import StagedModel
from csi_predictor.versions import library_versions

FORMAT = 1
WEIGHTS_NAME = "model.safetensors"
FACTS_NAME = "bundle.json"
Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class BundleFacts:
    """What a bundle says of itself.

    Attributes:
        model_id: Name for tables, e.g. `custom1-1f0c2a9e`.
        model_sha256: Of the weights file.
        config_sha256: Of the resolved INI's text.
        spec: The network without its weights, the picture it takes and what it answers.
        test_time: Whether the mirrored picture is looked at too.
        baseline_grades: Per zone, the median grade of the training rows; None = never graded.
        learnt_ids: `hash_id` of each image that chose weights or epoch, so that no evaluation
            takes one for unseen, wherever the bundle was copied to.
        training: Counts and figures of the training, for the card.
        versions: Of this program and the libraries that computed the weights.
        config_ini: The resolved INI.
        num_members: Networks whose probabilities are averaged.
        label_thresholds: Per label, from which probability on it is called present: chosen on the
            validation rows. Empty = 0.5, or no labels.
        label_prevalence: Per label or class, its share in the training rows; None = unknown.
        validated_ids: Those of `learnt_ids` that chose an epoch at most, and no weights: what
            is fitted on the networks' answers may be fitted on them.
    """

    model_id: str
    model_sha256: str
    config_sha256: str
    spec: ModelSpec
    test_time: TestTime
    baseline_grades: tuple[float | None, ...]
    learnt_ids: frozenset[str]
    training: Mapping[str, Any]
    versions: Mapping[str, str]
    config_ini: str
    num_members: int
    label_thresholds: tuple[float, ...] = ()
    label_prevalence: tuple[float | None, ...] = ()
    validated_ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: its networks in evaluation mode, on the CPU, and its facts."""

    models: tuple[StagedModel, ...]
    facts: BundleFacts
    folder: Path


def save_bundle(
    folder: Path,
    members: Sequence[Weights],
    *,
    spec: ModelSpec,
    test_time: TestTime,
    baseline_grades: Sequence[float],
    learnt_ids: Collection[str],
    training: Mapping[str, Any],
    config_ini: str,
    label_thresholds: Sequence[float] = (),
    label_prevalence: Sequence[float | None] = (),
    validated_ids: Collection[str] = (),
) -> None:
    """Write weights, then facts; each file is whole or absent.

    Args:
        folder: `RUN_DIR/model`.
        members: One state dict a network.
        spec: Of each of them.
        test_time: See `BundleFacts`, as the rest.
        baseline_grades: One a zone, NaN = never graded.
        learnt_ids: File ids, kept as hashes.
        training: Plain JSON values.
        config_ini: The resolved INI.
        label_thresholds: One a label, of `multilabel`.
        label_prevalence: One a label or class.
        validated_ids: File ids, kept as hashes.
    """
    tensors = {
        f"member{index}.{name}": tensor.detach().cpu().contiguous().clone()
        for index, weights in enumerate(members)
        for name, tensor in weights.items()
    }
    with replaced(folder / WEIGHTS_NAME) as temporary:
        save_file(tensors, temporary)
    digest = sha256_of(folder / WEIGHTS_NAME)
    facts = BundleFacts(
        model_id=f"{spec.architecture.replace('/', '-')}-{digest[:8]}",
        model_sha256=digest,
        config_sha256=hashlib.sha256(config_ini.encode()).hexdigest(),
        spec=spec,
        test_time=test_time,
        baseline_grades=tuple(None if math.isnan(g) else g for g in baseline_grades),
        learnt_ids=frozenset(map(hash_id, learnt_ids)),
        training=training,
        versions=library_versions(),
        config_ini=config_ini,
        num_members=len(members),
        label_thresholds=tuple(label_thresholds),
        label_prevalence=tuple(label_prevalence),
        validated_ids=frozenset(map(hash_id, validated_ids)),
    )
    values = {
        "format": FORMAT,
        **asdict(facts),
        "learnt_ids": sorted(facts.learnt_ids),
        "validated_ids": sorted(facts.validated_ids),
    }
    whole = {**values, "facts_sha256": hash_facts(values)}
    write_text(folder / FACTS_NAME, json.dumps(whole, indent=2, allow_nan=False) + "\n")


def hash_id(file_id: str) -> str:
    """A short hash of a file id: enough to know it again, without telling it."""
    return hashlib.sha256(file_id.encode()).hexdigest()[:16]


def hash_facts(values: Mapping[str, Any]) -> str:
    """SHA-256 of plain JSON values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def load_bundle(folder: str | Path) -> Bundle:
    """A trained model, checked against its own hash.

    Raises:
        BundleError: The folder or a file of it is missing, damaged, changed or of another version.
    """
    folder = Path(folder)
    facts = _read_facts(folder)
    weights_path = folder / WEIGHTS_NAME
    if not weights_path.is_file():
        raise BundleError(f"{weights_path}: no such file: expected the weights of a trained model")
    digest = sha256_of(weights_path)
    if digest != facts.model_sha256:
        raise BundleError(
            f"{weights_path}: SHA-256 {digest[:12]}…, but {FACTS_NAME} says "
            f"{facts.model_sha256[:12]}…: the file was changed or damaged: copy the bundle again"
        )
    try:
        tensors = load_file(weights_path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{weights_path}: not a readable safetensors file: {error}") from error
    return Bundle(_build_members(facts, tensors, folder), facts, folder)


def _read_facts(folder: Path) -> BundleFacts:
    path = folder / FACTS_NAME
    if not path.is_file():
        raise BundleError(
            f"{path}: no such file: expected a bundle, the folder `model` of a finished training"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values.pop("format")
        if found != FORMAT:
            raise BundleError(
                f"{path}: bundle format {found}: this version reads {FORMAT}: train again or use "
                f"CSI-Predictor {values.get('versions', {}).get('csi_predictor', 'of that time')}"
            )
        facts_sha256 = values.pop("facts_sha256")
        if facts_sha256 != hash_facts({"format": found, **values}):
            raise BundleError(
                f"{path}: was changed after it was written, so its scores would not be those of "
                f"{values['model_id']}: copy the bundle again"
            )
        return BundleFacts(
            **{
                **values,
                "spec": ModelSpec.from_dict(values["spec"]),
                "baseline_grades": tuple(values["baseline_grades"]),
                "learnt_ids": frozenset(values["learnt_ids"]),
                "validated_ids": frozenset(values.get("validated_ids", ())),
                "label_thresholds": tuple(values.get("label_thresholds", ())),
                "label_prevalence": tuple(values.get("label_prevalence", ())),
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: damaged ({error}): copy the bundle again") from error


def _build_members(
    facts: BundleFacts, tensors: Mapping[str, torch.Tensor], folder: Path
) -> tuple[StagedModel, ...]:
    members = []
    for index in range(facts.num_members):
        prefix = f"member{index}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        model = build_model_from_spec(facts.spec)
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise BundleError(
                f"{folder / WEIGHTS_NAME}: the weights don't fit the network that {FACTS_NAME} "
                f"names ({error}): copy the bundle again; if that doesn't help, it was made by "
                f"another version ({facts.versions.get('csi_predictor')})"
            ) from error
        members.append(model.eval())
    return tuple(members)
