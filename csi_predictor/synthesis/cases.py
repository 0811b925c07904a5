"""Who is radiographed: patients, their studies and grades, what keeps a zone from a grade."""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from csi_predictor.specs import MAX_GRADE, ZONES
from csi_predictor.synthesis.habitus import Habitus, draw_habitus

Hindrance = Literal["collimated_apex", "collimated_base", "plate", "overexposed"]

ZONE_MEANS: Final = (0.80, 0.60, 1.42, 1.18, 1.66, 1.40)
"""Mean of the continuous severity by zone. Graded, cut at 0 and 3, its mean over zones is 1.2, as
is that of the senior radiologist's grades in the public Brixia subset (upper 0.76, mid 1.33, lower
1.52; Signoroni et al., Med Image Anal 2021;71:102046)."""

PATIENT_SD, STUDY_SD, SIDE_SD, LEVEL_SD, ZONE_SD = 0.78, 0.35, 0.30, 0.30, 0.50
TWO_STUDIES_CHANCE = 0.25
MEAN_HINDERED_ZONES = 1.5
PATIENT_STREAM = 2**32 - 1
"""Marks the generators of patients, so that they share none with the studies' (seed, index)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One study of one patient, decided before anything is drawn.

    Attributes:
        index: Number of the study in the set, from 0.
        file_id: Name of its file without extension.
        patient_index: Number of the patient, from 0.
        patient_id: The patient's id in the table and in the file.
        study_number: 0 for the patient's first study, 1 for the second.
        habitus: The body on that day.
        grades: Grade 0-3 of each zone of `specs.ZONES`, None where it can't be graded.
        severity: What is drawn in each zone, continuous, 0 to 3.4.
        hindrance: Why zones can't be graded, None where all can.
        is_bedside: Taken AP in bed.
    """

    index: int
    file_id: str
    patient_index: int
    patient_id: str
    study_number: int
    habitus: Habitus
    grades: tuple[int | None, ...]
    severity: tuple[float, ...]
    hindrance: Hindrance | None
    is_bedside: bool


def study_rng(seed: int, index: int, stream: int = 0) -> np.random.Generator:
    """The generator of one study, the same whoever draws it and in whatever order."""
    return np.random.default_rng((seed, index, stream))


def plan_cases(
    *, count: int, seed: int, ungradable_fraction: float, grade_overlap: float
) -> list[Case]:
    """The first `count` studies of a seed; fewer are always a beginning of more.

    Args:
        count: Studies.
        seed: Of the whole set.
        ungradable_fraction: Share of zones that can't be graded, about.
        grade_overlap: How far the picture of a zone strays from its grade; 0 is exact, 1 as readers
            disagree.
    """
    cases: list[Case] = []
    patient_index = 0
    while len(cases) < count:
        patient_rng = np.random.default_rng((seed, PATIENT_STREAM, patient_index))
        tendency = float(patient_rng.normal())
        habitus = draw_habitus(patient_rng, congestion=tendency)
        studies = 2 if patient_rng.random() < TWO_STUDIES_CHANCE else 1
        for study_number in range(studies):
            rng = study_rng(seed, len(cases))
            grades, severity = _draw_grades(tendency, grade_overlap, rng)
            hindrance, hindered = _draw_hindrance(ungradable_fraction, rng)
            is_bedside = bool(rng.random() < 0.25 + 0.2 * (np.mean(grades) > 1.5))
            cases.append(
                Case(
                    index=len(cases),
                    file_id=f"phantom_{len(cases):05d}",
                    patient_index=patient_index,
                    patient_id=f"PH{patient_index:05d}",
                    study_number=study_number,
                    habitus=_on_the_day(habitus, is_bedside, rng),
                    grades=tuple(
                        None if zone in hindered else grade for zone, grade in enumerate(grades)
                    ),
                    severity=severity,
                    hindrance=hindrance,
                    is_bedside=is_bedside,
                )
            )
        patient_index += 1
    return cases[:count]


def _draw_grades(
    tendency: float, overlap: float, rng: np.random.Generator
) -> tuple[list[int], tuple[float, ...]]:
    study = rng.normal(0, STUDY_SD)
    sides, levels, zones = (
        rng.normal(0, SIDE_SD, 2),
        rng.normal(0, LEVEL_SD, 3),
        rng.normal(0, ZONE_SD, 6),
    )
    latent = (
        np.array(ZONE_MEANS)
        + PATIENT_SD * tendency
        + study
        + np.tile(sides, 3)
        + np.repeat(levels, 2)
        + zones
    )
    grades = np.clip(np.rint(latent), 0, MAX_GRADE)
    within = 0.7 * np.clip(latent - grades, -0.5, 0.5) + rng.normal(0, 0.22, len(ZONES))
    severity = np.clip(grades + overlap * within, 0.0, 3.4)
    return [int(grade) for grade in grades], tuple(float(value) for value in severity)


def _draw_hindrance(
    fraction: float, rng: np.random.Generator
) -> tuple[Hindrance | None, frozenset[int]]:
    is_hindered = rng.random() < fraction * len(ZONES) / MEAN_HINDERED_ZONES
    kinds: tuple[Hindrance, ...] = ("collimated_apex", "collimated_base", "plate", "overexposed")
    kind, zone = kinds[int(rng.integers(4))], int(rng.integers(len(ZONES)))
    if not is_hindered:
        return None, frozenset()
    zones = {"collimated_apex": {0, 1}, "collimated_base": {4, 5}}.get(kind, {zone})
    return kind, frozenset(zones)


def _on_the_day(habitus: Habitus, is_bedside: bool, rng: np.random.Generator) -> Habitus:
    """The body in another breath; in bed the heart looks larger, the diaphragm stands higher."""
    breath = rng.normal(-9.0 if is_bedside else 0.0, 3.0)
    return replace(
        habitus,
        heart=habitus.heart * (1.08 if is_bedside else 1.0),
        right_dome_z_mm=habitus.right_dome_z_mm + breath,
        left_dome_z_mm=habitus.left_dome_z_mm + breath,
    )
