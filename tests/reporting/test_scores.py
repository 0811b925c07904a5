import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from csi_predictor import files
from csi_predictor.errors import CsiError
from csi_predictor.inference.predictor import PredictorFacts
from csi_predictor.reporting.scores import write_scores
from csi_predictor.scoring.records import RejectedRecord, ScoreRecord
from csi_predictor.scoring.rules import ScoreRules
from csi_predictor.scoring.score import ScoredFolder
from csi_predictor.scoring.studies import summarize_studies
from csi_predictor.specs import ZONES

# interfaces.md, the contract with users
CONTRACT = (
    "path,sop_instance_uid,study_instance_uid,series_instance_uid,patient_id,study_date,"
    "view_position,right_sup,right_sup_expected,right_sup_p_ungradable,left_sup,"
    "left_sup_expected,left_sup_p_ungradable,right_mid,right_mid_expected,right_mid_p_ungradable,"
    "left_mid,left_mid_expected,left_mid_p_ungradable,right_inf,right_inf_expected,"
    "right_inf_p_ungradable,left_inf,left_inf_expected,left_inf_p_ungradable,csi,risk,quality,"
    "model_id,model_sha256,config_sha256,decoder,engine,software_version,scored_at"
)


def a_score(path: str, **changes: object) -> ScoreRecord:
    values: dict[str, object] = {
        "path": path,
        "sop_instance_uid": f"1.1.{path}",
        "study_instance_uid": "1.2",
        "series_instance_uid": "1.3",
        "patient_id": "007",
        "study_date": "20260102",
        "acquired_at": "20260102101112",
        "view_position": "PA",
        "grades": (0, 1, 2, 3, None, 1),
        "expected": (0.25, 1.0, 2.0, 3.0, 1 / 3, 1e-7),
        "p_ungradable": (0.0, 0.0, 0.0, 0.0, 0.875, 0.0),
        "csi": 1.4,
        "csi_expected": 1.25,
        "risk": "medium",
        "quality": "5 of 6 zones gradable",
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


UNGRADABLE = {"grades": (None,) * 6, "csi": None, "csi_expected": None, "risk": ""}


def a_folder(output_dir: Path, *records: ScoreRecord | RejectedRecord) -> ScoredFolder:
    scores = [record for record in records if isinstance(record, ScoreRecord)]
    return ScoredFolder(
        records=records,
        studies=summarize_studies(scores, study_rule="latest", rules=ScoreRules()),
        zones=ZONES,
        origin=PredictorFacts("fake-1", "a" * 64, "b" * 64, "none", "csi-predictor 0"),
        setup_sha256="d" * 64,
        settings={"study_rule": "latest"},
        input_dir=Path("in"),
        output_dir=output_dir,
        skipped_dirs=(),
        num_kept=0,
        num_read=2,
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        finished_at=datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC),
    )


REJECTED = RejectedRecord(
    path="b.txt",
    reason="NOT_AN_IMAGE",
    detail="found text, expected an image",
    file_sha256="",
    setup_sha256="d" * 64,
)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_scores_csv_begins_with_the_contracts_columns(tmp_path: Path) -> None:
    write_scores(a_folder(tmp_path, a_score("a.dcm")))
    header = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()[0]
    added = ",csi_expected,acquired_at,reading_notes,file_sha256,setup_sha256,triage,unsure"
    parts = (f",{zone}_{part}" for zone in ZONES for part in ("confidence", "lowest", "highest"))
    assert header == CONTRACT + added + "".join(parts)


def test_a_bundles_trust_stands_in_its_columns_and_is_empty_without_one(tmp_path: Path) -> None:
    trusted = a_score(
        "a.dcm",
        triage="reader",
        unsure=0.5,
        confidence=(0.25,) * 6,
        lowest=(0,) * 6,
        highest=(2,) * 6,
    )
    summary = write_scores(a_folder(tmp_path, trusted, a_score("b.dcm")))
    with (tmp_path / "scores.csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    told = [first[name] for name in ("triage", "unsure", "left_inf_confidence")]
    assert told == ["reader", "0.5", "0.25"]
    assert [first[f"left_inf_{part}"] for part in ("lowest", "highest")] == ["0", "2"]
    assert {second[name] for name in first if name.endswith(("_lowest", "_confidence"))} == {""}
    assert second["triage"] == second["unsure"] == ""
    assert summary["by_triage"] == {"none": 1, "reader": 1}


def test_numbers_are_numbers_and_an_ungradable_zone_is_empty(tmp_path: Path) -> None:
    write_scores(a_folder(tmp_path, a_score("a.dcm")))
    (row,) = rows_of(tmp_path / "scores.csv")
    assert [row[zone] for zone in ZONES] == ["0", "1", "2", "3", "", "1"]
    assert row["right_inf_expected"] == "0.3333333"
    assert float(row["left_inf_expected"]) == 1e-7
    assert row["right_inf_p_ungradable"] == "0.875"
    assert (row["csi"], row["csi_expected"], row["risk"]) == ("1.4", "1.25", "medium")
    assert row["patient_id"] == "007"
    table = pd.read_csv(tmp_path / "scores.csv")
    assert all(pd.api.types.is_numeric_dtype(table[f"{zone}_expected"]) for zone in ZONES)


def test_nothing_gradable_is_written_as_no_csi_and_no_risk__weakness_7(tmp_path: Path) -> None:
    summary = write_scores(a_folder(tmp_path, a_score("a.dcm", **UNGRADABLE)))
    for name in ("scores.csv", "studies.csv"):
        (row,) = rows_of(tmp_path / name)
        assert (row["csi"], row["csi_expected"], row["risk"]) == ("", "", "")
    assert summary["by_risk"] == {"none": 1}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0"])
def test_a_text_never_becomes_a_spreadsheets_formula(tmp_path: Path, start: str) -> None:
    name = f'{start}HYPERLINK("http://x";"y")'
    write_scores(a_folder(tmp_path, a_score("a.dcm", patient_id=name)))
    assert rows_of(tmp_path / "scores.csv")[0]["patient_id"] == f"'{name}"
    assert rows_of(tmp_path / "studies.csv")[0]["patient_id"] == f"'{name}"


@pytest.mark.parametrize("text", ["a,b", 'a"b', "a\nb", "a\rb", "a\r\nb", "ü;漢字", " a "])
def test_a_text_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    write_scores(a_folder(tmp_path, a_score("a.dcm", patient_id=text), a_score("b.dcm")))
    rows = rows_of(tmp_path / "scores.csv")
    assert [row["patient_id"] for row in rows] == [text, "007"]


def test_a_file_name_that_is_not_utf_8_is_shown_with_escapes(tmp_path: Path) -> None:
    name = b"M\xfcller.dcm".decode("utf-8", "surrogateescape")
    write_scores(a_folder(tmp_path, a_score(name)))
    assert rows_of(tmp_path / "scores.csv")[0]["path"] == "M\\udcfcller.dcm"


def test_a_study_has_one_row(tmp_path: Path) -> None:
    late = a_score("b.dcm", acquired_at="20260102111111", csi=3.0, grades=(3,) * 6)
    write_scores(a_folder(tmp_path, a_score("a.dcm"), late))
    (row,) = rows_of(tmp_path / "studies.csv")
    assert row["study_instance_uid"] == "1.2"
    assert (row["num_images"], row["num_graded"], row["study_rule"]) == ("2", "2", "latest")
    assert (row["path"], row["right_sup"], row["csi"], row["risk"]) == ("b.dcm", "3", "3", "high")


def test_a_rejection_has_its_reason(tmp_path: Path) -> None:
    write_scores(a_folder(tmp_path, REJECTED))
    text = (tmp_path / "rejected.csv").read_text(encoding="utf-8")
    assert text == (
        "path,state,reason,detail,file_sha256,setup_sha256\n"
        f'b.txt,rejected,NOT_AN_IMAGE,"found text, expected an image",,{"d" * 64}\n'
    )
    assert rows_of(tmp_path / "scores.csv") == []


def test_the_summarys_counts_add_up(tmp_path: Path) -> None:
    summary = write_scores(a_folder(tmp_path, a_score("a.dcm"), REJECTED), ini_sha256="e" * 64)
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == summary
    assert summary["found"] == summary["scored"] + summary["rejected"] == 2
    assert summary["by_state"] == {"scored": 1, "rejected": 1}
    assert summary["by_reason"] == {"NOT_AN_IMAGE": 1}
    assert (summary["seconds"], summary["files_per_s"]) == (2.0, 1.0)
    assert summary["started_at"] == "2026-01-02T03:04:05+00:00"
    assert summary["model"]["model_sha256"] == "a" * 64
    assert summary["ini_sha256"] == "e" * 64
    assert summary["intended_use"] == "research use, not for diagnosis"


def test_writing_again_replaces_whole_tables_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_scores(a_folder(tmp_path, a_score("a.dcm"), REJECTED))
    write_scores(a_folder(tmp_path, a_score("a.dcm")))
    assert rows_of(tmp_path / "rejected.csv") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "rejected.csv",
        "scores.csv",
        "studies.csv",
        "summary.json",
    ]


def test_a_table_open_elsewhere_is_told_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self), None, str(target))

    monkeypatch.setattr(files.Path, "replace", refuse)
    with pytest.raises(CsiError, match=r"scores\.csv: can't be replaced .*: close it"):
        write_scores(a_folder(tmp_path, a_score("a.dcm")))
