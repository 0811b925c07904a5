"""Parts of the uncertainty of several passes, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from csi_predictor.inference.spread import join_spreads, spread_of

RNG = np.random.default_rng(2)
PASSES = RNG.dirichlet([0.4, 0.3, 0.2, 0.5], (5, 7, 3))  # (M, N, Q, C)


def test_total_is_scipys_entropy_of_the_mean_and_aleatoric_the_mean_of_the_entropies() -> None:
    spread = spread_of(PASSES)
    np.testing.assert_allclose(spread.total, stats.entropy(PASSES.mean(axis=0), axis=-1))
    np.testing.assert_allclose(spread.aleatoric, stats.entropy(PASSES, axis=-1).mean(axis=0))
    np.testing.assert_allclose(spread.variance, PASSES.var(axis=0).mean(axis=-1))
    assert spread.num_passes == 5
    assert len(spread) == 7


def test_epistemic_is_the_mean_divergence_from_the_mean__weakness_001_06() -> None:
    """Mutual information is also the mean Kullback-Leibler divergence, which scipy computes."""
    spread = spread_of(PASSES)
    divergence = stats.entropy(PASSES, PASSES.mean(axis=0), axis=-1).mean(axis=0)
    np.testing.assert_allclose(spread.epistemic, divergence, atol=1e-12)
    assert (spread.epistemic < spread.total).all()


def test_total_is_aleatoric_plus_epistemic_also_of_sure_passes__weakness_001_06() -> None:
    sure = np.eye(4)[RNG.integers(0, 4, (5, 20, 3))]  # probabilities exactly 0 and 1
    for passes in (PASSES, sure, np.concatenate([PASSES, sure[:, :7]])):
        spread = spread_of(passes)
        np.testing.assert_allclose(spread.total, spread.aleatoric + spread.epistemic, atol=1e-6)
        assert (spread.epistemic >= 0).all()


def test_sure_passes_that_contradict_each_other_are_epistemic_alone() -> None:
    spread = spread_of(np.array([[[[1.0, 0.0]]], [[[0.0, 1.0]]]]))
    assert spread.total.item() == pytest.approx(np.log(2))
    assert spread.aleatoric.item() == 0
    assert spread.epistemic.item() == pytest.approx(np.log(2))
    assert spread.variance.item() == pytest.approx(0.25)  # of 0 and 1


def test_unsure_passes_that_agree_are_aleatoric_alone() -> None:
    spread = spread_of(np.full((9, 2, 1, 4), 0.25))
    np.testing.assert_allclose(spread.aleatoric, np.log(4))
    np.testing.assert_array_equal(spread.epistemic, 0)
    np.testing.assert_array_equal(spread.variance, 0)


def test_one_pass_has_nothing_to_disagree_with() -> None:
    spread = spread_of(PASSES[:1])
    np.testing.assert_array_equal(spread.epistemic, 0)
    np.testing.assert_array_equal(spread.variance, 0)
    np.testing.assert_array_equal(spread.total, spread.aleatoric)


def test_rounding_below_zero_is_zero_and_not_an_infinite_entropy() -> None:
    rounded = np.array([[[[1.0000001, -0.0000001]]]] * 2)
    assert spread_of(rounded).total.item() == pytest.approx(0, abs=1e-5)


def test_images_are_taken_and_joined_in_their_order() -> None:
    spread = spread_of(PASSES)
    joined = join_spreads([spread.take(np.arange(4)), spread.take(np.arange(4, 7))])
    for name in ("total", "aleatoric", "epistemic", "variance"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(spread, name))
    assert joined.num_passes == 5


def test_no_image_has_no_spread() -> None:
    assert spread_of(np.zeros((3, 0, 6, 4))).total.shape == (0, 6)


def test_spreads_of_different_passes_are_not_joined() -> None:
    with pytest.raises(ValueError, match=r"spreads of \[1, 5\] passes: expected one number"):
        join_spreads([spread_of(PASSES), spread_of(PASSES[:1])])


@pytest.mark.parametrize("shape", [(7, 3, 4), (0, 7, 3, 4)])
def test_another_shape_is_refused(shape) -> None:
    with pytest.raises(ValueError, match=r"expected \(M, N, Q, C\) with at least one pass"):
        spread_of(np.ones(shape) / 4)


@pytest.mark.parametrize("values", [[1.5, -0.5], [0.2, 0.2], [3.0, -1.0]])
def test_logits_are_refused(values) -> None:
    with pytest.raises(ValueError, match="aren't distributions over the answers"):
        spread_of(np.array([[[values]]]))
