"""Several rows at once: by name, by family, by kind."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from csi_predictor.architectures import ARCHITECTURES, Architecture, find_architecture
from csi_predictor.architectures.images import IMAGE_ROWS
from csi_predictor.architectures.volumes import VOLUME_ROWS

_KINDS: Mapping[str, tuple[Architecture, ...]] = {
    "2d": IMAGE_ROWS,
    "3d": VOLUME_ROWS,
    "all": tuple(ARCHITECTURES.values()),
}


def select_architectures(words: Iterable[str]) -> tuple[Architecture, ...]:
    """Every row that the words mean, each once, in the words' order.

    Args:
        words: A row's name (or what `find_architecture` takes for one), a family such as
            `efficientnet`, `2d` (networks of single radiographs), `3d` or `all`.

    Raises:
        KeyError: A word means none; the message lists the nearest name and all others.
    """
    found = {row.name: row for word in words for row in _rows_of(word)}
    return tuple(found.values())


def _rows_of(word: str) -> tuple[Architecture, ...]:
    if word.lower() in _KINDS:
        return _KINDS[word.lower()]
    try:
        return (find_architecture(word),)
    except KeyError as error:
        family = tuple(row for row in ARCHITECTURES.values() if row.family == word.lower())
        if not family:
            raise KeyError(_unknown(word)) from error
        return family


def _unknown(word: str) -> str:
    families = dict.fromkeys(row.family for row in ARCHITECTURES.values())
    near = get_close_matches(word.lower(), [*ARCHITECTURES, *families, *_KINDS], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return (
        f"{word}: expected {', '.join(_KINDS)}, a family ({', '.join(families)}), or one of "
        f"{', '.join(ARCHITECTURES)}, timm/<name>{hint}"
    )
