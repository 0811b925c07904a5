import json

import pytest

from csi_predictor.scoring.records import RejectedRecord, decode_record, encode_record


def test_a_score_survives_json_bit_by_bit(make_score) -> None:
    record = make_score(csi=None, csi_expected=1 / 3, grades=(0, None, 1, 2, 3, 0))
    assert decode_record(json.loads(json.dumps(encode_record(record)))) == record


def test_a_rejection_survives_json() -> None:
    record = RejectedRecord(
        path="a\udcff.dcm", reason="COLOUR", detail="x", file_sha256="f", setup_sha256="d"
    )
    assert decode_record(json.loads(json.dumps(encode_record(record)))) == record


def test_a_record_of_another_version_is_an_error(make_score) -> None:
    values = encode_record(make_score()) | {"unheard_of": 1}
    with pytest.raises(TypeError, match="unheard_of"):
        decode_record(values)
