"""Every network of a plan, one after another, as rows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from loguru import logger

from csi_predictor.benchmarking.child import (
    TRAINABLE,
    Doing,
    Failed,
    Job,
    Message,
    Purpose,
    Remark,
    Value,
)
from csi_predictor.benchmarking.plan import NetworkPlan, Settings
from csi_predictor.benchmarking.processes import Lost, follow
from csi_predictor.benchmarking.records import BenchmarkRow
from csi_predictor.inference.engines.table import split_engine
from csi_predictor.progress import Progress


def measure_networks(
    plans: Sequence[NetworkPlan], settings: Settings
) -> Iterator[list[BenchmarkRow]]:
    """The rows of each network, as soon as it is done.

    All engines of one network live in one child process and take turns there; then each has a
    process of its own for its peak memory, and those that train do the same again. Networks come
    one after another: two rows of different networks are not from the same moment.
    """
    total = sum(_count_steps(plan, settings) for plan in plans)
    with Progress("benchmark", total, unit="steps") as progress:
        for plan in plans:
            logger.info("Measuring {}", plan.title)
            steps = _Steps(progress, left=_count_steps(plan, settings))
            yield measure_network(plan, settings, on_step=steps.advance)
            steps.finish()


def measure_network(
    plan: NetworkPlan, settings: Settings, *, on_step: Callable[[str], None]
) -> list[BenchmarkRow]:
    """One row an engine; what can't be measured is a row with its reason.

    Args:
        plan: The network.
        settings: Of all.
        on_step: Told in words of each step that begins.
    """
    board = _Board(plan, settings, on_step)
    board.run("infer", plan.engines)
    for word in board.able(plan.engines):
        board.run("memory", (word,))
    learners = board.able(_learners(plan, settings))
    board.run("train", learners)
    for word in board.able(learners):
        board.run("train_memory", (word,))
    rows = [board.row(word) for word in plan.engines]
    for row in rows:
        if row.error:
            logger.warning("{} with {} {}: {}", plan.title, row.engine, row.precision, row.error)
    return rows


@dataclass
class _Board:
    """Figures and errors of one network by engine, filled by child processes."""

    plan: NetworkPlan
    settings: Settings
    on_step: Callable[[str], None]
    figures: dict[str, dict[str, Value]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)

    def run(self, purpose: Purpose, engines: Sequence[str]) -> None:
        """One child process; where it is lost, another for the engines that aren't to blame."""
        waiting = tuple(engines)
        while waiting:
            before = {word: len(self.errors.get(word, ())) for word in waiting}
            lost = self._follow(
                Job(purpose=purpose, plan=self.plan, engines=waiting, settings=self.settings)
            )
            if lost is None:
                return
            if lost.engine is None:
                self._fail(waiting, lost.reason)
                return
            self._fail((lost.engine,), lost.reason)
            waiting = tuple(w for w in waiting if len(self.errors.get(w, ())) == before[w])

    def able(self, engines: Sequence[str]) -> tuple[str, ...]:
        """Those without an error."""
        return tuple(word for word in engines if word not in self.errors)

    def row(self, word: str) -> BenchmarkRow:
        """What is known of an engine."""
        engine, precision = split_engine(word)
        # the evaluation was made in fp32: it says nothing of what bf16 answers
        known = self.plan.quality if precision == "fp32" else None
        metric, quality = known or ("", None)
        figures: dict[str, Value] = {
            "model": self.plan.name,
            "infer_batch_size": self.plan.batch_size,
            "engine": engine,
            "precision": precision,
            "device": self.settings.device,
            "threads": self.settings.num_threads,
            "quality": quality,
            "quality_metric": metric,
            **self.figures.get(word, {}),
            "error": "; ".join(self.errors.get(word, ())),
        }
        return BenchmarkRow(**figures)  # type: ignore[arg-type]

    def _follow(self, job: Job) -> Lost | None:
        with closing(follow(job)) as messages:
            for message in messages:
                if isinstance(message, Lost):
                    return message
                self._book(message, job.engines)
        return None

    def _book(self, message: Message, engines: Sequence[str]) -> None:
        if isinstance(message, Remark):
            logger.warning("{}", message.text)
            return
        concerned = engines if message.engine is None else (message.engine,)
        if isinstance(message, Doing):
            if message.engine is not None:
                self.on_step(f"{self.plan.title}: {message.engine} {message.what}")
        elif isinstance(message, Failed):
            self._fail(concerned, message.reason)
        else:
            for word in concerned:
                self.figures.setdefault(word, {}).update(message.figures)

    def _fail(self, engines: Sequence[str], reason: str) -> None:
        for word in engines:
            self.errors.setdefault(word, []).append(reason)


def _learners(plan: NetworkPlan, settings: Settings) -> tuple[str, ...]:
    """The engines that are asked to train: none for a bundle, which is trained already."""
    if not settings.train or plan.bundle is not None:
        return ()
    return tuple(word for word in plan.engines if split_engine(word)[0] in TRAINABLE)


def _count_steps(plan: NetworkPlan, settings: Settings) -> int:
    """How many steps of an engine a child announces if nothing fails."""
    each = settings.runs + 3  # prepared, called to learn its speed, and alone for its memory
    return each * (len(plan.engines) + len(_learners(plan, settings)))


class _Steps:
    """The share of one network in the progress; a failure skips steps, another try adds none."""

    def __init__(self, progress: Progress, *, left: int) -> None:
        self._progress = progress
        self._left = left

    def advance(self, text: str) -> None:
        self._progress.advance(min(self._left, 1), text)
        self._left -= min(self._left, 1)

    def finish(self) -> None:
        self._progress.advance(self._left)
