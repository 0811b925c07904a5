"""Rounds in which several calls take turns, so that a noisy moment of the machine hits them all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from csi_predictor.benchmarking.timing import Call, Sample

TURN_S = 0.1
"""A quick call is repeated until a turn has about this length, or the most repeats."""
MOST_REPEATS = 20
SETTLE_BELOW_S = 0.2
"""A call that takes less is made once untimed before its turn: caches and threads are another's."""

TimeCall = Callable[[Call], Sample]


@dataclass
class Turns:
    """What one call's turns have given so far.

    Attributes:
        repeats: Timed calls a turn.
        settles: Whether a turn begins with an untimed call.
        samples: All timed calls.
        rounds: Turns done.
        spent_s: Wall time of all of them.
        error: What ended them early; empty = nothing did.
    """

    repeats: int
    settles: bool
    samples: list[Sample] = field(default_factory=list)
    rounds: int = 0
    spent_s: float = 0.0
    error: str = ""


def run_rounds(
    calls: Mapping[str, Call],
    *,
    rounds: int,
    time_call: TimeCall,
    budget_s: float,
    reason_of: Callable[[Exception], str],
    on_turn: Callable[[str], None],
) -> dict[str, Turns]:
    """Let each call have its turn in each round; the order rotates by one from round to round.

    A call that fails or has used up its budget has no more turns; the others go on.

    Args:
        calls: By name.
        rounds: Turns for each.
        time_call: Runs one and times it.
        budget_s: Wall time that the turns of one call may take together.
        reason_of: Words for what a call raises.
        on_turn: Told the name before each turn, and before the calls that come first to learn how
            long one takes.
    """
    turns: dict[str, Turns] = {}
    for name, call in calls.items():
        on_turn(name)
        turns[name] = _warm_up(call, time_call, reason_of)
    for index in range(rounds):
        for name in rotated(list(calls), index):
            mine = turns[name]
            if mine.error:
                continue
            if mine.spent_s > budget_s:
                mine.error = f"given up after {mine.rounds} of {rounds} rounds: TIMEOUT_S"
                continue
            on_turn(name)
            _take_turn(calls[name], mine, time_call, reason_of)
    return turns


def rotated(names: Sequence[str], index: int) -> Iterator[str]:
    """All names, beginning with number `index`, counted round and round."""
    return (names[(index + offset) % len(names)] for offset in range(len(names)))


def _warm_up(call: Call, time_call: TimeCall, reason_of: Callable[[Exception], str]) -> Turns:
    """Two calls; the second, which finds everything in place, sets the length of a turn."""
    try:
        time_call(call)
        usual_s = time_call(call).wall_s
    except Exception as error:  # whatever an engine raises is this row's reason
        return Turns(repeats=0, settles=False, error=reason_of(error))
    repeats = min(max(int(TURN_S / max(usual_s, 1e-9)), 1), MOST_REPEATS)
    return Turns(repeats=repeats, settles=usual_s < SETTLE_BELOW_S)


def _take_turn(
    call: Call, mine: Turns, time_call: TimeCall, reason_of: Callable[[Exception], str]
) -> None:
    try:
        if mine.settles:
            mine.spent_s += time_call(call).wall_s
        for _ in range(mine.repeats):
            sample = time_call(call)
            mine.samples.append(sample)
            mine.spent_s += sample.wall_s
    except Exception as error:  # whatever an engine raises is this row's reason
        mine.error = reason_of(error)
    else:
        mine.rounds += 1
