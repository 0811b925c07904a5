"""Patients dealt out to parts so that each label's share is the same in all of them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from csi_predictor.data.manifest import Row
from csi_predictor.specs import Task


def deal_by_labels(
    patients: Mapping[str, Sequence[Row]], shares: Mapping[str, float], *, task: Task, seed: str
) -> dict[str, list[str]]:
    """Part -> its patients, the rarest label's dealt out first.

    Of the labels that undealt patients have, the rarest is taken; each of its patients, by lot,
    goes to the part that lacks most images of the label, then most images. Patients without any
    label come last.

    Args:
        patients: Their labelled images.
        shares: Wanted share of the images of each part.
        task: `multilabel`, or `multiclass`, where each class is a label.
        seed: Another one gives another draw.

    Source:
        Sechidis, Tsoumakas and Vlahavas 2011, On the Stratification of Multi-Label Data,
        doi:10.1007/978-3-642-23808-6_10, algorithm 1; here whole patients are dealt.
    """
    labels = {patient: _count_labels(rows, task) for patient, rows in patients.items()}
    num_images = sum(len(rows) for rows in patients.values())
    total = sum(labels.values(), Counter[int]())
    lacking_images = {part: share * num_images for part, share in shares.items()}
    lacking = {
        part: {label: share * count for label, count in total.items()}
        for part, share in shares.items()
    }
    dealt: dict[str, list[str]] = {part: [] for part in shares}
    for patient, label in _rarest_first(labels, total, seed):
        part = max(shares, key=lambda each: (_lack(lacking[each], label), lacking_images[each]))
        dealt[part].append(patient)
        lacking_images[part] -= len(patients[patient])
        for each, count in labels[patient].items():
            lacking[part][each] -= count
    return dealt


def _lack(counts: Mapping[int, float], label: int | None) -> float:
    return 0.0 if label is None else counts[label]


def _rarest_first(
    labels: Mapping[str, Counter[int]], total: Counter[int], seed: str
) -> list[tuple[str, int | None]]:
    """Each patient once, with the label for which it is dealt out; None = it has none."""
    by_lot = sorted(labels, key=lambda patient: (draw_lot(seed, patient), patient))
    left = dict.fromkeys(by_lot)
    remaining = Counter(total)
    order: list[tuple[str, int | None]] = []
    while any(remaining.values()):
        rarest = min(
            (label for label, count in remaining.items() if count),
            key=lambda label: (remaining[label], label),
        )
        for patient in [each for each in left if labels[each][rarest]]:
            order.append((patient, rarest))
            remaining -= labels[patient]
            del left[patient]
    return [*order, *((patient, None) for patient in left)]


def _count_labels(rows: Sequence[Row], task: Task) -> Counter[int]:
    """How many of a patient's images have each label or class; unknown ones don't count."""
    if task == "multiclass":
        return Counter(int(row.targets[0]) for row in rows if row.targets[0] == row.targets[0])
    return Counter(index for row in rows for index, value in enumerate(row.targets) if value == 1)


def draw_lot(seed: str, text: str) -> int:
    """A number of seed and text alone: equal on every machine and in any order of the rows."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode()).digest())
