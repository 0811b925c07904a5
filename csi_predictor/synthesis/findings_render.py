"""One radiograph with the findings that its labels name, drawn from body to picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from csi_predictor.synthesis.anatomy import CAGE_HALF_WIDTH
from csi_predictor.synthesis.attenuation import LUNG_PER_MM, SOFT_TISSUE_PER_MM, WATER_PER_MM
from csi_predictor.synthesis.congestion import draw_congestion
from csi_predictor.synthesis.findings_devices import draw_device
from csi_predictor.synthesis.findings_lesions import draw_consolidation, draw_nodule
from csi_predictor.synthesis.findings_plan import draw_labels, pick_sides, smallest, with_heart
from csi_predictor.synthesis.grid import Array, profile
from csi_predictor.synthesis.habitus import Habitus, draw_habitus
from csi_predictor.synthesis.noise import soft_tissue_unevenness
from csi_predictor.synthesis.projection import View, project_strands, project_volume
from csi_predictor.synthesis.radiograph import draw_exposure, expose
from csi_predictor.synthesis.strands import join
from csi_predictor.synthesis.thorax import Thorax, build_thorax

FINDING_PREVALENCES: Final = {
    "cardiomegaly": 0.35,
    "effusion": 0.35,
    "consolidation": 0.35,
    "nodule": 0.35,
    "device": 0.30,
}
FINDING_LABELS: Final = tuple(FINDING_PREVALENCES)

TWO_IMAGES_CHANCE: Final = 0.25
HIGHEST_FLUID_MM: Final = 105.0
LARGEST_NODULE_MM: Final = 34.0
MENISCUS_MM: Final = 30.0
"""How much higher fluid stands at the chest wall than in the middle."""

_PATIENT_STREAM, _IMAGE_STREAM, _PICTURE_STREAM = 21, 22, 23


@dataclass(frozen=True, slots=True)
class FindingCase:
    """One radiograph of one patient, decided before anything is drawn.

    Attributes:
        index: Number of the image in the set, from 0.
        patient_index: Number of the patient, from 0.
        image_number: 0 for the patient's first image, 1 for the second.
        habitus: The body; its heart is as large as the label says.
        labels: 0 or 1 a label of `FINDING_LABELS`: what is drawn.
        told: The same as the table tells it, None where it says unknown.
    """

    index: int
    patient_index: int
    image_number: int
    habitus: Habitus
    labels: tuple[int, ...]
    told: tuple[int | None, ...]

    @property
    def file_id(self) -> str:
        """Name of the file without extension."""
        return f"finding_{self.index:05d}"

    @property
    def patient_id(self) -> str:
        """The patient's id in the table and in the file."""
        return f"FI{self.patient_index:05d}"

    def has(self, label: str) -> bool:
        """Whether a label of `FINDING_LABELS` is drawn."""
        return bool(self.labels[FINDING_LABELS.index(label)])


def plan_finding_cases(
    *, count: int, seed: int, unknown_fraction: float, overlap: float
) -> list[FindingCase]:
    """The first `count` radiographs of a seed; fewer are always a beginning of more.

    Heart and device are the patient's and stay; the other findings come and go.

    Args:
        count: Images; about a quarter of the patients have two.
        seed: Of the whole set.
        unknown_fraction: Share of labels that the table leaves empty.
        overlap: How near findings come to what is no finding; 0 is plain.
    """
    cases: list[FindingCase] = []
    patient_index = 0
    while len(cases) < count:
        rng = np.random.default_rng((seed, patient_index, _PATIENT_STREAM))
        lasting = draw_labels(patient_index, FINDING_PREVALENCES, seed=seed, stream=_PATIENT_STREAM)
        is_enlarged = bool(lasting[FINDING_LABELS.index("cardiomegaly")])
        habitus = draw_habitus(rng, congestion=0.0)
        habitus = with_heart(habitus, is_enlarged=is_enlarged, overlap=overlap, rng=rng)
        for image_number in range(2 if rng.random() < TWO_IMAGES_CHANCE else 1):
            index = len(cases)
            passing = draw_labels(index, FINDING_PREVALENCES, seed=seed, stream=_IMAGE_STREAM)
            labels = tuple(
                always if name in ("cardiomegaly", "device") else now
                for name, always, now in zip(FINDING_LABELS, lasting, passing, strict=True)
            )
            hidden = np.random.default_rng((seed, index, _IMAGE_STREAM)).random(len(labels))
            told = tuple(
                None if chance < unknown_fraction else label
                for chance, label in zip(hidden, labels, strict=True)
            )
            cases.append(FindingCase(index, patient_index, image_number, habitus, labels, told))
        patient_index += 1
    return cases[:count]


def render_finding(
    case: FindingCase,
    *,
    size: int,
    seed: int,
    noise: float,
    rotation_deg: float,
    overlap: float,
) -> Array:
    """The radiograph (size, size) of a case in [0, 1], 1 for dense.

    Args:
        case: Whom to draw.
        size: Edge of the picture in pixels.
        seed: Of the whole set.
        noise: Strength of quantum noise and of the spread of exposures, 1 for a usual department.
        rotation_deg: Standard deviation of the patient's rotation.
        overlap: How near findings come to what is no finding; 0 is plain.
    """
    # A generator for each step, so that a change in one leaves the others as they were.
    placing, lungs, fluid, solid, round_, tissue, beam = np.random.default_rng(
        (seed, case.index, _PICTURE_STREAM)
    ).spawn(7)
    down, right = placing.normal(0.0, 7.0, 2)
    turn, nod = placing.normal(0.0, (rotation_deg, 2.0))
    thorax = build_thorax(case.habitus, shift_mm=(float(down), float(right)))
    view = View(rotation_deg=float(turn), tilt_deg=float(nod), size=(size, size))
    # Vessels, and a little congestion that is no finding here.
    congestion = draw_congestion(thorax, lungs.uniform(0.0, 0.6, 6).astype(np.float32), lungs)
    strands = [thorax.bones, thorax.airways, congestion.strands]
    volume = thorax.attenuation_per_mm + congestion.water * np.float32(WATER_PER_MM - LUNG_PER_MM)
    aerated = thorax.lung
    if case.has("effusion"):
        aerated = aerated - _pour(volume, thorax, overlap, fluid)
    if case.has("consolidation"):
        aerated = aerated - _consolidate(volume, thorax, aerated, overlap, solid)
    if case.has("nodule"):
        _add_nodules(volume, thorax, aerated, overlap, round_)
    if case.has("device"):
        # The device of a patient is the same in all of the images.
        strands.append(draw_device(np.random.default_rng((case.habitus.seed, 2))))
    depth = project_volume(volume, thorax.grid, view) * soft_tissue_unevenness(size, tissue)
    depth += project_strands(join(strands), thorax.grid, view)
    return expose(depth, draw_exposure(beam, noise=noise), beam)


def _pour(volume: Array, thorax: Thorax, overlap: float, rng: np.random.Generator) -> Array:
    """Let fluid stand in one side of the chest or both; returns the share (D, H, W) it takes."""
    z, x = thorax.grid.axis(0)[:, None, None], thorax.grid.axis(2)[None, None, :]
    wall = profile(thorax.grid.axis(0), CAGE_HALF_WIDTH)[:, None, None]
    meniscus = MENISCUS_MM * np.exp(-np.maximum(wall - np.abs(x), 0.0) / 20.0)
    poured = np.zeros_like(volume)
    for side in pick_sides(rng, both=0.35):
        base = thorax.zone_levels_mm[side][3] + 0.65 * thorax.habitus.dome_height_mm
        height = rng.uniform(smallest(22.0, 40.0, overlap), HIGHEST_FLUID_MM)
        share = np.clip((z - base + height + meniscus) / 2.5 + 0.5, 0.0, 1.0)
        poured += share * thorax.lung * (side * x > 0)
    volume += poured * np.float32(WATER_PER_MM - LUNG_PER_MM)
    return poured


def _consolidate(
    volume: Array, thorax: Thorax, aerated: Array, overlap: float, rng: np.random.Generator
) -> Array:
    """Fill air spaces of one lung, in some cases of both; returns the share (D, H, W) filled."""
    filled = np.zeros_like(volume)
    x = thorax.grid.axis(2)[None, None, :]
    for side in pick_sides(rng, both=0.25):
        lung = aerated * (side * x > 0)
        # What lies before and behind hides more of it than on CT.
        filled += lung * draw_consolidation(thorax.grid, lung, overlap, rng, enlargement=1.3)
    # A tenth of the air stays, more or less.
    volume += filled * np.float32(rng.uniform(0.8, 0.98) * (WATER_PER_MM - LUNG_PER_MM))
    return filled


def _add_nodules(
    volume: Array, thorax: Thorax, aerated: Array, overlap: float, rng: np.random.Generator
) -> None:
    diameters = smallest(9.0, 18.0, overlap), LARGEST_NODULE_MM
    for _ in range(int(rng.integers(1, 5))):
        nodule = draw_nodule(thorax.grid, aerated, diameters, rng)
        part = volume[nodule.box]
        part += nodule.filling * np.maximum(np.float32(SOFT_TISSUE_PER_MM) - part, 0.0)
