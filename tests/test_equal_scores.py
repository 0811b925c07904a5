"""One picture has one score, whatever file it comes in."""

import contextlib
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage
from pydicom import uid

from csi_predictor.cli import main
from csi_predictor.inference.bundle import save_bundle
from csi_predictor.models.create import create_model
from csi_predictor.specs import ZONES

WHITE = 4095
SYNTAXES = {
    "uncompressed": uid.ExplicitVRLittleEndian,
    "big_endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg_lossless_sv1": uid.JPEGLosslessSV1,
    "jpeg_ls": uid.JPEGLSLossless,
    "jpeg_2000": uid.JPEG2000Lossless,
    "htj2k": uid.HTJ2KLossless,
}
OTHER_FORMATS = ("monochrome1.dcm", "picture.png", "picture.tif", "picture.nii")
COMPARED = (*(f"{zone}_expected" for zone in ZONES), "csi")


@pytest.fixture
def picture() -> NDArray[np.uint16]:
    """(131, 117) smooth 12-bit values, 0 and 4095 included, unlike in all four quarters."""
    rows, columns = np.mgrid[0:131, 0:117]
    waves = np.sin(rows / 19.0) + np.cos(columns / 31.0) + rows / 200.0
    scaled = (waves - waves.min()) / (waves.max() - waves.min()) * WHITE
    return scaled.round().astype(np.uint16)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A network that has learnt nothing."""
    torch.manual_seed(0)
    model = create_model("custom1", image_size=64)
    save_bundle(
        tmp_path / "bundle",
        [model.state_dict()],
        spec=model.spec,
        test_time="none",
        baseline_grades=(1.0,) * len(ZONES),
        training={"num_images": 0},
        learnt_ids=(),
        config_ini="[MODEL]\n",
    )
    return tmp_path / "bundle"


def scored(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of scores.csv by path, after nothing was rejected."""
    overrides = (
        "SCORING.MODEL=bundle",
        "SCORING.INPUT_DIR=inbox",
        "SCORING.OUTPUT_DIR=scored",
        "SCORING.WORKERS=1",
    )
    (folder / "config.ini").write_text("[RUNTIME]\nNUM_WORKERS = 0\n", encoding="utf-8")
    with contextlib.chdir(folder):
        assert main(["--mode", "score", "--set", *overrides]) == 0
    tables = {}
    for name in ("scores", "rejected"):
        with (folder / "scored" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            tables[name] = {row["path"]: row for row in csv.DictReader(file)}
    assert tables["rejected"] == {}
    return tables["scores"]


def numbers(row: dict[str, str]) -> NDArray[np.float64]:
    return np.array([float(row[column]) for column in COMPARED])


@pytest.mark.usefixtures("bundle")
def test_a_picture_has_one_score_in_every_format(
    tmp_path: Path, picture: NDArray[np.uint16], write_dicom: Callable[..., Path]
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number, (name, syntax) in enumerate(SYNTAXES.items()):
        write_dicom(
            picture, syntax=syntax, name=f"inbox/{name}.dcm", SOPInstanceUID=f"1.2.{number}"
        )
    turned = (WHITE - picture).astype(np.uint16)
    write_dicom(
        turned,
        name="inbox/monochrome1.dcm",
        SOPInstanceUID="1.3.1",
        PhotometricInterpretation="MONOCHROME1",
    )
    write_dicom(turned, name="inbox/another_picture.dcm", SOPInstanceUID="1.3.2")
    PilImage.fromarray(picture).save(inbox / "picture.png")
    PilImage.fromarray(picture).save(inbox / "picture.tif")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(picture), str(inbox / "picture.nii"))
    rows = scored(tmp_path)
    another = numbers(rows.pop("another_picture.dcm"))
    assert rows.keys() == {*(f"{name}.dcm" for name in SYNTAXES), *OTHER_FORMATS}
    expected = numbers(rows["uncompressed.dcm"])
    for name, row in rows.items():
        np.testing.assert_allclose(numbers(row), expected, rtol=0, atol=1e-5, err_msg=name)
    # The network does look: its answer moves by more than a hundred times the tolerance.
    assert np.abs(another - expected).max() > 1e-3
