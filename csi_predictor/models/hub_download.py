"""One file of the Hugging Face hub: asked for, received in as many attempts as it takes, verified.

`huggingface_hub.hf_hub_download` throws a broken download away since its version 1.31, so the bytes
are received here into a partial file of our own, with the hub's client for everything else
(addresses, tokens, proxies, retries).
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented
from loguru import logger

from csi_predictor.errors import WeightsError
from csi_predictor.files import sha256_of

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MIB = 2**20


@dataclass(frozen=True)
class HubFile:
    """What the hub says of one version of a file.

    Attributes:
        repo_id: The repository.
        name: The file in it.
        revision: Commit of the repository.
        checksum: SHA-256 of a large file (LFS), git's SHA-1 of a small one.
        size_bytes: Of the whole file; None = the hub doesn't say it of some small ones.
    """

    repo_id: str
    name: str
    revision: str
    checksum: str
    size_bytes: int | None


def ask_hub(repo_id: str, name: str) -> HubFile:
    """The newest version of a file.

    Raises:
        WeightsError: The answer isn't the hub's.
        Exception: The errors of the hub's client: no network, no such file, no permission.
    """
    found = get_hf_file_metadata(hf_hub_url(repo_id, name))
    if found.commit_hash is None or found.etag is None:
        raise WeightsError(
            f"{hf_hub_url(repo_id, name)} answered without commit and checksum: expected the "
            "Hugging Face hub: check proxy, firewall and HF_ENDPOINT"
        )
    return HubFile(repo_id, name, found.commit_hash, found.etag, found.size)


def receive(file: HubFile, folder: Path) -> Path:
    """The whole, verified file in a folder of partial downloads.

    What an earlier attempt left of the same version is kept and the rest is asked for.

    Args:
        file: Of `ask_hub`.
        folder: For partial files; nobody else may write this file in it meanwhile.

    Raises:
        WeightsError: What arrived isn't what the hub announced; it was deleted.
        Exception: The errors of the hub's client; what arrived is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{file.name}.{file.checksum[:16]}.partial"
    for old in folder.glob("*.partial"):
        if old.name.startswith(f"{file.name}.") and old != partial:
            old.unlink()  # of another version
    present = _count_present(partial, file.size_bytes)
    logger.info(
        "Downloading {} of {}: {}{}",
        file.name,
        file.repo_id,
        "a small file" if file.size_bytes is None else f"{file.size_bytes / _MIB:.1f} MiB",
        f", of which {present / _MIB:.1f} are here" if present else "",
    )
    with partial.open("ab") as stream:
        http_get(
            hf_hub_url(file.repo_id, file.name, revision=file.revision),
            stream,
            resume_size=present,
            # Compressed answers have no length that a resumed download could be checked by.
            headers={**build_hf_headers(), "Accept-Encoding": "identity"},
            expected_size=file.size_bytes,
        )
    found = checksum_like(partial, file.checksum)
    if found != file.checksum:
        partial.unlink()
        raise WeightsError(
            f"{file.name} of {file.repo_id} arrived with checksum {found}: expected "
            f"{file.checksum}: it was deleted: run it again"
        )
    return partial


def _count_present(partial: Path, size_bytes: int | None) -> int:
    """Bytes that an earlier attempt left; what can't be the beginning of the file is deleted."""
    present = partial.stat().st_size if partial.is_file() else 0
    if size_bytes is not None and present <= size_bytes:
        return present
    partial.unlink(missing_ok=True)
    return 0


def checksum_like(path: Path, checksum: str) -> str:
    """The file's own checksum of the kind that the hub gave: SHA-256, or git's SHA-1 of a blob."""
    if _SHA256.fullmatch(checksum):
        return sha256_of(path)
    content = path.read_bytes()
    blob = b"blob %d\0%s" % (len(content), content)
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()
