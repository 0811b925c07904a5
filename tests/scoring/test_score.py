import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from loguru import logger
from PIL import Image as PilImage

from csi_predictor.errors import ConfigError, CsiError
from csi_predictor.scoring import score as score_module
from csi_predictor.scoring.records import RejectedRecord, ScoreRecord
from csi_predictor.scoring.rules import ScoreRules
from csi_predictor.scoring.score import ScoredFolder, score_folder

HOSTILE = """
import os
import time
from functools import partial

from csi_predictor.data.prepare import prepare as prepare_well
from csi_predictor.specs import InputSpec


def prepare(path):
    if "kill" in path.name:
        os.abort()
    if "hang" in path.name:
        time.sleep(120)
    if "odd" in path.name:
        raise ValueError("Smith^John")
    return prepare_well(path, InputSpec(size=(16, 16)))
"""


def run(predictor, folder: Path, **changes) -> ScoredFolder:
    arguments = {
        "input_dir": folder / "in",
        "output_dir": folder / "out",
        "rules": ScoreRules(),
        "batch_size": 3,
    }
    return score_folder(predictor, **{**arguments, **changes})


def states(scored: ScoredFolder) -> dict[str, str]:
    return {
        record.path: record.reason if isinstance(record, RejectedRecord) else "scored"
        for record in scored.records
    }


@pytest.fixture
def hospital(tmp_path: Path, write_dicom, write_png) -> Path:
    """One folder with a file of every kind that this room decides about."""
    root = tmp_path / "in"
    write_dicom(root / "pa.dcm", seed=1)
    write_dicom(root / "portable.dcm", seed=2, ViewPosition="AP")
    write_dicom(root / "unknown.dcm", seed=3, ViewPosition=None, BodyPartExamined=None)
    write_dicom(root / "lateral.dcm", seed=4, ViewPosition="LL")
    write_dicom(root / "skull.dcm", seed=5, BodyPartExamined="SKULL")
    write_dicom(root / "raw.dcm", seed=6, PresentationIntentType="FOR PROCESSING")
    first = write_dicom(root / "sub" / "twin_a.dcm", seed=7, SOPInstanceUID="1.2.77")
    (root / "sub" / "twin_b.dcm").write_bytes(first.read_bytes())
    write_dicom(root / "clash_a.dcm", seed=8, SOPInstanceUID="1.2.88")
    write_dicom(root / "clash_b.dcm", seed=9, SOPInstanceUID="1.2.88")
    write_png(root / "export.png", seed=10)
    (root / "letter.txt").write_text("Dear colleague")
    (root / "empty").touch()
    (root / ".DS_Store").touch()
    (root / "link").symlink_to(root / "pa.dcm")
    return tmp_path


STATES = {
    ".DS_Store": "NOT_AN_IMAGE",
    "clash_a.dcm": "DUPLICATE_UID",
    "clash_b.dcm": "DUPLICATE_UID",
    "empty": "NOT_AN_IMAGE",
    "export.png": "scored",
    "lateral.dcm": "LATERAL",
    "letter.txt": "NOT_AN_IMAGE",
    "link": "NOT_AN_IMAGE",
    "pa.dcm": "scored",
    "portable.dcm": "scored",
    "raw.dcm": "FOR_PROCESSING",
    "skull.dcm": "NOT_CHEST",
    "sub/twin_a.dcm": "scored",
    "sub/twin_b.dcm": "DUPLICATE_UID",
    "unknown.dcm": "scored",
}


def test_every_file_ends_in_exactly_one_state(predictor, hospital: Path) -> None:
    scored = run(predictor, hospital)
    assert states(scored) == STATES
    assert list(states(scored)) == sorted(STATES)
    assert (scored.num_kept, predictor.batch_sizes) == (0, [3, 3, 2])


def test_every_format_of_the_contract_is_scored_whatever_its_name(
    predictor, tmp_path: Path, write_dicom, write_png
) -> None:
    root = tmp_path / "in"
    write_dicom(root / "no_extension")
    write_png(root / "a.dcm")
    pixels = np.random.default_rng(0).integers(0, 256, (17, 21), dtype=np.uint8)
    PilImage.fromarray(pixels).save(root / "b.jpg")
    PilImage.fromarray(pixels).save(root / "c.tif")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels.astype(np.float32)), root / "d.nii.gz")
    assert set(states(run(predictor, tmp_path)).values()) == {"scored"}


def test_what_the_header_says_stands_in_the_record(predictor, hospital: Path) -> None:
    records = {record.path: record for record in run(predictor, hospital).records}
    portable, unknown = records["portable.dcm"], records["unknown.dcm"]
    assert isinstance(portable, ScoreRecord)
    assert (portable.view_position, portable.quality) == ("AP", "AP view")
    assert (portable.patient_id, portable.study_date) == ("P1", "20260102")
    assert (portable.study_instance_uid, portable.model_id) == ("1.2.3", "fake-1")
    assert unknown.quality == "view unknown; body part unknown"
    assert records["export.png"].quality == "no DICOM header: view and body part unknown"


def test_a_second_run_does_only_what_is_new(predictor, hospital: Path, write_png) -> None:
    first = run(predictor, hospital)
    predictor.batch_sizes.clear()
    second = run(predictor, hospital)
    assert predictor.batch_sizes == []
    assert second.records == first.records
    assert (second.num_kept, second.num_read) == (13, 0)
    write_png(hospital / "in" / "late.png", seed=99)
    assert states(run(predictor, hospital)) == dict(
        sorted((STATES | {"late.png": "scored"}).items())
    )
    assert predictor.batch_sizes == [1]


def test_when_the_first_copy_is_gone_the_second_is_scored_at_once(
    predictor, hospital: Path
) -> None:
    run(predictor, hospital)
    predictor.batch_sizes.clear()
    (hospital / "in" / "sub" / "twin_a.dcm").unlink()
    (hospital / "in" / "clash_a.dcm").unlink()
    found = states(run(predictor, hospital))
    assert (found["sub/twin_b.dcm"], found["clash_b.dcm"]) == ("scored", "scored")
    assert predictor.batch_sizes == []


@pytest.mark.parametrize("change", ["model", "rules"])
def test_another_model_or_rule_scores_everything_again(
    predictor, make_predictor, hospital: Path, change: str
) -> None:
    run(predictor, hospital)
    other = make_predictor(model_sha256="9" * 64 if change == "model" else "a" * 64)
    rules = ScoreRules(risk_high_above=2.5 if change == "rules" else 2.2)
    scored = run(other, hospital, rules=rules)
    assert scored.num_kept == 0
    assert sum(other.batch_sizes) == 8
    assert {record.setup_sha256 for record in scored.records} == {scored.setup_sha256}


def test_what_was_scored_before_an_interrupt_is_not_scored_again(
    predictor, make_predictor, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = make_predictor()
    answer = stopped.predict_pixels

    def answer_once(pixels):
        if stopped.batch_sizes:
            raise KeyboardInterrupt
        return answer(pixels)

    monkeypatch.setattr(stopped, "predict_pixels", answer_once)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, hospital)
    assert states(run(predictor, hospital)) == STATES
    assert sum(predictor.batch_sizes) == 8 - 3


def test_workers_change_neither_order_nor_scores(predictor, make_predictor, hospital: Path) -> None:
    alone = run(predictor, hospital)
    together = run(make_predictor(), hospital, workers=2, output_dir=hospital / "out2")
    assert states(together) == states(alone)
    for mine, theirs in zip(alone.records, together.records, strict=True):
        if isinstance(mine, ScoreRecord):
            np.testing.assert_allclose(mine.expected, theirs.expected, atol=1e-5)


def test_a_crash_a_hang_and_an_error_cost_one_file_each(
    predictor, tmp_path: Path, write_png, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b_kill.png", "c.png", "d_hang.png", "e_odd.png", "f.png"):
        write_png(tmp_path / "in" / name)
    (tmp_path / "hostile_reading.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(tmp_path)
    hostile = importlib.import_module("hostile_reading")
    scored = run(predictor, tmp_path, workers=2, timeout_s=3.0, prepare=hostile.prepare)
    monkeypatch.delitem(sys.modules, "hostile_reading")
    found = {
        record.path: (record.reason, record.detail)
        for record in scored.records
        if isinstance(record, RejectedRecord)
    }
    assert found == {
        "b_kill.png": ("FAILED", "the process that read it died (signal 6)"),
        "d_hang.png": ("FAILED", "timed out after 3 s"),
        "e_odd.png": ("FAILED", "ValueError"),
    }
    assert len(scored.records) == 6


def test_results_below_the_input_folder_are_not_scored(predictor, hospital: Path) -> None:
    output_dir = hospital / "in" / "results"
    run(predictor, hospital, output_dir=output_dir)
    (output_dir / "scores.csv").write_text("path")
    scored = run(predictor, hospital, output_dir=output_dir)
    assert states(scored) == STATES
    assert scored.skipped_dirs == ("results",)


def test_names_and_values_of_files_never_reach_the_log(
    predictor, tmp_path: Path, write_dicom
) -> None:
    write_dicom(tmp_path / "in" / "Smith^John.dcm", PatientID="CANARY", PatientName="CANARY")
    write_dicom(tmp_path / "in" / "Smith^Jane.dcm", ViewPosition="LL", PatientID="CANARY")
    (tmp_path / "in" / "Smith.txt").write_text("CANARY")
    lines: list[str] = []
    sink = logger.add(lines.append, level=0)
    run(predictor, tmp_path)
    logger.remove(sink)
    assert lines
    assert not [line for line in lines if "Smith" in line or "CANARY" in line]


def test_a_missing_input_folder_is_refused_before_anything_is_written(
    predictor, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        run(predictor, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lost_file_would_be_noticed(
    predictor, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "settle_duplicates", lambda records: tuple(records[1:]))
    with pytest.raises(CsiError, match="15 files were found, but 14 have a state"):
        run(predictor, hospital)
