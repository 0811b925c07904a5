import signal
from functools import partial
from operator import mul

import pytest

from csi_predictor.data import process_pool
from csi_predictor.data.process_pool import map_unordered
from csi_predictor.errors import ResourceError


@pytest.mark.parametrize(("count", "workers"), [(0, 2), (5, 0), (5, 4), (40, 2), (40, 1)])
def test_every_item_is_worked_on_once(count: int, workers: int) -> None:
    results = map_unordered(partial(mul, 3), range(count), workers)
    assert sorted(results) == [3 * item for item in range(count)]


def test_processes_work_on_every_item_once_and_a_killed_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_pool, "_WORTH_S", 0.0)
    results = map_unordered(partial(mul, 3), range(40), 2)
    assert sorted(results) == [3 * item for item in range(40)]
    deadly = [0] * 8 + [signal.SIGKILL]  # signal 0 does nothing
    with pytest.raises(ResourceError, match=r"killed while .* one of .*9.*: free some memory"):
        list(map_unordered(signal.raise_signal, deadly, 2))
