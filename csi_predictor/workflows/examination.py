"""Predictors on the rows that they are evaluated on, with what is known of their trust."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.inference.bundle import Bundle
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictor import LabelPredictor, Predictor, open_predictor
from csi_predictor.metrics.thresholds import best_f1_thresholds
from csi_predictor.runtime import Compute
from csi_predictor.training.run import TrainedNetwork
from csi_predictor.uncertainty.measures import MeasureName, available_measures
from csi_predictor.uncertainty.trust import (
    Answers,
    Trust,
    TrustedAnswers,
    TrustSettings,
    apply_trust,
    join_trusted,
    without_trust,
)
from csi_predictor.workflows.answers import predict
from csi_predictor.workflows.trust import (
    SplitAnswers,
    dropout_of,
    fit_trusts,
    measure_of,
    trust_settings,
)

if TYPE_CHECKING:
    from csi_predictor.workflows.training import LabelledData


@dataclass(frozen=True)
class Examined:
    """A predictor and the rows that it is evaluated on, none of which it has learnt from.

    Attributes:
        predictor: Of a bundle, or of the networks of one fold.
        rows: At least one with a known target.
        trust: Fitted on other rows than these; None = there were none to fit on.
    """

    predictor: Predictor | LabelPredictor
    rows: Sequence[Row]
    trust: Trust | None = None


@dataclass(frozen=True)
class Examination:
    """All that an evaluation works on.

    Attributes:
        every: One bundle, or one a fold, each with its own rows.
        answers: Theirs, in the order of `every`; None = no row was set aside.
        trust: What the bundle keeps; None = there was nothing to fit on.
        settings: What the trusts were fitted for, the reader and the costs as the INI says.
    """

    every: tuple[Examined, ...]
    answers: TrustedAnswers | None
    trust: Trust | None
    settings: TrustSettings

    @property
    def rows(self) -> list[Row]:
        """All that are evaluated, in the answers' order."""
        return [row for each in self.every for row in each.rows]


def examine(
    config: Config,
    data: "LabelledData",
    trained: Sequence[TrainedNetwork],
    bundle: Bundle,
    compute: Compute,
) -> Examination:
    """Each split's own networks on its own validation rows, which fit the trust, and test rows.

    Raises:
        BundleError: UNCERTAINTY = mc_dropout and the networks have no dropout.
    """
    predictors, answers = [], []
    for index, split in enumerate(data.splits):
        members = tuple(
            model
            for network, model in zip(trained, bundle.models, strict=True)
            if network.place.split_index == index
        )
        own = Bundle(members, bundle.facts, bundle.folder)
        predictor = open_predictor([own], device=compute.device, dropout=dropout_of(config))
        predictors.append(predictor)
        part = SplitAnswers(
            validation=_predict_part(config, predictor, data, split.val),
            test=_predict_part(config, predictor, data, split.test),
        )
        answers.append(part if len(data.splits) == 1 else _with_own_thresholds(part))
    fitted = fit_trusts(config, answers)
    every, judged = [], []
    for index, split in enumerate(data.splits):
        test = answers[index].test
        if test is not None:
            rows = data.manifest.select(split.test)
            every.append(Examined(predictors[index], rows, fitted.by_split[index]))
            judged.append(judge(config, every[-1], test))
    return Examination(
        tuple(every),
        join_trusted(judged) if judged else None,
        fitted.whole,
        trust_settings(config),
    )


def _with_own_thresholds(part: SplitAnswers) -> SplitAnswers:
    """One fold's labels called from thresholds of its own validation rows.

    The bundle's are those of all folds' validation rows, among which are this fold's test rows.
    """
    validation, test = part.validation, part.test
    if not isinstance(test, LabelPredictions) or test.is_multiclass:
        return part
    if not isinstance(validation, LabelPredictions):
        return SplitAnswers(validation=None, test=replace(test, thresholds=()))
    thresholds = best_f1_thresholds(validation.targets, validation.probs)
    return SplitAnswers(
        validation=replace(validation, thresholds=thresholds),
        test=replace(test, thresholds=thresholds),
    )


def _predict_part(
    config: Config,
    predictor: Predictor | LabelPredictor,
    data: "LabelledData",
    file_ids: Sequence[str],
) -> Answers | None:
    """Answers for a part that has a known truth; None where it hasn't."""
    rows = data.manifest.select(file_ids)
    return predict(config, predictor, rows, data.cache) if has_known(rows) else None


def has_known(rows: Sequence[Row]) -> bool:
    """Whether any row has any known target."""
    return any(np.isfinite(row.targets).any() for row in rows)


def judge(config: Config, examined: Examined, answers: Answers) -> TrustedAnswers:
    """What the examined predictor's trust says of its answers."""
    if examined.trust is None:
        return without_trust(answers, _told_measure(config, answers))
    return apply_trust(examined.trust, answers)


def _told_measure(config: Config, answers: Answers) -> MeasureName:
    """The INI's measure, or the confidence where it compares passes and there is one."""
    name = measure_of(config)
    return name if name in available_measures(answers.spread) else "confidence"


def ask(config: Config, every: Sequence[Examined], store: PixelStore) -> TrustedAnswers:
    """All rows' answers, each from the predictor that hasn't learnt from it.

    Args:
        config: The whole configuration.
        every: One bundle, or one a fold.
        store: Their pictures, as they are or changed.
    """
    return join_trusted(
        [judge(config, each, predict(config, each.predictor, each.rows, store)) for each in every]
    )


def ask_some(
    config: Config, examination: Examination
) -> Callable[[Sequence[Row], PixelStore], Answers]:
    """A function from some of the rows and their pictures to their judged answers, in order."""

    def answer(rows: Sequence[Row], store: PixelStore) -> Answers:
        place = {row.file_id: index for index, row in enumerate(rows)}
        parts, order = [], []
        for each in examination.every:
            own = [row for row in each.rows if row.file_id in place]
            if own:
                raw = predict(config, each.predictor, own, store)
                parts.append(judge(config, each, raw))
                order += [place[row.file_id] for row in own]
        return join_trusted(parts).after.take(np.argsort(order))

    return answer
