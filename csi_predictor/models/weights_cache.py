"""Published weights in one folder, MODELS_CACHE: found, verified, or fetched into it.

    models_cache/
    ├── resnet18.tv_in1k/          a network's name and version, as timm names them with their tag
    │   ├── model.safetensors
    │   └── source.json            what was fetched: repository, revision, SHA-256, size
    └── .download/                 partial downloads and locks; may be deleted when nothing runs

The folder can be carried to a machine without a network. Rules of verification:

- A file with a record is compared with it whenever it is used, by size and by SHA-256. The sum is
  always taken in full: it costs less than a second for a file of 1 GB (1.3 GB/s measured), and size
  and time of a file say nothing about a bad copy or a bad disk.
- A file without a record was put there by hand. It is accepted, and its SHA-256 stands in the log.
  No record is written for it: nobody knows where it came from, and a record would hold against its
  replacement by a better one. `fetch_pretrained` compares it with the hub and then records it.
- A file that isn't what its record says is an error, never fetched again in silence: somebody may
  have put another one there on purpose.
"""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from loguru import logger

from csi_predictor.architectures import Architecture
from csi_predictor.errors import WeightsError
from csi_predictor.files import sha256_of, write_text
from csi_predictor.models.hub_download import ask_hub, checksum_like, receive

WEIGHTS_FILE = "model.safetensors"
RECORD_FILE = "source.json"
_WORKPLACE = ".download"
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class PublishedFile:
    """One file of a network's published weights.

    Attributes:
        network: The registry's name.
        folder: Below MODELS_CACHE.
        name: In that folder.
        repo_id: Of the Hugging Face hub; None = only a person may get it.
        page: Where a person gets it.
        size_mib: About; None = it is small.
    """

    network: str
    folder: str
    name: str
    repo_id: str | None
    page: str
    size_mib: float | None


@dataclass(frozen=True)
class Record:
    """What `source.json` says of one file.

    Attributes:
        repo_id: Of the Hugging Face hub.
        revision: Commit of the repository.
        sha256: Hexadecimal.
        size_bytes: Of the file.
    """

    repo_id: str
    revision: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class CachedFile:
    """A file that lies, verified, in the cache.

    Attributes:
        path: Of the file.
        record: Where it came from.
        is_new: True = it was downloaded just now.
    """

    path: Path
    record: Record
    is_new: bool


def find_pretrained(
    architecture: Architecture, *, models_cache: Path, offline: bool, name: str = ""
) -> Path:
    """A published file of a row: in the cache, or downloaded into it.

    Args:
        architecture: The row.
        models_cache: Holds one folder a network.
        offline: True = never ask the network.
        name: Which of the row's files; empty = its weights.

    Raises:
        WeightsError: There is none, it isn't what its record says, or it isn't in the cache and
            can't be fetched.
        ConfigError: timm has no such network.
    """
    files = list_published_files(architecture)
    wanted = {file.name: file for file in files}[name] if name else files[0]
    path = models_cache / wanted.folder / wanted.name
    if path.is_file():
        _verify(path, wanted)
        return path
    if offline:
        raise WeightsError(f"{path}: no such file, and [RUNTIME] OFFLINE = true: {_advice(wanted)}")
    return _download(wanted, models_cache).path


def fetch_pretrained(architecture: Architecture, models_cache: Path) -> Iterator[CachedFile]:
    """Every published file of a row, downloaded into the cache where it isn't there.

    A file with a record is verified and kept. One without, put there by hand, is compared with the
    hub's newest version and gets a record.

    Raises:
        WeightsError: A file can't be fetched, or isn't what its record or the hub says.
        ConfigError: timm has no such network.
    """
    for wanted in list_published_files(architecture):
        path = models_cache / wanted.folder / wanted.name
        record = _verify(path, wanted) if path.is_file() else None
        if record is not None:
            yield CachedFile(path, record, is_new=False)
        else:
            yield _download(wanted, models_cache)


def list_published_files(architecture: Architecture) -> tuple[PublishedFile, ...]:
    """The files of a row's published weights, the weights themselves first.

    Raises:
        WeightsError: There are none.
        ConfigError: timm has no such network.
    """
    source = architecture.weights
    if source is not None:
        sizes = (source.size_mib, *(None for _ in source.files[1:]))
        return tuple(
            PublishedFile(
                architecture.name, source.folder, name, source.repo_id, source.page, size_mib
            )
            for name, size_mib in zip(source.files, sizes, strict=True)
        )
    if architecture.timm_name is None:
        raise WeightsError(
            f"{architecture.name} has no published weights: set [MODEL] PRETRAINED = false, or "
            "WEIGHTS to a file of your own"
        )
    from csi_predictor.models.encoders2d.timm_encoder import read_pretrained_source

    timms = read_pretrained_source(architecture)
    return (
        PublishedFile(
            architecture.name,
            timms.name,
            WEIGHTS_FILE,
            timms.repo_id,
            f"https://huggingface.co/{timms.repo_id}",
            timms.size_mib,
        ),
    )


def _advice(wanted: PublishedFile) -> str:
    size = "" if wanted.size_mib is None else f" (about {wanted.size_mib:.0f} MiB)"
    by_hand = f"put {wanted.name}{size} of {wanted.page} there"
    if wanted.repo_id is None:
        return f"{by_hand}, or name your copy in [MODEL] WEIGHTS"
    return (
        f"{by_hand}, or run --mode models --fetch {wanted.network} where there is a network and "
        "carry MODELS_CACHE here"
    )


def _verify(path: Path, wanted: PublishedFile) -> Record | None:
    """The record of a file, after comparing both; None = there is none."""
    record = _read_records(path.parent).get(path.name)
    if record is None:
        logger.info("{} was put there by hand: SHA-256 {}", path, sha256_of(path))
        return None
    place = path.parent / RECORD_FILE
    advice = (
        f"delete {path} to fetch it again, or delete {place} if you put another file there on "
        "purpose"
    )
    if record.repo_id != wanted.repo_id:
        raise WeightsError(
            f"{path}: came from {record.repo_id}, as {place} says: expected {wanted.repo_id}: "
            f"{advice}"
        )
    size = path.stat().st_size
    if size != record.size_bytes:
        raise WeightsError(
            f"{path}: has {size} bytes, but {place} says {record.size_bytes}: it was cut short or "
            f"changed: {advice}"
        )
    found = sha256_of(path)
    if found != record.sha256:
        raise WeightsError(
            f"{path}: has SHA-256 {found}, but {place} says {record.sha256}: it was damaged or "
            f"changed: {advice}"
        )
    logger.debug("{} is revision {} of {}", path, record.revision, record.repo_id)
    return record


def _read_records(folder: Path) -> dict[str, Record]:
    """What `source.json` says of each file of a folder."""
    path = folder / RECORD_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: Record(**values) for name, values in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path}: not the record of a download ({error}): delete it to accept the files beside "
            "it as they are"
        ) from error


def _download(wanted: PublishedFile, models_cache: Path) -> CachedFile:
    path = models_cache / wanted.folder / wanted.name
    if wanted.repo_id is None:
        raise WeightsError(
            f"{path}: no such file, and its publisher gives it to people only: {_advice(wanted)}"
        )
    try:
        with _locked(models_cache / _WORKPLACE / f"{wanted.folder}.lock", path):
            return _fetch(wanted, wanted.repo_id, models_cache)
    except WeightsError:
        raise
    except Exception as error:  # the hub's client raises errors of four libraries
        if isinstance(error, OSError) and error.errno in _FULL_DISK:
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{path}: no such file, and the download failed: {reason}: run it again to go on with "
            f"it, or {_advice(wanted)}"
        ) from error


@contextmanager
def _locked(lock: Path, path: Path) -> Iterator[None]:
    """One process at a time fetches a network; the others wait and find it fetched."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock_file = FileLock(lock)
    try:
        lock_file.acquire(blocking=False)
    except Timeout:
        logger.info("Another process is fetching {}: waiting for it", path)
        lock_file.acquire()
    try:
        yield
    finally:
        lock_file.release()


def _fetch(wanted: PublishedFile, repo_id: str, models_cache: Path) -> CachedFile:
    """Adopt the file that lies there, or receive it beside the cache's folders and move it."""
    folder = models_cache / wanted.folder
    path = folder / wanted.name
    records = _read_records(folder)
    if path.is_file() and wanted.name in records:  # by the process that was waited for
        _verify(path, wanted)
        return CachedFile(path, records[wanted.name], is_new=False)
    hub_file = ask_hub(repo_id, wanted.name)
    is_new = not path.is_file()
    if is_new:
        arrived = receive(hub_file, models_cache / _WORKPLACE / wanted.folder)
    else:
        arrived = path
        found = checksum_like(path, hub_file.checksum)
        if found != hub_file.checksum:
            raise WeightsError(
                f"{path}: was put there by hand and has checksum {found}, but {wanted.name} of "
                f"{repo_id} has {hub_file.checksum}: delete it to fetch that one, or name yours in "
                "[MODEL] WEIGHTS"
            )
    record = Record(repo_id, hub_file.revision, sha256_of(arrived), arrived.stat().st_size)
    records[wanted.name] = record
    # The record first: whoever sees the file, without waiting for the lock, can verify it.
    write_text(
        folder / RECORD_FILE,
        json.dumps({name: asdict(kept) for name, kept in records.items()}, indent=2) + "\n",
    )
    if is_new:
        arrived.replace(path)
        if not any(arrived.parent.iterdir()):
            arrived.parent.rmdir()
    return CachedFile(path, record, is_new)
