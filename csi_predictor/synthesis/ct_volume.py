"""One CT volume drawn from body to HU, with the findings that its labels name."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from csi_predictor.synthesis.anatomy import APEX_Z_MM, LEFT, RIGHT
from csi_predictor.synthesis.ct_body import AIR_HU, Chest, ct_grid, draw_chest
from csi_predictor.synthesis.ct_lungs import (
    EMPHYSEMA_HU,
    add_airways,
    add_vessels,
    draw_bronchi,
    draw_crescent,
    draw_emphysema,
    draw_parenchyma,
    draw_trees,
)
from csi_predictor.synthesis.findings_lesions import draw_consolidation, draw_nodule
from csi_predictor.synthesis.findings_plan import draw_labels, pick_sides, smallest, with_heart
from csi_predictor.synthesis.grid import Array, mix
from csi_predictor.synthesis.habitus import Habitus, draw_habitus
from csi_predictor.synthesis.thorax import Thorax

CT_PREVALENCES: Final = {
    "effusion": 0.35,
    "consolidation": 0.35,
    "cardiomegaly": 0.35,
    "emphysema": 0.30,
    "nodule": 0.40,
}
CT_LABELS: Final = tuple(CT_PREVALENCES)

FLUID_HU: Final = (2.0, 18.0)
CONSOLIDATION_HU: Final = (22.0, 55.0)
NODULE_HU: Final = (10.0, 70.0)
LARGEST_NODULE_MM: Final = 30.0
"""A larger one is called a mass (Fleischner Society glossary, doi:10.1148/radiol.2462070712)."""

LEAST_PLAIN_NODULE_MM: Final = 20.0
MOST_NODULES: Final = 14
THICKEST_FLUID_MM: Final = 46.0
NOISE_HU: Final = 18.0

_PATIENT_STREAM, _VOLUME_STREAM = 11, 12


@dataclass(frozen=True, slots=True)
class CtCase:
    """One patient with one scan, decided before anything is drawn.

    Attributes:
        index: Number of the case in the set, from 0.
        habitus: The body; its heart is as large as the label says.
        labels: 0 or 1 a label of `CT_LABELS`.
    """

    index: int
    habitus: Habitus
    labels: tuple[int, ...]

    @property
    def file_id(self) -> str:
        """Name of the file without extension."""
        return f"ct_{self.index:05d}"

    @property
    def patient_id(self) -> str:
        """The patient's id in the table."""
        return f"CT{self.index:05d}"

    def has(self, label: str) -> bool:
        """Whether a label of `CT_LABELS` is 1."""
        return bool(self.labels[CT_LABELS.index(label)])


def plan_ct_case(index: int, *, seed: int, overlap: float) -> CtCase:
    """The case of a number; it doesn't depend on how many others there are.

    Args:
        index: Number of the case.
        seed: Of the whole set.
        overlap: How near findings come to what is no finding; 0 is plain.
    """
    rng = np.random.default_rng((seed, index, _PATIENT_STREAM))
    labels = draw_labels(index, CT_PREVALENCES, seed=seed, stream=_PATIENT_STREAM)
    habitus = draw_habitus(rng, congestion=0.0)
    is_enlarged = bool(labels[CT_LABELS.index("cardiomegaly")])
    heart = with_heart(habitus, is_enlarged=is_enlarged, overlap=overlap, rng=rng)
    return CtCase(index, heart, labels)


def render_ct(
    case: CtCase, *, shape: tuple[int, int, int], seed: int, noise: float, overlap: float
) -> NDArray[np.int16]:
    """The volume (D, H, W) of a case in HU.

    Its axes run down, to the back and to the patient's left.

    Args:
        case: Whom to draw.
        shape: Voxels (D, H, W).
        seed: Of the whole set.
        noise: Strength of the quantum noise, 1 for a usual scan.
        overlap: How near findings come to what is no finding; 0 is plain.
    """
    # A generator for each step, so that a change in one leaves the others as they were.
    body, lungs, holes, blood, solid, fluid, round_, grain = np.random.default_rng(
        (seed, case.index, _VOLUME_STREAM)
    ).spawn(8)
    chest = draw_chest(ct_grid(shape, case.habitus), case.habitus, body)
    trees = draw_trees(case.habitus)
    content = draw_parenchyma(chest.grid, lungs)
    if case.has("emphysema"):
        content += draw_emphysema(chest.grid, overlap, holes) * (EMPHYSEMA_HU - content)
    add_vessels(content, chest, trees, blood)
    _add_dependent_band(content, chest, lungs)
    aerated = chest.lungs[RIGHT] + chest.lungs[LEFT]
    if case.has("consolidation"):
        aerated = aerated * (1.0 - _consolidate(content, chest, trees, overlap, solid))
    if case.has("effusion"):
        aerated = aerated * (1.0 - _pour(content, chest, overlap, fluid))
    if case.has("nodule"):
        _add_nodules(content, chest, aerated, overlap, round_)
    hu = chest.hu
    hu += (chest.lungs[RIGHT] + chest.lungs[LEFT]) * (content - hu)
    add_airways(hu, chest, trees, blood)
    return _scan(hu, noise, grain)


def _add_dependent_band(content: Array, chest: Chest, rng: np.random.Generator) -> None:
    """A thin layer of poorly aired lung along the back, which many have who lie, and no finding."""
    if rng.random() < 0.5:
        return
    share = np.float32(rng.uniform(0.2, 0.5))
    for lung in chest.lungs.values():
        band = draw_crescent(chest.grid, lung, rng.uniform(3.0, 8.0), rng.uniform(110.0, 180.0))
        content += share * band * -content


def _consolidate(
    content: Array, chest: Chest, trees: Thorax, overlap: float, rng: np.random.Generator
) -> Array:
    """Fill air spaces of one lung, in half of the cases of both; returns the share filled."""
    filled = np.zeros_like(content)
    value = np.float32(rng.uniform(*CONSOLIDATION_HU))
    for side in pick_sides(rng, both=0.5):
        share = draw_consolidation(chest.grid, chest.lungs[side], overlap, rng)
        content += share * (value - content)
        bronchi = draw_bronchi(chest, trees, side, rng)
        content += share * np.maximum(bronchi, AIR_HU - content)
        filled += share
    return filled


def _pour(content: Array, chest: Chest, overlap: float, rng: np.random.Generator) -> Array:
    """Let fluid lie behind one lung or both; returns the share that it takes."""
    poured = np.zeros_like(content)
    value = np.float32(rng.uniform(*FLUID_HU))
    for side in pick_sides(rng, both=0.4):
        thickness = rng.uniform(smallest(8.0, 22.0, overlap), THICKEST_FLUID_MM)
        # More fluid stands higher.
        top = max(215.0 - 2.6 * thickness + rng.normal(0.0, 10.0), APEX_Z_MM)
        share = draw_crescent(chest.grid, chest.lungs[side], thickness, top)
        content += share * (value - content)
        poured += share
    return poured


def _add_nodules(
    content: Array, chest: Chest, aerated: Array, overlap: float, rng: np.random.Generator
) -> None:
    low = smallest(6.0, LEAST_PLAIN_NODULE_MM, overlap)
    fewest = round(smallest(1.0, 8.0, overlap))
    for _ in range(int(rng.integers(fewest, MOST_NODULES + 1))):
        nodule = draw_nodule(chest.grid, aerated, (low, LARGEST_NODULE_MM), rng)
        mix(content, nodule, rng.uniform(*NODULE_HU))


def _scan(hu: Array, noise: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """Whole HU as a scanner stores them, with noise within the body, a little smooth as CT's is."""
    strength = NOISE_HU * noise * float(np.clip(np.exp(rng.normal(0.0, 0.3)), 0.6, 1.6))
    grain = rng.standard_normal(hu.shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(grain, (0.0, 0.5, 0.5), truncate=3.0)
    grain *= strength / float(grain.std())
    grain *= hu > AIR_HU + 1.0
    values: NDArray[np.int16] = np.rint(np.clip(hu + grain, -1024.0, 3071.0)).astype(np.int16)
    return values
