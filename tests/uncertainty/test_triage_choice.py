import math
from dataclasses import replace

import numpy as np
import pytest

from csi_predictor.inference.questions import Questions, two_answers
from csi_predictor.uncertainty.triage import POLICIES, Policy, TriageSettings
from csi_predictor.uncertainty.triage_choice import choose_policies


def classes(targets, given, *, num_answers: int = 2, sure: float = 0.9) -> Questions:
    """One question an image; the given answer has the probability `sure`."""
    given = np.asarray(given, dtype=np.int64)
    rest = (1 - sure) / (num_answers - 1)
    probs = np.where(np.eye(num_answers, dtype=bool)[given], sure, rest)
    return Questions(
        names=("class",),
        answers=tuple("abcd"[:num_answers]),
        is_ordered=False,
        patient_ids=tuple(map(str, range(len(given)))),
        probs=probs[:, None],
        targets=np.asarray(targets, dtype=float).reshape(-1, 1),
        given=given[:, None],
    )


def right_or_wrong(is_right) -> Questions:
    return classes(np.zeros(len(is_right)), 1 - np.asarray(is_right, dtype=int))


def random_labels(seed: int, num_images: int = 40) -> tuple[Questions, np.ndarray]:
    """Three labels, some truths unknown, uncertainty with ties."""
    rng = np.random.default_rng(seed)
    p_present = rng.random((num_images, 3))
    targets = (rng.random((num_images, 3)) < p_present).astype(float)
    targets[rng.random((num_images, 3)) < 0.2] = np.nan
    questions = Questions(
        names=("Effusion", "Mass", "Hernia"),
        answers=("absent", "present"),
        is_ordered=False,
        patient_ids=tuple(map(str, range(num_images))),
        probs=two_answers(p_present),
        targets=targets,
        given=(p_present > 0.5).astype(np.int64),
    )
    return questions, np.round((1 - questions.confidence).mean(axis=1), 2)


def chosen(name: str, questions: Questions, unsure, **settings) -> Policy:
    (policy,) = choose_policies(
        (name,), questions, np.asarray(unsure, dtype=float), TriageSettings(**settings)
    )
    return policy


def kept_accuracy(questions: Questions, kept: np.ndarray) -> float:
    """By hand: share of right answers among the known ones of the kept images; -1 = none."""
    known = np.isfinite(questions.targets) & kept[:, None]
    return float((questions.given == questions.targets)[known].mean()) if known.any() else -1.0


def test_the_fewest_images_are_deferred_that_reach_the_target() -> None:
    # least unsure first: right, wrong, right, right, right | wrong, wrong
    questions = right_or_wrong([1, 0, 1, 1, 1, 0, 0])
    policy = chosen("threshold", questions, [1, 2, 3, 4, 5, 6, 7], target_accuracy=0.8)
    assert policy.threshold == 5.5
    assert policy.chosen == {
        "target_accuracy": 0.8,
        "n_images": 7,
        "n_answers": 7,
        "n_deferred": 2,
        "deferral_rate": 2 / 7,
        "kept_accuracy": 0.8,
        "cost_per_image": pytest.approx((100 * 1 + 2 * 2 + 100 * 2 * 0.05) / 7),
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("target", [0.75, 0.9])
def test_no_threshold_keeps_more_and_reaches_the_target(seed: int, target: float) -> None:
    questions, unsure = random_labels(seed)
    policy = chosen("threshold", questions, unsure, target_accuracy=target)
    possible = [np.zeros(len(unsure), bool), *(unsure <= value for value in unsure)]
    reaching = [kept.sum() for kept in possible if kept_accuracy(questions, kept) >= target]
    kept = ~policy.defers(questions, unsure)
    assert kept.sum() == max(reaching, default=0)
    assert not kept.any() or kept_accuracy(questions, kept) >= target
    assert policy.chosen["n_deferred"] == len(unsure) - kept.sum()


def test_a_model_that_is_good_enough_defers_nothing__weakness_001_09() -> None:
    # maximising the accuracy of what is kept would keep one image of a hundred
    questions = right_or_wrong([1] * 60 + [0] + [1] * 38 + [0])
    policy = chosen("threshold", questions, range(100), target_accuracy=0.95)
    assert policy.threshold == math.inf
    assert not policy.defers(questions, np.arange(100.0)).any()


def test_a_target_that_nothing_reaches_defers_everything_and_says_so__weakness_001_09() -> None:
    questions = right_or_wrong([0, 1, 0, 1])
    policy = chosen("threshold", questions, [1, 2, 3, 4], target_accuracy=0.95)
    assert policy.threshold == -math.inf
    assert policy.defers(questions, np.arange(4.0)).all()
    assert policy.chosen["deferral_rate"] == 1
    assert policy.chosen["kept_accuracy"] is None


@pytest.mark.parametrize(
    ("name", "key", "values"),
    [
        ("threshold", "target_accuracy", (0.6, 0.95)),
        ("budget", "review_budget", (0.1, 0.5)),
        ("cost", "error_cost", (1.0, 40.0)),
        ("cost", "review_cost", (0.2, 30.0)),
        ("cost", "reader_accuracy", ((0.2,), (1.0,))),
        ("class_critical", "target_accuracy", (0.6, 0.99)),
        ("class_critical", "critical", (("b",), ("c",))),
    ],
)
def test_every_setting_moves_its_policy__weakness_001_09(name, key, values) -> None:
    rng = np.random.default_rng(4)
    unsure = rng.random(200)
    truth = rng.integers(0, 3, 200)
    is_wrong = rng.random(200) < unsure
    questions = classes(truth, np.where(is_wrong, (truth + 1) % 3, truth), num_answers=3)
    probs = rng.dirichlet((1, 1, 1), 200)[:, None]
    questions = replace(questions, probs=probs)
    base = {"target_accuracy": 0.55, "critical": ("b",), "error_cost": 10.0}
    policies = [chosen(name, questions, unsure, **base | {key: value}) for value in values]
    deferred = [policy.defers(questions, unsure) for policy in policies]
    assert (deferred[0] != deferred[1]).any()
    rates = [policy.chosen["deferral_rate"] for policy in policies]
    assert [each.mean() for each in deferred] == pytest.approx(rates)


def test_costs_take_one_accuracy_an_answer__weakness_001_09() -> None:
    # with a reader who never sees "b", it does not pay to give "b" to the reader
    questions = classes([0, 0, 1, 1], [1, 0, 0, 1])
    unsure = [4, 1, 3, 2]
    settings = {"error_cost": 10.0, "review_cost": 2.0}
    policy = chosen("cost", questions, unsure, reader_accuracy=(1.0, 0.0), **settings)
    assert policy.threshold == 3.5
    assert policy.chosen["cost_per_image"] == (10 + 2) / 4
    both = chosen("cost", questions, unsure, reader_accuracy=(1.0, 1.0), **settings)
    assert both.threshold == 2.5


@pytest.mark.parametrize("seed", range(6))
def test_no_threshold_costs_less(seed: int) -> None:
    questions, unsure = random_labels(seed)
    settings = {"error_cost": 3.0, "review_cost": 2.0, "reader_accuracy": (0.9, 0.7)}
    policy = chosen("cost", questions, unsure, **settings)
    costs = [cost_by_hand(questions, unsure > limit) for limit in (-1, *unsure)]
    assert policy.chosen["cost_per_image"] == pytest.approx(min(costs))
    assert cost_by_hand(questions, policy.defers(questions, unsure)) == pytest.approx(min(costs))


def cost_by_hand(questions: Questions, defers: np.ndarray) -> float:
    total = 0.0
    for image, is_deferred in enumerate(defers):
        total += 2.0 * is_deferred
        for question in range(3):
            true = questions.targets[image, question]
            if np.isnan(true):
                continue
            if is_deferred:
                total += 3.0 * (1 - (0.9, 0.7)[int(true)])
            else:
                total += 3.0 * (questions.given[image, question] != true)
    return total / len(defers)


def test_of_equal_costs_the_fewest_reviews_are_taken() -> None:
    questions = right_or_wrong([1, 1, 0])
    arguments = {"error_cost": 2.0, "review_cost": 2.0, "reader_accuracy": (1.0,)}
    assert chosen("cost", questions, [1, 2, 3], **arguments).threshold == math.inf
    free = arguments | {"error_cost": 0.0, "review_cost": 0.0}
    assert chosen("cost", questions, [1, 2, 3], **free).threshold == math.inf


@pytest.mark.parametrize(
    ("budget", "num_deferred"),
    [(0.0, 0), (0.1, 1), (0.19, 1), (0.2, 2), (0.3, 3), (0.7, 7), (0.99, 9), (1.0, 10)],
)
def test_the_budget_is_used_and_never_exceeded(budget: float, num_deferred: int) -> None:
    questions = right_or_wrong([1] * 10)
    unsure = np.random.default_rng(0).permutation(10).astype(float)
    policy = chosen("budget", questions, unsure, review_budget=budget)
    defers = policy.defers(questions, unsure)
    assert defers.sum() == num_deferred
    assert set(unsure[defers]) == set(range(10 - num_deferred, 10))


def test_equally_unsure_images_go_together_or_not() -> None:
    questions = right_or_wrong([1] * 5)
    policy = chosen("budget", questions, [1, 2, 2, 2, 3], review_budget=0.6)
    assert policy.chosen["n_deferred"] == 1
    same = chosen("budget", questions, [2] * 5, review_budget=0.8)
    assert same.threshold == math.inf


def test_a_budget_needs_no_truth() -> None:
    questions = classes([np.nan] * 4, [0, 1, 0, 1])
    policy = chosen("budget", questions, [1, 2, 3, 4], review_budget=0.5)
    assert policy.chosen["n_deferred"] == 2
    assert policy.chosen["kept_accuracy"] is None
    assert policy.chosen["n_answers"] == 0


def test_no_critical_truth_is_answered_wrong_automatically() -> None:
    # a critical "b" is missed at uncertainty 1, where its probability is 0.3
    questions = classes([1, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0])
    p_b = np.array([0.3, 0.2, 0.4, 0.9, 0.1, 0.05])
    questions = replace(questions, probs=two_answers(p_b[:, None]))
    unsure = [1, 2, 3, 4, 5, 6]
    policy = chosen("class_critical", questions, unsure, target_accuracy=0.8, critical=("b",))
    assert policy.threshold == math.inf
    assert policy.critical_threshold == pytest.approx(0.25)
    assert policy.chosen["critical_misses"] == 0
    assert policy.chosen["n_critical"] == 2
    assert policy.chosen["n_deferred"] == 3
    plain = chosen("threshold", questions, unsure, target_accuracy=0.8, critical=("b",))
    assert plain.chosen["critical_misses"] == 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("target", [0.7, 0.85])
def test_no_pair_of_thresholds_without_a_needless_deferral_keeps_more(
    seed: int, target: float
) -> None:
    questions, unsure = random_labels(seed)
    policy = chosen("class_critical", questions, unsure, target_accuracy=target, critical=("Mass",))
    p_mass = questions.probs[:, 1, 1]
    is_missed = (questions.targets[:, 1] == 1) & (questions.given[:, 1] == 0)
    best = 0
    for limit in (-1, *unsure):
        kept = unsure <= limit
        # by hand: of the critical probability, whatever is below the lowest one that is missed
        kept &= p_mass < p_mass[kept & is_missed].min(initial=np.inf)
        if kept_accuracy(questions, kept) >= target:
            best = max(best, kept.sum())
    kept = ~policy.defers(questions, unsure)
    assert kept.sum() == best
    assert not (kept & is_missed).any()
    assert not best or kept_accuracy(questions, kept) >= target


def test_where_missing_nothing_leaves_nothing_everything_is_deferred() -> None:
    questions = replace(
        classes([1, 0, 0], [0, 0, 0]), probs=two_answers(np.array([[0.0], [0.1], [0.2]]))
    )
    policy = chosen("class_critical", questions, [1, 2, 3], critical=("b",))
    assert policy.threshold == -math.inf
    assert policy.chosen["deferral_rate"] == 1


@pytest.mark.parametrize(
    ("name", "questions", "critical", "reason"),
    [
        ("class_critical", right_or_wrong([1, 0]), (), "no critical answers are named"),
        (
            "class_critical",
            right_or_wrong([1, 0]),
            ("b",),
            "no validation image is known to have a critical answer",
        ),
        ("threshold", classes([np.nan], [0]), (), "no answer of the validation images is known"),
        ("cost", classes([np.nan], [0]), (), "no answer of the validation images is known"),
        ("budget", classes([], []), (), "there is no validation image to choose it on"),
        ("threshold", classes([], []), (), "there is no validation image to choose it on"),
    ],
)
def test_without_anything_to_choose_from_a_policy_is_skipped(
    name, questions, critical, reason
) -> None:
    policy = chosen(name, questions, np.arange(len(questions)), critical=critical)
    assert policy == Policy(name=name, skipped=reason)


def test_what_was_aimed_at_is_kept_with_the_policy() -> None:
    settings = {"target_accuracy": 0.7, "review_budget": 0.3, "error_cost": 9.0, "review_cost": 4.0}
    questions, unsure = random_labels(3)
    kept = {
        policy.name: {key: value for key, value in policy.chosen.items() if key in settings}
        for policy in choose_policies(
            POLICIES, questions, unsure, TriageSettings(critical=("Mass",), **settings)
        )
    }
    assert kept == {
        "threshold": {"target_accuracy": 0.7},
        "budget": {"review_budget": 0.3},
        "cost": {"error_cost": 9.0, "review_cost": 4.0},
        "class_critical": {"target_accuracy": 0.7},
    }


def test_all_policies_come_in_the_order_asked_and_read_back() -> None:
    questions, unsure = random_labels(3)
    settings = TriageSettings(critical=("Mass",))
    policies = choose_policies(POLICIES[::-1], questions, unsure, settings)
    assert tuple(policy.name for policy in policies) == POLICIES[::-1]
    assert all(Policy.from_dict(policy.to_dict()) == policy for policy in policies)


def test_one_image_and_one_class_are_enough() -> None:
    for is_right in (0, 1):
        questions = right_or_wrong([is_right])
        settings = TriageSettings(critical=("a",))
        for policy in choose_policies(POLICIES, questions, np.zeros(1), settings):
            assert not policy.skipped
            assert policy.chosen["n_images"] == 1


def test_what_is_unknown_is_refused() -> None:
    questions, unsure = random_labels(0)
    with pytest.raises(ValueError, match="policy oracle: expected one of threshold, budget, cost"):
        choose_policies(("oracle",), questions, unsure, TriageSettings())
    with pytest.raises(ValueError, match="Edema unknown, expected some of Effusion, Mass, Hernia"):
        choose_policies(("budget",), questions, unsure, TriageSettings(critical=("Edema",)))
    with pytest.raises(ValueError, match=r"unsure has shape \(3,\): expected \(40,\)"):
        choose_policies(("budget",), questions, unsure[:3], TriageSettings())
