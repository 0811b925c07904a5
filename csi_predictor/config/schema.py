"""A whole INI as one frozen record; each section has its own file in `sections/`."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from csi_predictor.config.fields import Section, upper_case
from csi_predictor.config.sections.augmentation import AugmentationSection
from csi_predictor.config.sections.benchmark import BenchmarkSection
from csi_predictor.config.sections.data import DataSection
from csi_predictor.config.sections.evaluation import EvaluationSection
from csi_predictor.config.sections.model import ModelSection
from csi_predictor.config.sections.runtime import RuntimeSection
from csi_predictor.config.sections.scoring import ScoringSection
from csi_predictor.config.sections.synthesis import SynthesisSection
from csi_predictor.config.sections.training import TrainingSection

__all__ = [
    "SECTIONS",
    "AugmentationSection",
    "BenchmarkSection",
    "Config",
    "DataSection",
    "EvaluationSection",
    "ModelSection",
    "RuntimeSection",
    "ScoringSection",
    "SynthesisSection",
    "TrainingSection",
    "default_of",
]


class Config(BaseModel):
    """A whole INI, checked. Sections are attributes in lower case: `config.model.model_arch`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=upper_case, populate_by_name=True
    )

    runtime: RuntimeSection = RuntimeSection()
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    augmentation: AugmentationSection = AugmentationSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    scoring: ScoringSection = ScoringSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    synthesis: SynthesisSection = SynthesisSection()


SECTIONS: dict[str, type[Section]] = {
    name.upper(): type(field.get_default(call_default_factory=True))
    for name, field in Config.model_fields.items()
}


def default_of(section: str, name: str) -> Any:
    """The default of an INI key, by its upper-case names."""
    return SECTIONS[section].model_fields[name.lower()].default
