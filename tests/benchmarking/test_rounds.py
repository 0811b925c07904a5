"""Turns in rotated order, with a played clock."""

from collections.abc import Callable

import pytest

from csi_predictor.benchmarking.rounds import MOST_REPEATS, rotated, run_rounds
from csi_predictor.benchmarking.timing import Call, Sample


def clock(durations_s: dict[str, float], told: list[str]) -> Callable[[Call], Sample]:
    """A timer of calls that give their own name."""

    def time_call(call: Call) -> Sample:
        name = str(call())
        told.append(name)
        return Sample(durations_s[name], durations_s[name] / 2)

    return time_call


def play(
    durations_s: dict[str, float], *, rounds: int = 3, budget_s: float = 1e9
) -> tuple[dict[str, object], list[str], list[str]]:
    told: list[str] = []
    turns: list[str] = []
    result = run_rounds(
        {name: (lambda name=name: name) for name in durations_s},
        rounds=rounds,
        time_call=clock(durations_s, told),
        budget_s=budget_s,
        reason_of=str,
        on_turn=turns.append,
    )
    return result, told, turns


def test_each_round_begins_with_another() -> None:
    _, told, turns = play({"a": 1.0, "b": 1.0, "c": 1.0})
    assert told == [*"aabbcc", *"abc", *"bca", *"cab"]
    assert turns == [*"abc", *"abc", *"bca", *"cab"]


def test_rotation_goes_round() -> None:
    assert list(rotated("abc", 4)) == ["b", "c", "a"]


def test_a_quick_call_is_repeated_and_first_settles() -> None:
    result, told, _ = play({"quick": 0.02, "slow": 0.5}, rounds=2)
    assert result["quick"].repeats == 5  # 0.1 s
    assert len(result["quick"].samples) == 2 * 5
    assert len(result["slow"].samples) == 2
    assert told.count("quick") == 2 + 2 * (1 + 5)
    assert told.count("slow") == 2 + 2
    assert result["quick"].rounds == 2


def test_repeats_have_an_upper_limit() -> None:
    result, _, _ = play({"tiny": 1e-5}, rounds=1)
    assert result["tiny"].repeats == MOST_REPEATS


def test_a_call_out_of_budget_keeps_its_samples_and_the_others_go_on() -> None:
    result, _, _ = play({"slow": 4.0, "fast": 1.0}, rounds=5, budget_s=6.0)
    assert result["slow"].error == "given up after 2 of 5 rounds: TIMEOUT_S"
    assert len(result["slow"].samples) == 2
    assert result["fast"].error == ""
    assert len(result["fast"].samples) == 5


@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_a_call_that_fails_has_its_reason_and_the_others_go_on(fails_at: int) -> None:
    calls = 0

    def fails() -> str:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise RuntimeError("no more")
        return "fails"

    result = run_rounds(
        {"fails": fails, "works": lambda: "works"},
        rounds=3,
        time_call=clock({"fails": 1.0, "works": 1.0}, []),
        budget_s=1e9,
        reason_of=str,
        on_turn=lambda name: None,
    )
    assert result["fails"].error == "no more"
    assert len(result["fails"].samples) == max(fails_at - 3, 0)
    assert len(result["works"].samples) == 3
