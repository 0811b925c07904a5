"""Losses over classes of which exactly one is true of an image."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from csi_predictor.losses.focus import focus


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> Tensor:
    """Mean over all B images of the weighted cross-entropy.

    An image of unknown class adds 0. The sum is divided by the number of images, not by that of
    the known ones nor by the sum of their weights as torch does: so that accumulated equal batches
    give the big batch's gradient.

    Args:
        logits: (B, K).
        targets: (B, 1) index of the class, NaN = unknown; or (B, K) probabilities, as mixing makes
            them, a row of NaN = unknown. A width of 1 is always an index.
        label_smoothing: Share of an image spread evenly over the K classes.
        class_weights: Weight of each class by its index; empty = 1 each.

    Raises:
        ValueError: Fewer than two classes, or another number of targets or weights.
    """
    no_focus = 0.0
    return focal(
        logits, targets, gamma=no_focus, alpha=class_weights, label_smoothing=label_smoothing
    )


def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B images of alpha_c (1 - p_c)^gamma (-log p_c), c the true class.

    Of an image that is several classes by shares, the mean of theirs by these shares. Unknown
    classes and the mean are as in `cross_entropy`.

    Args:
        logits: (B, K).
        targets: (B, 1) index of the class, NaN = unknown; or (B, K) probabilities, as mixing makes
            them, a row of NaN = unknown. A width of 1 is always an index.
        gamma: How much well-answered images count less; 0 = cross-entropy.
        alpha: Weight of each class by its index; empty = 1 each.
        label_smoothing: Share of an image spread evenly over the K classes.

    Raises:
        ValueError: Fewer than two classes, or another number of targets or weights.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 5; smoothing and weights as in
    torch.nn.functional.cross_entropy.
    """
    num_classes = logits.shape[1]
    if alpha and len(alpha) != num_classes:
        raise ValueError(f"{len(alpha)} class weights: expected {num_classes}, one a class")
    is_known, probs = class_probabilities(targets, num_classes)
    wanted = probs * (1 - label_smoothing) + label_smoothing / num_classes
    logs = logits.log_softmax(dim=1)
    weights = logs.new_tensor(alpha or (1.0,) * num_classes)
    of_image = (wanted * weights * focus(logs, gamma) * -logs).sum(dim=1)
    return (of_image * is_known).mean()


def class_probabilities(targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Which images' classes are known, and how probable each class is.

    Args:
        targets: (B, 1) index of the class, or (B, K) probabilities; NaN = unknown.
        num_classes: K, at least 2, so that the width tells the two apart.

    Returns:
        (B,) True where known; (B, K) probabilities, 0 where unknown.

    Raises:
        ValueError: Fewer than two classes, or targets of another width.
    """
    width = targets.shape[1]
    if num_classes < 2:
        raise ValueError(f"{num_classes} class: expected at least two, or a label (multilabel)")
    if width not in (1, num_classes):
        raise ValueError(
            f"targets of shape {tuple(targets.shape)}: expected (B, 1) index of the class, or "
            f"(B, {num_classes}) probabilities"
        )
    is_known = torch.isfinite(targets).all(dim=1)
    known = torch.where(is_known[:, None], targets, 0)
    if width == 1:
        hard = F.one_hot(known[:, 0].long(), num_classes)
        known = hard.to(targets.dtype) * is_known[:, None]
    return is_known, known
