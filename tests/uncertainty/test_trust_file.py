"""`trust.json` belongs to one file of weights and isn't read when it was changed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from loguru import logger

from csi_predictor.errors import BundleError
from csi_predictor.inference.bundle import hash_facts
from csi_predictor.inference.predictions import Predictions
from csi_predictor.uncertainty.trust import Trust, TrustSettings, fit_trust
from csi_predictor.uncertainty.trust_file import read_trust, trust_sha256, write_trust


def bundle(folder: Path, sha256: str = "a" * 64) -> Any:
    """As far as the file looks at one."""
    return SimpleNamespace(folder=folder, facts=SimpleNamespace(model_sha256=sha256))


def trust() -> Trust:
    rng = np.random.default_rng(0)
    names = tuple(map(str, range(40)))
    answers = Predictions(
        file_ids=names,
        patient_ids=names,
        paths=tuple(map(Path, names)),
        targets=rng.integers(0, 4, size=(40, 6)) * 1.0,
        grade_probs=rng.dirichlet(np.ones(4), size=(40, 6)),
        p_ungradable=np.zeros((40, 6)),
    )
    settings = TrustSettings(policies=("threshold", "budget", "cost", "class_critical"))
    return fit_trust(answers, settings, fitted_on="the validation images")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_trust(bundle(tmp_path)) is None
    assert trust_sha256(bundle(tmp_path)) == ""
    written = trust()
    write_trust(bundle(tmp_path), written)
    assert read_trust(bundle(tmp_path)) == written
    assert len(trust_sha256(bundle(tmp_path))) == 64


def test_the_trust_of_other_weights_is_not_used(
    tmp_path: Path,
) -> None:
    write_trust(bundle(tmp_path), trust())
    told: list[str] = []
    number = logger.add(told.append, format="{message}")
    assert read_trust(bundle(tmp_path, "b" * 64)) is None
    assert trust_sha256(bundle(tmp_path, "b" * 64)) == ""
    logger.remove(number)
    assert "was fitted for other weights or by another version, and isn't used" in told[0]


def test_a_trust_of_an_earlier_form_is_not_used_whatever_it_holds(tmp_path: Path) -> None:
    values = {"format": 0, "model_sha256": "a" * 64}
    text = json.dumps({**values, "trust_sha256": hash_facts(values)})
    (tmp_path / "trust.json").write_text(text, encoding="utf-8")
    assert read_trust(bundle(tmp_path)) is None


def test_a_changed_threshold_is_refused(tmp_path: Path) -> None:
    path = write_trust(bundle(tmp_path), trust())
    values = json.loads(path.read_text())
    values["num_images"] = 41
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"trust\.json: was changed after it was written"):
        read_trust(bundle(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '{"trust_sha256": "x"}', ""])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "trust.json").write_text(text)
    with pytest.raises(BundleError, match=r"trust\.json: damaged"):
        read_trust(bundle(tmp_path))
