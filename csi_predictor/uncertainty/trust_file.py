"""`model/trust.json`: a bundle's trust, bound to its weights by their hash."""

import json
from pathlib import Path

from csi_predictor.errors import BundleError
from csi_predictor.files import write_text
from csi_predictor.inference.bundle import Bundle, hash_facts
from csi_predictor.uncertainty.trust import Trust

TRUST_NAME = "trust.json"
FORMAT = 1


def write_trust(bundle: Bundle, trust: Trust) -> Path:
    """Keep a trust beside the weights that it was fitted for."""
    values = {"format": FORMAT, "model_sha256": bundle.facts.model_sha256, **trust.to_dict()}
    path = bundle.folder / TRUST_NAME
    whole = {**values, "trust_sha256": hash_facts(values)}
    write_text(path, json.dumps(whole, indent=2, allow_nan=False) + "\n")
    return path


def read_trust(bundle: Bundle) -> Trust | None:
    """The trust of a bundle; None where none was fitted.

    Raises:
        BundleError: The file is damaged, changed, or of other weights or another version.
    """
    values = _read(bundle)
    return None if values is None else Trust.from_dict(values)


def trust_sha256(bundle: Bundle) -> str:
    """Hash of the trust that a score rests on; empty without one."""
    values = _read(bundle)
    return "" if values is None else str(values["trust_sha256"])


def _read(bundle: Bundle) -> dict[str, object] | None:
    path = bundle.folder / TRUST_NAME
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        digest = values.pop("trust_sha256")
        is_whole = digest == hash_facts(values)
        Trust.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: damaged ({error}): copy the bundle again") from error
    if not is_whole:
        raise BundleError(f"{path}: was changed after it was written: copy the bundle again")
    if values["format"] != FORMAT or values["model_sha256"] != bundle.facts.model_sha256:
        raise BundleError(
            f"{path}: was fitted for other weights or another version: run --mode evaluate on "
            "this bundle, or delete the file to score without calibration and triage"
        )
    return {**values, "trust_sha256": digest}
