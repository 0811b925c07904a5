"""Whether uncertainty finds errors: what remains wrong when the least sure answers are left out.

The loss of an answer is 0 or 1 (right or wrong), or a distance in grades. Answers of equal
uncertainty are left out in random order, and every figure is the mean over those orders: so a
measure that is the same for all answers is worth exactly as much as chance.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

from csi_predictor.metrics.counts import Floats, ratio
from csi_predictor.metrics.ranking import auroc

_FEWEST = 3  # two points always lie on a line
_NUM_BLOCKS = 128  # of answers, summed before the place of the cut is known
_ROUNDING = 1e-9  # 0.8 * 5 may lie just above 4


def risk_coverage(uncertainty: Floats, loss: Floats) -> tuple[Floats, Floats]:
    """(M,) coverage k / M and (M,) mean loss of the k surest answers, for k = 1 to M.

    Source: El-Yaniv and Wiener 2010, JMLR 11:1605-1641.
    """
    coverage = np.arange(1, len(loss) + 1) / max(len(loss), 1)
    return coverage, np.cumsum(_expected_losses(uncertainty, loss)) / np.arange(1, len(loss) + 1)


def ideal_risk(loss: Floats) -> Floats:
    """(M,) mean loss of the k best answers, for k = 1 to M: no order leaves less."""
    return np.cumsum(np.sort(loss)) / np.arange(1, len(loss) + 1)


def aurc(uncertainty: Floats, loss: Floats) -> float:
    """Area under the risk-coverage curve: the mean of its risks; NaN without an answer.

    Source: Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206, section 2.
    """
    _, risk = risk_coverage(uncertainty, loss)
    return float(risk.mean()) if len(risk) else float("nan")


def excess_aurc(uncertainty: Floats, loss: Floats) -> float:
    """`aurc` above that of the ideal order: 0 is perfect, whatever the share of errors.

    Source: as `aurc`, section 5; here with the ideal order itself, not its limit for many answers.
    """
    return aurc(uncertainty, loss) - aurc(loss, loss)


def num_kept(coverage: ArrayLike, num_answers: ArrayLike) -> Floats:
    """The least whole number of answers that are this share of them."""
    return np.asarray(np.ceil(np.asarray(coverage) * np.asarray(num_answers) - _ROUNDING))


def risk_at(uncertainty: Floats, loss: Floats, *, coverage: float) -> float:
    """Mean loss of the surest answers that are this share of all; NaN without an answer."""
    _, risk = risk_coverage(uncertainty, loss)
    if not len(risk):
        return float("nan")
    return float(risk[int(num_kept(coverage, len(risk))) - 1])


def risk_draws(
    uncertainty: Floats,
    losses: Floats,
    patient_index: NDArray[np.int64],
    draws: NDArray[np.float32],
    *,
    coverage: float,
) -> Floats:
    """`risk_at` in each draw of patients.

    The answers are sorted once. Sums over blocks of them tell in which block each draw's cut lies,
    and only that block is then looked at answer by answer.

    Args:
        uncertainty: (M,).
        losses: (M, L), several losses of the same answers.
        patient_index: (M,) the patient of each, a row of `draws`.
        draws: (P, R) how often each patient is drawn.
        coverage: Share of the answers that is kept, above 0 to 1.

    Returns:
        (R, L); NaN where no answer is drawn.
    """
    num_draws = draws.shape[1]
    if not len(uncertainty):
        return np.full((num_draws, losses.shape[1]), np.nan)
    order = np.argsort(uncertainty, kind="stable")
    patients, losses, group = patient_index[order], losses[order], _groups(uncertainty[order])
    block = group * _NUM_BLOCKS // (group[-1] + 1)
    columns = [np.ones(len(losses)), *losses.T]
    tables = [_table(block, patients, each, num_patients=len(draws)) for each in columns]
    # few blocks hold every patient, so that a dense product is the faster one
    sums = np.stack([table.toarray() @ draws for table in tables]).astype(np.float64)
    above = np.cumsum(sums, axis=1)  # (1 + L, B, R)
    kept = num_kept(coverage, above[0, -1])
    cut = np.minimum((above[0] < kept).sum(axis=0), len(above[0]) - 1)
    at_cut = np.take_along_axis(above - sums, cut[None, None, :], axis=1)[:, 0]  # (1 + L, R)
    lost = at_cut[1:].copy()
    for number in np.unique(cut):
        inside = slice(*np.searchsorted(block, [number, number + 1]))
        drawn = np.flatnonzero(cut == number)
        groups = group[inside] - group[inside.start]
        own, index = np.unique(patients[inside], return_inverse=True)
        tables = [_table(groups, index, each[inside], num_patients=len(own)) for each in columns]
        weights = draws[np.ix_(own, drawn)]
        within = np.stack([table @ weights for table in tables]).astype(np.float64)
        lost[:, drawn] += _lost_first(within, kept[drawn] - at_cut[0, drawn])
    return ratio(lost, kept).T


def error_auroc(uncertainty: Floats, is_wrong: NDArray[np.bool_]) -> float:
    """How often a wrong answer is less sure than a right one; NaN without both kinds."""
    return float(auroc(is_wrong, uncertainty, np.ones((1, len(is_wrong))))[0])


def spearman(uncertainty: Floats, loss: Floats) -> tuple[float, float]:
    """Rank correlation and its two-sided p-value; NaN where one of the two never changes.

    The p-value takes the answers for independent. Zones of one patient aren't, so it is too small.
    """
    if not _can_correlate(uncertainty, loss):
        return float("nan"), float("nan")
    found = stats.spearmanr(uncertainty, loss)
    return float(found.statistic), float(found.pvalue)


def point_biserial(uncertainty: Floats, is_wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Correlation of uncertainty and being wrong, and its p-value, as of `spearman`."""
    if not _can_correlate(uncertainty, is_wrong.astype(np.float64)):
        return float("nan"), float("nan")
    found = stats.pointbiserialr(is_wrong, uncertainty)
    return float(found.statistic), float(found.pvalue)


def _expected_losses(uncertainty: Floats, loss: Floats) -> Floats:
    """(M,) losses, the surest first; of equally sure answers each has their mean."""
    order = np.argsort(uncertainty, kind="stable")
    group = _groups(uncertainty[order])
    means = ratio(np.bincount(group, weights=loss[order]), np.bincount(group))
    return means[group]


def _groups(ordered: Floats) -> NDArray[np.int64]:
    """(M,) rising values -> (M,) number of each one's group of equals."""
    return (np.cumsum(np.diff(ordered, prepend=-np.inf) != 0) - 1).astype(np.int64)


def _table(
    row: NDArray[np.int64], patients: NDArray[np.int64], values: Floats, *, num_patients: int
) -> sparse.csr_array:
    """(S, P) sums of values (M,) over the answers of each row, 0 to S - 1, and patient."""
    counts = np.flatnonzero(values)
    table = sparse.coo_array(
        # float32 holds sums of whole numbers exactly below 2 ** 24 answers
        (values[counts].astype(np.float32), (row[counts], patients[counts])),
        shape=(int(row[-1]) + 1, num_patients),
    )
    return table.tocsr()


def _lost_first(sums: Floats, wanted: Floats) -> Floats:
    """(L, r) losses of the first `wanted` (r,) answers of (1 + L, S, r) counts and losses by group.

    Of the group in which the last of them lies, their share of its losses.
    """
    counts = sums[0]
    before = np.cumsum(counts, axis=0) - counts
    share = np.clip(np.nan_to_num(ratio(wanted - before, counts)), 0, 1)
    return np.asarray((share * sums[1:]).sum(axis=1))


def _can_correlate(first: Floats, second: Floats) -> bool:
    return len(first) >= _FEWEST and bool(np.ptp(first) > 0 and np.ptp(second) > 0)
