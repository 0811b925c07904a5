"""DICOM bytes -> data set: bounded, quiet, and with every failure named.

pydicom inflates a deflated file whole before it looks at it, quotes values of the patient in its
warnings, and raises a dozen unrelated errors on damaged bytes; none of that leaves this file.
"""

import logging
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError

_MAGIC_AT = 128
_BARE_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
_BARE_NEEDS = ("SOPClassUID", "Rows", "PixelData")


def is_dicom(head: bytes) -> bool:
    """Whether the bytes begin as a DICOM file, or as a data set without preamble."""
    return head[_MAGIC_AT : _MAGIC_AT + 4] == b"DICM" or (
        head[:2] in _BARE_STARTS and len(head) > _MAGIC_AT
    )


@dataclass(frozen=True)
class Header:
    """A data set whose damaged or absent attributes are read as None, never as an exception.

    Attributes:
        dataset: As parsed.
        ends_early: The file ends before its last element does.
    """

    dataset: Dataset
    ends_early: bool = False

    def value(self, keyword: str) -> Any:
        """An attribute's value, or None when it is absent, empty or can't be parsed."""
        try:
            value = self.dataset.get(keyword)
        except Exception:  # pydicom converts on access and fails in many types of its own
            return None
        return None if value is None or value == "" else value

    def text(self, keyword: str) -> str:
        """An attribute as text, empty when absent; of several values the first."""
        values = self.texts(keyword)
        return values[0] if values else ""

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Every value of an attribute as text."""
        return tuple(str(value).strip() for value in self._values(keyword))

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Every value of a numeric attribute; empty when one of them is no number."""
        try:
            return tuple(float(value) for value in self._values(keyword))
        except (TypeError, ValueError):
            return ()

    def integer(self, keyword: str) -> int | None:
        """The single whole number of an attribute; None when it is anything else."""
        numbers = self.numbers(keyword)
        return int(numbers[0]) if len(numbers) == 1 and numbers[0].is_integer() else None

    def items(self, keyword: str) -> tuple["Header", ...]:
        """The items of a sequence."""
        return tuple(Header(i) for i in self._values(keyword) if isinstance(i, Dataset))

    def _values(self, keyword: str) -> Sequence[Any]:
        value = self.value(keyword)
        if value is None:
            return ()
        is_list = not isinstance(value, str | bytes) and isinstance(value, Sequence)
        return value if is_list else (value,)


def read_header(source: Source, keywords: Sequence[str] | None = None) -> Header:
    """Parse a DICOM file.

    Args:
        source: The file, or with `keywords` its beginning.
        keywords: Read only these, without the pixels; None reads all.

    Raises:
        ImageError: NOT_DICOM, BAD_HEADER, TOO_LARGE (inflated size) or TRUNCATED.
    """
    try:
        with quiet() as caught:
            dataset = _parse(source, keywords)
            is_cut = _last_is_cut(dataset)
    except ImageError:
        raise
    except Exception as error:
        # Without the cause: its text may quote values of the patient.
        raise ImageError(
            source.path, "BAD_HEADER", f"the DICOM header can't be parsed ({type(error).__name__})"
        ) from None
    ran_out = any("End of file" in str(warning.message) for warning in caught)
    return Header(dataset, ends_early=ran_out or is_cut)


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Catch the warnings and log lines of pydicom: they quote values of the patient."""
    logger = logging.getLogger("pydicom")
    propagates, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        logger.propagate = propagates


def _parse(source: Source, keywords: Sequence[str] | None) -> Dataset:
    has_preamble = source.content[_MAGIC_AT : _MAGIC_AT + 4] == b"DICM"
    if has_preamble:
        deflated = _parse_deflated(source, is_whole=keywords is None)
        if deflated is not None:
            return deflated
    file = BytesIO(source.content)
    if keywords is not None:
        return dcmread(file, force=True, stop_before_pixels=True, specific_tags=list(keywords))
    dataset = dcmread(file, force=True)
    missing = [keyword for keyword in _BARE_NEEDS if keyword not in dataset]
    if missing and not has_preamble:
        raise ImageError(
            source.path,
            "NOT_DICOM",
            f"no DICM prefix and no {', '.join(missing)}: expected a DICOM file",
        )
    return dataset


def _parse_deflated(source: Source, *, is_whole: bool) -> Dataset | None:
    """The data set of a deflated file, inflated no further than the size limit; None if it isn't.

    `is_whole` tells that the source isn't just a file's beginning.

    Source:
        PS3.5 A.5: the data set after the file meta information is one raw deflate stream.
    """
    file = BytesIO(source.content)
    read_preamble(file, False)
    meta = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    inflator = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        content = inflator.decompress(source.content[file.tell() :], source.max_bytes)
    except zlib.error:
        raise ImageError(source.path, "DECODE_FAILED", "the deflated data set is damaged") from None
    if inflator.unconsumed_tail:
        raise ImageError(
            source.path, "TOO_LARGE", f"inflates to more than {source.max_bytes} bytes"
        )
    if is_whole and not inflator.eof:
        raise ImageError(source.path, "TRUNCATED", "the deflated data set ends early")
    dataset = read_dataset(BytesIO(content), False, True)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset


def _last_is_cut(dataset: Dataset) -> bool:
    tags = dataset.keys()
    if not tags:
        return False
    last = dataset.get_item(max(tags))
    return (
        isinstance(last, RawDataElement)
        and last.value is not None
        and last.length != 0xFFFFFFFF
        and len(last.value) < last.length
    )
