"""What a triage policy does, in words: a policy that defers everything is told as such."""

import math

from csi_predictor.evaluation.figures import Block
from csi_predictor.uncertainty.triage import Policy, TriageSettings

_FEW_KEPT = 0.05  # of the images: the reader has nearly all of the work
_WHY_ALL = {
    "threshold": "no part of the validation images that could be kept reached {target} right "
    "automatic answers",
    "budget": "the budget allows it",
    "cost": "with these costs every review was worth its price on the validation images",
    "class_critical": "no part of the validation images that could be kept reached {target} right "
    "automatic answers without missing a critical one",
}
_WHY_NONE = {
    "threshold": "on the validation images {target} right answers were reached without a review",
    "budget": "the budget allows no review, or too many validation images are equally unsure",
    "cost": "with these costs no review was worth its price on the validation images",
    "class_critical": "on the validation images {target} right answers were reached without a "
    "review, and no critical one was missed",
}


def policy_sentence(policy: Policy, block: Block, settings: TriageSettings) -> str:
    """One or two sentences, for a clinician.

    Args:
        policy: Frozen.
        block: Its figures, see `triage.triage_block`; of a skipped policy it isn't looked at.
        settings: For a policy that doesn't say what it aimed at.
    """
    if policy.skipped:
        return f"This policy was not chosen: {policy.skipped}."
    aim = policy.chosen.get("target_accuracy") or settings.target_accuracy
    target = _share(aim)
    if not block["n_images"]:
        return "There is no image to decide on."
    if policy.threshold == -math.inf:
        why = _WHY_ALL[policy.name].format(target=target)
        return f"This policy gives every image to the reader: {why}."
    if block["n_deferred"] == block["n_images"]:
        aimed = _share(policy.chosen.get("deferral_rate"))
        return (
            "This policy gives every image to the reader: each is less sure than its threshold, "
            f"above which {aimed} of the validation images lay."
        )
    if not block["n_deferred"] and policy.threshold == policy.critical_threshold == math.inf:
        why = _WHY_NONE[policy.name].format(target=target)
        return f"This policy gives no image to the reader: {why}."
    kept = block["n_images"] - block["n_deferred"]
    only = "only " if kept < _FEW_KEPT * block["n_images"] else ""
    return (
        f"The model answers {only}{kept:,} of {block['n_images']:,} images by itself and the "
        f"reader gets {block['n_deferred']:,}: {_share(block['kept_accuracy'])} of the automatic "
        f"answers are right{_short_of_target(policy, block, aim)}, and "
        f"{_share(block['system_accuracy'])} of all answers are expected to be."
        f"{_critical_note(policy, block)}"
    )


def _critical_note(policy: Policy, block: Block) -> str:
    if policy.name != "class_critical" or block["critical"] is None:
        return ""
    missed, truths = block["critical"]["misses_automatic"], block["critical"]["n_truths"]
    return f" Critical answers missed without a reader seeing them: {missed:,} of {truths:,}."


def _short_of_target(policy: Policy, block: Block, aim: float) -> str:
    """A target that was reached on the validation rows need not be reached on others."""
    if policy.name not in ("threshold", "class_critical") or block["kept_accuracy"] is None:
        return ""
    if block["kept_accuracy"] >= aim:
        return f" (aimed at: {_share(aim)})"
    return f" (short of the {_share(aim)} that the validation images promised)"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
