"""One case drawn from body to picture."""

import numpy as np

from csi_predictor.synthesis.anatomy import LEFT, RIGHT
from csi_predictor.synthesis.attenuation import LUNG_PER_MM, WATER_PER_MM
from csi_predictor.synthesis.cases import Case, study_rng
from csi_predictor.synthesis.congestion import draw_congestion
from csi_predictor.synthesis.devices import draw_devices, draw_plate
from csi_predictor.synthesis.grid import Array
from csi_predictor.synthesis.noise import soft_tissue_unevenness
from csi_predictor.synthesis.projection import View, project_points, project_strands, project_volume
from csi_predictor.synthesis.radiograph import draw_exposure, expose
from csi_predictor.synthesis.strands import join
from csi_predictor.synthesis.thorax import Thorax, build_thorax

PICTURE_STREAM = 1


def render_case(case: Case, *, size: int, seed: int, noise: float, rotation_deg: float) -> Array:
    """The radiograph (size, size) of a case in [0, 1], 1 for dense.

    Args:
        case: Whom to draw.
        size: Edge of the picture in pixels.
        seed: Of the whole set.
        noise: Strength of quantum noise and of the spread of exposures, 1 for a usual department.
        rotation_deg: Standard deviation of the patient's rotation.
    """
    # A generator for each step, so that a change in one leaves the others as they were.
    placing, lungs, things, tissue, beam = study_rng(seed, case.index, PICTURE_STREAM).spawn(5)
    thorax = build_thorax(case.habitus, shift_mm=_shift_mm(case, placing))
    congestion = draw_congestion(thorax, np.array(case.severity, dtype=np.float32), lungs)
    nod_deg = -2.0 if case.is_bedside else 0.0
    turn, nod = placing.normal((0.0, nod_deg), (rotation_deg, 2.0))
    view = View(rotation_deg=float(turn), tilt_deg=float(nod), size=(size, size))
    strands = [thorax.bones, thorax.airways, congestion.strands]
    strands.append(draw_devices(things, is_bedside=case.is_bedside))
    if case.hindrance == "plate":
        strands.append(draw_plate(_zone_middle(thorax, _hindered(case)), things))
    volume = congestion.water * np.float32(WATER_PER_MM - LUNG_PER_MM)
    volume += thorax.attenuation_per_mm
    depth = project_volume(volume, thorax.grid, view) * soft_tissue_unevenness(size, tissue)
    depth += project_strands(join(strands), thorax.grid, view)
    picture = expose(depth, draw_exposure(beam, noise=noise), beam)
    if case.hindrance == "overexposed":
        picture *= _burnt(thorax, _hindered(case), view)
    return _collimate(picture, thorax, view, case, placing)


def _shift_mm(case: Case, rng: np.random.Generator) -> tuple[float, float]:
    """How far off the middle the patient stands; more where the picture cuts off a part."""
    off_mm = {"collimated_base": 28.0, "collimated_apex": -28.0}.get(case.hindrance or "", 0.0)
    down, right = rng.normal((off_mm, 0.0), 7.0)
    return float(down), float(right)


def _hindered(case: Case) -> int:
    return case.grades.index(None)


def _zone_middle(thorax: Thorax, zone: int) -> Array:
    side = RIGHT if zone % 2 == 0 else LEFT
    top, bottom = thorax.zone_levels_mm[side][zone // 2 : zone // 2 + 2]
    return np.array([(top + bottom) / 2, 0.0, side * 72.0], dtype=np.float32)


def _burnt(thorax: Thorax, zone: int, view: View) -> Array:
    """A patch that lets too much light through: the detector saturates and no detail is left."""
    rows, columns = project_points(_zone_middle(thorax, zone)[None], thorax.grid, view)
    down = (np.arange(view.size[0]) - rows[0]) / (0.13 * view.size[0])
    right = (np.arange(view.size[1]) - columns[0]) / (0.15 * view.size[1])
    distance = np.sqrt(down[:, None] ** 2 + right[None, :] ** 2)
    edge = 1.0 / (1.0 + np.exp(np.clip((distance - 1.0) / 0.15, -40, 40)))
    return np.asarray(1.0 - 0.97 * edge, dtype=np.float32)


def _collimate(
    picture: Array, thorax: Thorax, view: View, case: Case, rng: np.random.Generator
) -> Array:
    """Blacken what shutters cover: often a narrow border, in some cases an apex or a base."""
    size = view.size[0]
    low, high = np.zeros(2), np.full(2, float(size))
    if rng.random() < 0.35:
        low, high = low + rng.uniform(0, 0.03, 2) * size, high - rng.uniform(0, 0.03, 2) * size
    upper, lower = thorax.zone_levels_mm[RIGHT][1:3]
    level = {"collimated_apex": upper - 12.0, "collimated_base": lower + 12.0}.get(
        case.hindrance or ""
    )
    if level is not None:
        rows, _ = project_points(np.array([[level, 0.0, 0.0]], np.float32), thorax.grid, view)
        if case.hindrance == "collimated_apex":
            low[0] = float(rows[0])
        else:
            high[0] = float(rows[0])
    pixels = np.arange(size) + 0.5
    open_ = [
        np.clip((pixels - low[a]) / 1.5 + 0.5, 0, 1) * np.clip((high[a] - pixels) / 1.5 + 0.5, 0, 1)
        for a in (0, 1)
    ]
    return np.asarray(picture * (open_[0][:, None] * open_[1][None, :]), dtype=np.float32)
