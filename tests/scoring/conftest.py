"""A predictor without a network, and hospital files in their real formats."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image as PilImage
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from csi_predictor.data.image import SourceFacts
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.predictor import PredictorFacts
from csi_predictor.inference.spread import Spread, spread_of
from csi_predictor.scoring.records import ScoreRecord
from csi_predictor.specs import ZONES, InputSpec

DX = "1.2.840.10008.5.1.4.1.1.1.1"


@dataclass
class FakePredictor:
    """Grades by the picture's mean: 0 for black to 3 for white, equal in all zones."""

    p_ungradable: tuple[float, ...] = (0.0,) * len(ZONES)
    model_sha256: str = "a" * 64
    fill: float | None = None
    batch_sizes: list[int] = field(default_factory=list)
    input_spec: InputSpec = field(default_factory=lambda: InputSpec(size=(16, 16)))
    zones: tuple[str, ...] = ZONES

    @property
    def facts(self) -> PredictorFacts:
        return PredictorFacts(
            model_id="fake-1",
            model_sha256=self.model_sha256,
            config_sha256="b" * 64,
            engine="none",
            software_version="csi-predictor 0",
        )

    def predict_pixels(self, pixels: torch.Tensor) -> tuple[Floats, Floats, Spread]:
        spec = self.input_spec
        self.batch_sizes.append(len(pixels))
        mean = pixels.double().mean(dim=(2, 3))[:, 0].numpy() * spec.std[0] + spec.mean[0]
        high = np.clip(mean, 0.0, 1.0) if self.fill is None else np.full(len(pixels), self.fill)
        grade_probs = np.zeros((len(pixels), len(ZONES), 4))
        grade_probs[:, :, 0] = 1.0 - high[:, None]
        grade_probs[:, :, 3] = high[:, None]
        is_number = np.isfinite(grade_probs).all(axis=-1, keepdims=True)
        spread = spread_of(np.where(is_number, grade_probs, 0.25)[None])
        return grade_probs, np.tile(np.array(self.p_ungradable), (len(pixels), 1)), spread


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def make_predictor() -> type[FakePredictor]:
    return FakePredictor


@pytest.fixture
def make_facts() -> Callable[..., SourceFacts]:
    """SourceFacts of an unremarkable PA chest, with changes."""

    def make(**changes: object) -> SourceFacts:
        values: dict[str, object] = {
            "path": Path("a.dcm"),
            "format": "dicom",
            "sha256": "0" * 64,
            "decoder": "none",
            "rows": 16,
            "columns": 16,
            "view_position": "PA",
            "body_part_examined": "CHEST",
        }
        return SourceFacts(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def write_dicom() -> Callable[..., Path]:
    """A small DX file with a gradient in it; keyword arguments set attributes, None leaves out."""

    def write(path: Path, *, seed: int = 0, **attributes: object) -> Path:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = DX
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
        dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        values: dict[str, object] = {
            "SOPClassUID": DX,
            "SOPInstanceUID": str(meta.MediaStorageSOPInstanceUID),
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": "1.2.3.4",
            "PatientID": "P1",
            "StudyDate": "20260102",
            "StudyTime": "101112",
            "Modality": "DX",
            "PresentationIntentType": "FOR PRESENTATION",
            "ViewPosition": "PA",
            "BodyPartExamined": "CHEST",
            "PhotometricInterpretation": "MONOCHROME2",
            "SamplesPerPixel": 1,
            "Rows": 19,
            "Columns": 23,
            "BitsAllocated": 16,
            "BitsStored": 12,
            "HighBit": 11,
            "PixelRepresentation": 0,
        }
        for keyword, value in {**values, **attributes}.items():
            if value is not None:
                setattr(dataset, keyword, value)
        pixels = np.random.default_rng(seed).integers(0, 4096, (19, 23), dtype=np.uint16)
        dataset.PixelData = pixels.tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        pydicom.dcmwrite(path, dataset)
        return path

    return write


@pytest.fixture
def write_png() -> Callable[..., Path]:
    """A small 16-bit PNG of random pixels."""

    def write(path: Path, *, seed: int = 0) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 65536, (17, 21), dtype=np.uint16)
        path.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(pixels).save(path, format="PNG")
        return path

    return write


@pytest.fixture
def make_score() -> Callable[..., ScoreRecord]:
    """A ScoreRecord of grade 1 everywhere, with changes."""

    def make(**changes: object) -> ScoreRecord:
        values: dict[str, object] = {
            "path": "a.dcm",
            "sop_instance_uid": "1.1",
            "study_instance_uid": "1.2",
            "series_instance_uid": "1.3",
            "patient_id": "P1",
            "study_date": "20260102",
            "acquired_at": "20260102101112",
            "view_position": "PA",
            "grades": (1,) * len(ZONES),
            "expected": (1.25,) * len(ZONES),
            "p_ungradable": (0.125,) * len(ZONES),
            "csi": 1.0,
            "csi_expected": 1.25,
            "risk": "low",
            "quality": "ok",
            "model_id": "fake-1",
            "model_sha256": "a" * 64,
            "config_sha256": "b" * 64,
            "decoder": "none 1",
            "engine": "none",
            "software_version": "csi-predictor 0",
            "scored_at": "2026-01-02T03:04:05+00:00",
            "reading_notes": "voi: window",
            "file_sha256": "c" * 64,
            "setup_sha256": "d" * 64,
        }
        return ScoreRecord(**{**values, **changes})  # type: ignore[arg-type]

    return make
