"""The body of one patient: the few numbers in which one thorax differs from another."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Habitus:
    """What the anatomy of a patient is drawn from. Lengths are nominal mm, before `scale`.

    Attributes:
        sex: M or F.
        age_years: 25 to 95.
        scale: Size relative to the nominal thorax along (z, y, x).
        fat_mm: Thickness of the fat under the skin.
        breast: Size of the breasts, 0 for none, 1 for middling.
        heart: Width of the heart relative to a normal one.
        mediastinum: Width of the upper mediastinum relative to a middling one.
        knob: Size of the aortic knob relative to a middling one.
        right_dome_z_mm: Level of the top of the right hemidiaphragm.
        left_dome_z_mm: Level of the top of the left hemidiaphragm.
        dome_height_mm: Fall of the diaphragm from its top to the lateral costophrenic angle.
        rib_slope: Steepness of the ribs relative to the nominal cage.
        stomach_bubble: Size of the gas bubble in the stomach, 0 for none.
        seed: Seed for the finer anatomy: vessels, small irregularities.
    """

    sex: str
    age_years: int
    scale: tuple[float, float, float]
    fat_mm: float
    breast: float
    heart: float
    mediastinum: float
    knob: float
    right_dome_z_mm: float
    left_dome_z_mm: float
    dome_height_mm: float
    rib_slope: float
    stomach_bubble: float
    seed: int


def draw_habitus(rng: np.random.Generator, *, congestion: float) -> Habitus:
    """Draw a patient.

    Args:
        rng: The patient's own generator.
        congestion: The patient's tendency to congestion in standard deviations; congested hearts
            are larger.
    """
    is_female = bool(rng.random() < 0.45)
    stature, girth = rng.normal(0.0, 1.0, 2)
    size = 0.97 if is_female else 1.03
    inspiration = rng.normal(0.0, 7.0)
    right_dome = 284.0 + inspiration - 2.5 * max(congestion, 0.0)
    return Habitus(
        sex="F" if is_female else "M",
        age_years=int(np.clip(rng.normal(68.0, 13.0), 25, 95)),
        scale=(
            float(np.clip(size * (1.04 + 0.03 * stature), 0.93, 1.15)),
            float(np.clip(size * (1.0 + 0.07 * girth), 0.84, 1.14)),
            float(np.clip(size * (1.05 + 0.035 * girth + 0.01 * stature), 0.94, 1.17)),
        ),
        fat_mm=float(np.clip(12.0 + 6.0 * girth, 3.0, 30.0)),
        breast=float(np.clip(rng.normal(0.9, 0.35), 0.3, 1.6)) if is_female else 0.0,
        heart=float(np.clip(rng.normal(1.0 + 0.05 * congestion, 0.10), 0.78, 1.3)),
        mediastinum=float(np.clip(rng.normal(1.02, 0.12), 0.75, 1.35)),
        knob=float(np.clip(rng.normal(1.0, 0.2), 0.5, 1.5)),
        right_dome_z_mm=float(right_dome),
        left_dome_z_mm=float(right_dome + np.clip(rng.normal(11.0, 5.0), -2.0, 24.0)),
        dome_height_mm=float(np.clip(rng.normal(38.0, 7.0), 20.0, 55.0)),
        rib_slope=float(np.clip(rng.normal(1.0, 0.15), 0.65, 1.35)),
        stomach_bubble=float(np.clip(rng.normal(0.8, 0.5), 0.0, 1.5)),
        seed=int(rng.integers(2**31)),
    )
