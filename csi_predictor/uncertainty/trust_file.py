"""`model/trust.json`: a bundle's trust, bound to its weights by their hash."""

import json
from pathlib import Path
from typing import Any

from loguru import logger

from csi_predictor.errors import BundleError
from csi_predictor.files import write_text
from csi_predictor.inference.bundle import Bundle, hash_facts
from csi_predictor.uncertainty.trust import Trust

TRUST_NAME = "trust.json"
FORMAT = 1


def write_trust(bundle: Bundle, trust: Trust, folder: Path | None = None) -> Path:
    """Keep a trust beside the weights that it was fitted for, or in another folder.

    Raises:
        BundleError: The folder can't be written to.
    """
    values = {"format": FORMAT, "model_sha256": bundle.facts.model_sha256, **trust.to_dict()}
    path = (folder or bundle.folder) / TRUST_NAME
    whole = {**values, "trust_sha256": hash_facts(values)}
    try:
        write_text(path, json.dumps(whole, indent=2, allow_nan=False) + "\n")
    except PermissionError as error:
        raise BundleError(
            f"{path}: can't be written ({error.strerror}): expected a folder that this user may "
            "write, or [EVALUATION] KEEP_TRUST = false"
        ) from error
    return path


def read_trust(bundle: Bundle) -> Trust | None:
    """The trust of a bundle; None where none was fitted, or one for other weights or another form.

    Raises:
        BundleError: The file is damaged or was changed.
    """
    values = _read(bundle)
    if values is None:
        return None
    try:
        return Trust.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{_path(bundle)}: damaged ({error}): {_REMEDY}") from error


def trust_sha256(bundle: Bundle) -> str:
    """Hash of the trust that a score rests on; empty without one."""
    values = _read(bundle)
    return "" if values is None else str(values["trust_sha256"])


_REMEDY = "copy the bundle again, or delete the file to go without calibration and triage"


def _path(bundle: Bundle) -> Path:
    return bundle.folder / TRUST_NAME


def _read(bundle: Bundle) -> dict[str, Any] | None:
    path = _path(bundle)
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        digest = values.pop("trust_sha256")
        is_whole = digest == hash_facts(values)
        found = (values["format"], values["model_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: damaged ({error}): {_REMEDY}") from error
    if not is_whole:
        raise BundleError(f"{path}: was changed after it was written: {_REMEDY}")
    if found != (FORMAT, bundle.facts.model_sha256):
        logger.warning(
            "{}: was fitted for other weights or by another version, and isn't used: fit it anew "
            "with --mode evaluate and [EVALUATION] KEEP_TRUST = true",
            path,
        )
        return None
    return {**values, "trust_sha256": digest}
