from pathlib import Path

import pytest

from csi_predictor.config.schema import ScoringSection
from csi_predictor.errors import ConfigError
from csi_predictor.scoring.build import build_scoring


def test_the_section_scores_its_folder(predictor, write_png, tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "a.png")
    section = ScoringSection(
        input_dir=tmp_path / "in", workers=0, risk_high_above=3.0, study_rule="worst"
    )
    scored = build_scoring(section, run_dir=tmp_path / "run")(predictor)
    assert [record.path for record in scored.records] == ["a.png"]
    assert scored.output_dir == tmp_path / "run"
    assert dict(scored.settings) == {
        "min_gradable_zones": 3,
        "ungradable_threshold": 0.5,
        "risk_medium_above": 1.3,
        "risk_high_above": 3.0,
        "max_megapixels": 100.0,
        "allow_secondary_capture": False,
        "trust_sha256": "",
        "unsure": "flag",
        "study_rule": "worst",
    }


def test_an_output_folder_of_its_own_takes_the_results(
    predictor, write_png, tmp_path: Path
) -> None:
    write_png(tmp_path / "a.png")
    section = ScoringSection(input_dir=tmp_path, output_dir=tmp_path / "out", workers=0)
    scored = build_scoring(section, run_dir=tmp_path / "run")(predictor)
    assert scored.output_dir == tmp_path / "out"


def test_an_empty_key_is_told_before_a_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="INPUT_DIR: empty: expected the folder"):
        build_scoring(ScoringSection(), run_dir=tmp_path)


def test_a_missing_folder_is_told_before_a_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        build_scoring(ScoringSection(input_dir=tmp_path / "absent"), run_dir=tmp_path)
