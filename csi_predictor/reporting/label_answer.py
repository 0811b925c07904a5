"""The answer of an evaluation of labels or classes: for the log and a report's first screen."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from csi_predictor.reporting.answer import Tile, Yardstick
from csi_predictor.reporting.scale import place_on_scale, scale_end
from csi_predictor.reporting.wording import counted, interval, number, percent, share_interval

Metrics = Mapping[str, Any]
_CHANCE = 0.5  # AUROC of an answer that knows nothing


def headline(metrics: Metrics) -> str:
    """`Macro AUROC 0.713 (0.664 to 0.761), …`: the main figures for the log."""
    area = f"{_macro(metrics)}AUROC"
    shown = {"auroc_macro": area, "auprc_macro": area.replace("ROC", "PRC")}
    if metrics["task"] == "multiclass":
        shown = {
            "accuracy": "accuracy",
            "balanced_accuracy": "balanced accuracy",
            "auroc_macro": area,
        }
    shown |= {"f1_macro": "macro F1", "ece": "ECE"}
    figures = ", ".join(f"{title} {_figure(metrics, name)}" for name, title in shown.items())
    return f"{_capital(figures)} on {counted(metrics['n_images'], 'image', 'images')}"


def answer_sentences(metrics: Metrics) -> tuple[str, ...]:
    """What a reader of the report wants to know first, in the order of asking."""
    if metrics["task"] == "multiclass":
        return _answer_of_classes(metrics)
    return _answer_of_labels(metrics)


def headline_tiles(metrics: Metrics) -> tuple[Tile, ...]:
    """Three figures beside those of a constant answer."""
    area = _capital(f"{_macro(metrics)}AUROC")
    ranking = _tile(metrics, "auroc_macro", area, "ranking, 1 is best, 0.5 is chance", end=1.0)
    if metrics["task"] == "multiclass":
        return (
            _tile(metrics, "accuracy", "Accuracy", "share of right classes, 1 is best", end=1.0),
            _tile(
                metrics,
                "balanced_accuracy",
                "Balanced accuracy",
                "every class counts alike, 1 is best",
                end=1.0,
            ),
            ranking,
        )
    return (
        ranking,
        _tile(metrics, "auprc_macro", "Macro AUPRC", "precision over recall, 1 is best", end=1.0),
        _tile(
            metrics,
            "brier",
            "Brier score",
            "squared error of the probability, 0 is best",
            decimals=3,
        ),
    )


def _macro(metrics: Metrics) -> str:
    """Of two classes the AUROC is that of the second one, and no mean."""
    is_binary = metrics["task"] == "multiclass" and len(metrics["names"]) == 2
    return "" if is_binary else "macro "


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _figure(metrics: Metrics, name: str) -> str:
    if metrics[name] is None:
        return "undefined"
    spread = interval(metrics, name, 3)
    return number(metrics[name], 3) + (f" ({spread})" if spread else "")


def _answer_of_labels(metrics: Metrics) -> tuple[str, ...]:
    ranked = {
        name: block["auroc"]
        for name, block in metrics["labels"].items()
        if block["auroc"] is not None
    }
    if not ranked:
        return (
            f"On {_images(metrics, metrics['n_images'])}, no label is known to be present in one "
            "and absent in another: how well the model tells them apart can’t be measured.",
        )
    spread = interval(metrics, "auroc_macro")
    mean = f"on average over {len(ranked)} labels " if len(ranked) > 1 else ""
    sentences = [
        f"On {_images(metrics, metrics['n_images'])}: of two images, one with a label and one "
        f"without, the model gives the first the higher probability in "
        f"{percent(metrics['auroc_macro'])} {mean}(AUROC {number(metrics['auroc_macro'])}"
        f"{f', 95 % interval {spread}' if spread else ''}).",
        f"Guessing would be right in 50 %. {_verdict(metrics, 'auroc_macro', _CHANCE)}",
    ]
    if len(ranked) > 1:
        best, least = max(ranked, key=ranked.__getitem__), min(ranked, key=ranked.__getitem__)
        sentences.append(
            f"It tells {best} best ({number(ranked[best])}) and {least} worst "
            f"({number(ranked[least])})."
        )
    return tuple(sentences)


def _answer_of_classes(metrics: Metrics) -> tuple[str, ...]:
    names, prevalence = metrics["names"], metrics["baseline"]["prevalence"]
    commonest = names[int(np.argmax([share or 0.0 for share in prevalence]))]
    spread = share_interval(metrics, "accuracy")
    sentences = [
        f"On {_images(metrics, metrics['n_known'])}, the model names the right class in "
        f"{percent(metrics['accuracy'])}{f' (95 % interval {spread})' if spread else ''}.",
        f"Always naming the commonest class of the {metrics['baseline']['source']}, {commonest}, "
        f"would be right in {percent(metrics['baseline']['accuracy'])}. "
        f"{_verdict(metrics['gain_over_baseline'], 'accuracy', 0.0)}",
    ]
    table = np.array(metrics["confusion"])
    mistakes = table * (1 - np.eye(len(names), dtype=int))
    if mistakes.any():
        true, given = np.unravel_index(int(mistakes.argmax()), mistakes.shape)
        sentences.append(
            f"Its commonest mistake: {names[true]} called {names[given]}, "
            f"{mistakes[true, given]} of {table[true].sum()}."
        )
    return tuple(sentences)


def _images(metrics: Metrics, count: int) -> str:
    patients = counted(metrics["n_patients"], "patient", "patients")
    return f"{counted(count, 'image', 'images')} of {patients}"


def _verdict(block: Metrics, name: str, nothing: float) -> str:
    """Whether the interval of a figure lies above what stands for no gain."""
    low, high = block[f"{name}_ci_low"], block[f"{name}_ci_high"]
    if low is None or high is None:
        return "Whether the difference is more than chance wasn’t computed."
    if low > nothing:
        return "The model is better than that, beyond chance."
    if high < nothing:
        return "The model is worse than that, beyond chance."
    return "The model can’t be told from that: the difference may be chance."


def _tile(
    metrics: Metrics,
    name: str,
    title: str,
    meaning: str,
    *,
    end: float | None = None,
    decimals: int = 2,
) -> Tile:
    blocks = (("model", "Model", metrics), ("constant", "Constant", metrics["baseline"]))
    scale = end or scale_end([block for _, _, block in blocks], name, steps_per_unit=10)
    return Tile(
        title=title,
        meaning=meaning,
        value=number(metrics[name], decimals),
        interval=interval(metrics, name, decimals),
        scale_end=f"{scale:g}",
        yardsticks=tuple(
            Yardstick(
                kind=kind,
                label=label,
                text=number(block[name], decimals),
                place=place_on_scale(block[name], scale),
                low=place_on_scale(block[f"{name}_ci_low"], scale),
                high=place_on_scale(block[f"{name}_ci_high"], scale),
            )
            for kind, label, block in blocks
        ),
    )
