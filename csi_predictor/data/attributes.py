"""What is known of each image beside its truth: a column of the labels table, or a DICOM tag."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from csi_predictor.data.label_rows import UNKNOWN, nearest
from csi_predictor.data.manifest import Row
from csi_predictor.data.readers.dicom_dataset import Header, is_dicom, quiet, read_header
from csi_predictor.data.readers.series_slices import files_below, is_dicom_file
from csi_predictor.data.readers.source import Source, max_bytes, read_content
from csi_predictor.data.table import TextRow, TextTable, check_no_problems, read_text_table
from csi_predictor.errors import ConfigError
from csi_predictor.progress import track

Values = tuple[str | None, ...]

TAGS: Mapping[str, tuple[str, ...]] = {
    "sex": ("PatientSex",),
    "age": ("PatientAge", "PatientBirthDate", "StudyDate"),
    "view": ("ViewPosition",),
    "manufacturer": ("Manufacturer",),
    "model": ("ManufacturerModelName",),
    "site": ("InstitutionName",),
}
"""DICOM's keywords of each name, for which no column is needed."""

MOST_NUMBERS = 12
MOST_VALUES = 40
"""Different numbers, and different values of any kind, of which groups are still made."""

_SEXES = {"M": "male", "F": "female", "O": "other"}  # PS3.3 C.7.1.1
_SAYS_NOTHING = UNKNOWN | {"unknown", "n/a", "none"}
_AGE_NAMES = frozenset({"age", "patientage"})
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}  # PS3.5 6.2, AS
_AGE = re.compile(r"(\d+(?:[.,]\d+)?) ?([DWMY]?)", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # with points before DICOM 3.0
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_OLDEST = 120  # years; above it stands for an age that was removed
_EXTENSION = re.compile(r"(\.nii(\.gz)?|\.[a-z]{3,5})$", re.IGNORECASE)
_PREFIXES = (1 << 16, 1 << 20)  # bytes; the second where the header is longer than the first
_PIXEL_DATA = b"\xe0\x7f\x10\x00"  # (7FE0,0010), behind all tags of a header
_MAX_MEGAPIXELS = 500.0


def read_attributes(
    rows: Sequence[Row],
    names: Sequence[str],
    *,
    table: Path | None = None,
    id_column: str = "FileID",
    separator: str | None = None,
    age_bands: Sequence[float] = (40, 60, 80),
) -> dict[str, Values]:
    """Of each name one value an image, in the rows' order; None = unknown.

    A name is a column of the table (upper and lower case are equal), else one of `TAGS`, read from
    the headers alone; of a folder of slices the first file's. Values that differ in case only are
    one. Ages, of a column named age or from DICOM (its age, else birth and study date), become
    bands.

    Args:
        rows: The images.
        names: What is asked for.
        table: The labels table, or another one with the images' ids; None = there is none.
        id_column: Of the table.
        separator: Of the table; None finds it.
        age_bands: Years at which a band begins, rising.

    Raises:
        ConfigError: The bands don't rise.
        LabelsError: A name is neither a column nor a tag, nothing is known of it, or its values
            make no groups; or the table can't be read.
        ImageError: A DICOM header can't be read.
    """
    _check_bands(age_bands)
    text = None if table is None else read_text_table(table, (id_column,), separator=separator)
    columns = [name for name in names if text is not None and text.has_column(name)]
    tags = [name for name in names if name not in columns and name.casefold() in TAGS]
    cells = _read_tags(rows, tags)
    if text is not None:
        cells |= _read_columns(text, rows, columns, id_column)
    problems = list(_unknown_names(names, cells, text))
    attributes: dict[str, Values] = {}
    for name, values in cells.items():
        found = list(_problems(name, values, rows, id_column, is_column=name in columns))
        problems += [f"[EVALUATION] SUBGROUPS = {name}: {problem}" for problem in found]
        if not found:
            attributes[name] = _groups(name, values, age_bands)
    check_no_problems(problems)
    return {name: attributes[name] for name in names}


def _check_bands(age_bands: Sequence[float]) -> None:
    rises = all(low < high for low, high in pairwise(age_bands))
    if not (age_bands and age_bands[0] > 0 and rises):
        found = ", ".join(f"{years:g}" for years in age_bands) or "nothing"
        raise ConfigError(
            f"[EVALUATION] AGE_BANDS = {found}: expected rising years above 0, as 40, 60, 80"
        )


def _unknown_names(
    names: Sequence[str], cells: Mapping[str, Values], text: TextTable | None
) -> Iterator[str]:
    columns = () if text is None else text.header
    source = "there is no labels table, and it isn't" if text is None else "neither a column nor"
    for name in names:
        if name not in cells:
            yield (
                f"[EVALUATION] SUBGROUPS = {name}: {source} a DICOM tag: expected one of "
                f"{', '.join([*columns, *TAGS])}{nearest(name, [*columns, *TAGS])}"
            )


def _read_columns(
    text: TextTable, rows: Sequence[Row], names: Sequence[str], id_column: str
) -> dict[str, Values]:
    check_no_problems(text.problems)
    by_id: dict[str, TextRow] = {_EXTENSION.sub("", row[id_column]): row for row in text.rows}
    by_id |= {row[id_column]: row for row in text.rows}
    found = [by_id.get(row.file_id) for row in rows]
    return {name: tuple(_cell(row, name) for row in found) for name in names}


def _cell(row: TextRow | None, name: str) -> str | None:
    if row is None or row[name].casefold() in _SAYS_NOTHING:
        return None
    return row[name]


def _read_tags(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Values]:
    if not names:
        return {}
    keywords = [keyword for name in names for keyword in TAGS[name.casefold()]]
    table = []
    for row in track(rows, "reading headers", len(rows)):
        header = _read_header(row.path, keywords)
        with quiet():  # pydicom converts on access, and its warnings quote the value
            table.append([None if header is None else _tag(header, name) for name in names])
    return {name: tuple(line[i] for line in table) for i, name in enumerate(names)}


def _read_header(path: Path, keywords: Sequence[str]) -> Header | None:
    """The wanted tags of a DICOM file, or of the first one in a folder; None of another format."""
    if path.is_dir():
        path = next((each for each in files_below(path) if is_dicom_file(each)), path)
    if path.is_dir() or not is_dicom_file(path):
        return None
    for prefix in _PREFIXES:
        content = read_content(path, max_bytes(_MAX_MEGAPIXELS), is_dicom, prefix_bytes=prefix)
        if _PIXEL_DATA in content or len(content) < prefix:
            break  # the header is whole
    return read_header(Source(path=path, content=content, max_megapixels=_MAX_MEGAPIXELS), keywords)


def _tag(header: Header, name: str) -> str | None:
    kind = name.casefold()
    if kind == "age":
        return _age_text(header)
    value = header.text(TAGS[kind][0])
    if value.casefold() in _SAYS_NOTHING:
        return None
    return _SEXES.get(value.upper(), value) if kind == "sex" else value


def _age_text(header: Header) -> str | None:
    age = header.text("PatientAge")
    if _years(age) is not None:
        return age
    born, seen = (_DATE.fullmatch(header.text(f"{each}Date")) for each in ("PatientBirth", "Study"))
    if born is None or seen is None:
        return None
    (year, *birthday), (now, *today) = (tuple(map(int, d.groups())) for d in (born, seen))
    years = now - year - (today < birthday)
    return str(years) if years >= 0 else None


def _years(text: str) -> float | None:
    """`45`, `045Y` or `18M` in years; None where it is no age, or a removed one."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return None
    years = float(match[1].replace(",", ".")) * _YEARS[match[2].upper()]
    return years if years <= _OLDEST else None


def _is_age(name: str) -> bool:
    return re.sub("[^a-z]", "", name.casefold()) in _AGE_NAMES


def _are_ages(name: str, known: Sequence[str]) -> bool:
    """Whether a column of that name holds ages, and not bands that somebody made already."""
    return _is_age(name) and any(_AGE.fullmatch(value) for value in known)


def _problems(
    name: str, values: Values, rows: Sequence[Row], id_column: str, *, is_column: bool
) -> Iterator[str]:
    """Why the values make no groups; never a value itself."""
    known = [value for value in values if value is not None]
    distinct = {value.casefold() for value in known}
    pairs = zip(values, rows, strict=True)
    if not known:
        where = "its column" if is_column else f"DICOM's {' or '.join(TAGS[name.casefold()])}"
        yield (
            f"{where} says nothing of any of the {len(rows)} images: expected a value of some; "
            "remove the name, or add a column"
        )
    elif name.casefold() == id_column.casefold() or all(
        value in (None, row.patient_id) for value, row in pairs
    ):
        yield "it names images or patients: expected what several patients share"
    elif _are_ages(name, known):
        wrong = sum(_AGE.fullmatch(value) is None for value in known)
        if wrong:
            yield f"{wrong} values are no age: expected years, as 45 or 045Y, or empty"
    elif len(distinct) > MOST_NUMBERS and all(map(_NUMBER.fullmatch, known)):
        yield (
            f"{len(distinct)} different numbers: expected at most {MOST_NUMBERS}; "
            "cut it into bands first, in a column of its own"
        )
    elif len(distinct) > MOST_VALUES:
        yield f"{len(distinct)} different values: expected at most {MOST_VALUES} groups"


def _groups(name: str, values: Values, age_bands: Sequence[float]) -> Values:
    known = [value for value in values if value is not None]
    if _are_ages(name, known):
        return tuple(None if value is None else _band(value, age_bands) for value in values)
    if all(map(_NUMBER.fullmatch, known)):
        values = tuple(None if value is None else _plain_number(value) for value in values)
        known = [value for value in values if value is not None]
    spelling: dict[str, str] = {}
    for text, _ in sorted(Counter(known).items(), key=lambda pair: (-pair[1], pair[0])):
        spelling.setdefault(text.casefold(), text)  # the commonest one
    return tuple(None if value is None else spelling[value.casefold()] for value in values)


def _plain_number(text: str) -> str:
    """`1` of `1.0`, which are one value."""
    return f"{float(text.replace(',', '.')):g}"


def _band(text: str, age_bands: Sequence[float]) -> str | None:
    """`<40`, `40-59`, `80+`; of bands that don't begin at whole years `40 to <60.5`."""
    years = _years(text)
    if years is None:
        return None
    if years < age_bands[0]:
        return f"<{age_bands[0]:g}"
    last = max(i for i, begin in enumerate(age_bands) if years >= begin)
    if last == len(age_bands) - 1:
        return f"{age_bands[last]:g}+"
    low, high = age_bands[last], age_bands[last + 1]
    is_whole = float(low).is_integer() and float(high).is_integer()
    return f"{low:g}-{high - 1:g}" if is_whole else f"{low:g} to <{high:g}"
