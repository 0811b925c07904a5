"""Prepared pictures to records: batches through the network, then the rules."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from csi_predictor.data.prepare import Prepared, to_tensor
from csi_predictor.errors import CsiError
from csi_predictor.inference.predictions import Floats, expected_grade, given_grade
from csi_predictor.inference.spread import Spread
from csi_predictor.scoring.isolation import Lost
from csi_predictor.scoring.reading import Refusal
from csi_predictor.scoring.records import Record, RejectedRecord, ScoreRecord
from csi_predictor.scoring.rules import (
    ScoreRules,
    mean_of_gradable,
    note_quality,
    refuse,
    risk_of,
)
from csi_predictor.scoring.trust import heed, judge_batch
from csi_predictor.scoring.worklist import WorkItem
from csi_predictor.specs import InputSpec
from csi_predictor.uncertainty.trust import Trust

if TYPE_CHECKING:
    from csi_predictor.inference.predictor import PredictorFacts

Value = TypeVar("Value")
Outcome = Prepared | Refusal | Lost
Settings = Mapping[str, float | int | str | bool]


class ZonePredictor(Protocol):
    """What scoring needs of an `inference.predictor.Predictor`."""

    @property
    def input_spec(self) -> InputSpec:
        """The picture that it takes."""

    @property
    def zones(self) -> tuple[str, ...]:
        """Order of its answers."""

    @property
    def facts(self) -> "PredictorFacts":
        """Origin of its answers."""

    def predict_pixels(self, pixels: torch.Tensor) -> tuple[Floats, Floats, Spread]:
        """(B, C, H, W) normalised pixels -> grades (B, Z, 4), p_ungradable (B, Z), their spread."""


@dataclass(frozen=True)
class Scorer:
    """One model with one set of rules.

    Attributes:
        predictor: Answers for prepared pictures.
        rules: From grades to csi and risk.
        setup_sha256: Stands in every record.
        trust: Of the model; None = it keeps none.
    """

    predictor: ZonePredictor
    rules: ScoreRules
    setup_sha256: str
    trust: Trust | None = None

    def score(
        self, outcomes: Iterable[tuple[WorkItem, Outcome]], *, batch_size: int
    ) -> Iterator[tuple[WorkItem, Record]]:
        """One record a file; a rejection may overtake the scores of its batch.

        Raises:
            CsiError: The network lacks memory.
        """
        batch: list[tuple[WorkItem, Prepared]] = []
        for item, outcome in outcomes:
            refusal = _refusal_of(outcome)
            if refusal is not None:
                yield item, self.reject(item.name, refusal)
            elif isinstance(outcome, Prepared):
                batch.append((item, outcome))
            if len(batch) == batch_size:
                yield from self._score_batch(batch)
                batch = []
        if batch:
            yield from self._score_batch(batch)

    def reject(self, name: str, refusal: Refusal) -> RejectedRecord:
        """The record of a file that isn't scored."""
        return RejectedRecord(
            path=name,
            reason=refusal.reason,
            detail=refusal.detail,
            file_sha256=refusal.file_sha256,
            setup_sha256=self.setup_sha256,
        )

    def _score_batch(
        self, batch: list[tuple[WorkItem, Prepared]]
    ) -> Iterator[tuple[WorkItem, Record]]:
        spec = self.predictor.input_spec
        pixels = torch.stack([to_tensor(prepared.pixels, spec) for _, prepared in batch])
        try:
            grade_probs, p_ungradable, spread = self.predictor.predict_pixels(pixels)
        except torch.OutOfMemoryError as error:
            raise CsiError(
                f"out of memory with {len(batch)} images a pass: set [SCORING] BATCH_SIZE lower, "
                "or [RUNTIME] DEVICE = cpu"
            ) from error
        is_number = np.asarray(np.isfinite(grade_probs).all(axis=(1, 2)))
        judged = None
        if self.trust is not None:
            certain = np.where(is_number[:, None, None], grade_probs, 1 / grade_probs.shape[-1])
            judged = judge_batch(self.trust, certain, p_ungradable, spread, self.rules)
        for index, (item, prepared) in enumerate(batch):
            record = self._record(item, prepared, grade_probs[index], p_ungradable[index])
            if judged is not None and isinstance(record, ScoreRecord):
                record = replace(record, **judged.fields(index, record.grades))
                record = heed(record, self.rules.unsure, self.predictor.zones)
            yield item, record

    def _record(
        self, item: WorkItem, prepared: Prepared, grade_probs: Floats, p_ungradable: Floats
    ) -> Record:
        """One image's record from its (Z, 4) grades and (Z,) probabilities of being ungradable."""
        facts, origin, rules = prepared.facts, self.predictor.facts, self.rules
        if not (np.isfinite(grade_probs).all() and np.isfinite(p_ungradable).all()):
            detail = "the network's answer is not a finite number"
            return self.reject(item.name, Refusal("FAILED", detail, facts.sha256))
        is_gradable = p_ungradable < rules.ungradable_threshold
        expected = expected_grade(grade_probs)
        grades = _withheld(given_grade(grade_probs).tolist(), is_gradable)
        csi = mean_of_gradable(grades, min_gradable_zones=rules.min_gradable_zones)
        return ScoreRecord(
            path=item.name,
            sop_instance_uid=facts.sop_instance_uid,
            study_instance_uid=facts.study_instance_uid,
            series_instance_uid=facts.series_instance_uid,
            patient_id=facts.patient_id,
            study_date=facts.study_date,
            acquired_at=facts.acquired_at,
            view_position=facts.view_position,
            grades=grades,
            expected=tuple(expected.tolist()),
            p_ungradable=tuple(p_ungradable.tolist()),
            csi=csi,
            csi_expected=mean_of_gradable(
                _withheld(expected.tolist(), is_gradable),
                min_gradable_zones=rules.min_gradable_zones,
            ),
            risk=risk_of(csi, rules),
            quality=note_quality(facts, grades, min_gradable_zones=rules.min_gradable_zones),
            model_id=origin.model_id,
            model_sha256=origin.model_sha256,
            config_sha256=origin.config_sha256,
            decoder=facts.decoder,
            engine=origin.engine,
            software_version=origin.software_version,
            scored_at=datetime.now(UTC).isoformat(timespec="seconds"),
            reading_notes="; ".join(facts.notes),
            file_sha256=facts.sha256,
            setup_sha256=self.setup_sha256,
        )


def hash_setup(predictor: ZonePredictor, settings: Settings) -> str:
    """SHA-256 of all that decides a record beside the file: model, its picture, rules, program."""
    origin = predictor.facts
    parts = {
        "model_sha256": origin.model_sha256,
        "config_sha256": origin.config_sha256,
        "software_version": origin.software_version,
        "input_spec": predictor.input_spec.to_dict(),
        "zones": predictor.zones,
        "settings": dict(settings),
        **({"int8_sha256": origin.int8_sha256} if origin.int8_sha256 else {}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _refusal_of(outcome: Outcome) -> Refusal | None:
    match outcome:
        case Lost():
            return Refusal("FAILED", outcome.detail)
        case Refusal():
            return outcome
        case Prepared():
            return refuse(outcome.facts)


def _withheld(values: list[Value], is_gradable: NDArray[np.bool_]) -> tuple[Value | None, ...]:
    return tuple(
        value if kept else None for value, kept in zip(values, is_gradable.tolist(), strict=True)
    )
