"""What a heat map explains: one question and one answer, as one number an image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from csi_predictor.errors import CsiError
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.specs import NUM_GRADES, ZoneHead
from csi_predictor.zone_logits import zone_probabilities

CSI = "csi"
CLASS = "class"


@dataclass(frozen=True)
class Target:
    """One question and one answer; the map shows what speaks for more of it.

    Attributes:
        question: A zone, `csi` for all six, a label or quantity; `class` of one of several classes.
        answer: Of `class` the class's name; else empty: a higher grade, the label's presence.
    """

    question: str
    answer: str = ""

    def __str__(self) -> str:
        return f"{self.question} {self.answer}".strip()


def score_answer(logits: Tensor, target: Target, spec: ModelSpec) -> Tensor:
    """Logits -> (B,) the number that stands for the target, in which gradients flow.

    It is the logit of a label or class. Of an ordinal zone it is the mean of the cumulative logits:
    for one zone this gives the expected grade's map, and for the CSI it lets a zone count whose
    grade is beyond doubt, where the expected grade no longer moves. Of a softmax zone it is the
    expected grade. The CSI is the mean of all zones.

    Args:
        logits: (B, Z, 4) ordinal, (B, Z, 5) softmax, (B, K) of a linear head.
        target: What is asked.
        spec: Of the network.

    Raises:
        CsiError: The network doesn't answer this.
    """
    name = _name_of(target, spec)
    if spec.head in ("ordinal", "softmax"):
        zones = _zone_scores(logits, "softmax" if spec.head == "softmax" else "ordinal")
        return zones.mean(dim=1) if name == CSI else zones[:, _index_of(name, spec)]
    return logits[:, _index_of(name, spec)]


def _name_of(target: Target, spec: ModelSpec) -> str:
    """The zone, label or class that is meant, or `csi`.

    Raises:
        CsiError: The network doesn't answer this.
    """
    task, names = spec.target_spec.task, spec.target_spec.names
    if spec.head not in ("ordinal", "softmax", "linear"):
        raise CsiError(
            f"heat map of {spec.architecture}: its {spec.head} head gives no single number to "
            "explain: expected a network of zones, labels or classes"
        )
    if task == "multiclass":
        known = tuple(Target(CLASS, name) for name in names)
    else:
        known = tuple(Target(name) for name in (*names, *([CSI] if task == "csi" else [])))
    if target not in known:
        raise CsiError(
            f"heat map of {spec.architecture}: question {target.question!r} with answer "
            f"{target.answer!r}: expected one of {', '.join(map(str, known))}"
        )
    return target.answer or target.question


def _index_of(name: str, spec: ModelSpec) -> int:
    return spec.target_spec.names.index(name)


def _zone_scores(logits: Tensor, head: ZoneHead) -> Tensor:
    """Logits (B, Z, L) -> (B, Z), rising with the grade."""
    if head == "ordinal":
        return logits[..., :-1].mean(dim=-1)
    grades = torch.arange(NUM_GRADES, device=logits.device, dtype=torch.float32)
    return zone_probabilities(logits, head).grades @ grades
