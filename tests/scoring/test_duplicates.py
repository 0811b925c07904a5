from csi_predictor.scoring.duplicates import settle_duplicates
from csi_predictor.scoring.records import RejectedRecord, ScoreRecord


def test_of_equal_copies_the_first_by_path_is_scored(make_score) -> None:
    copies = [make_score(path=name) for name in ("c.dcm", "a.dcm", "b.dcm")]
    first, *others = settle_duplicates(copies)
    assert first == copies[1]
    assert [(record.path, record.reason) for record in others] == [
        ("b.dcm", "DUPLICATE_UID"),
        ("c.dcm", "DUPLICATE_UID"),
    ]
    assert others[0].detail == ("(0008,0018) SOP Instance UID is not unique: same content as a.dcm")
    assert others[0].file_sha256 == copies[0].file_sha256


def test_one_uid_with_different_content_rejects_all_its_files(make_score) -> None:
    files = [make_score(path="a.dcm"), make_score(path="b.dcm", file_sha256="e" * 64)]
    settled = settle_duplicates(files)
    assert {type(record) for record in settled} == {RejectedRecord}
    assert {record.detail for record in settled} == {
        "(0008,0018) SOP Instance UID is not unique: other files claim this UID with other content"
    }


def test_files_without_a_uid_are_never_repeated(make_score) -> None:
    files = [make_score(path=name, sop_instance_uid="") for name in ("a.png", "b.png")]
    assert settle_duplicates(files) == tuple(files)


def test_a_rejected_copy_keeps_its_own_reason(make_score) -> None:
    rejected = RejectedRecord(
        path="b.dcm", reason="TRUNCATED", detail="", file_sha256="f", setup_sha256="d"
    )
    score, other = settle_duplicates([rejected, make_score(path="a.dcm")])
    assert isinstance(score, ScoreRecord)
    assert other == rejected
