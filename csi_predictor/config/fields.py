"""Building blocks of the schema: the base of a section and the types with their own spelling."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def upper_case(field_name: str) -> str:
    """The INI key of a field: `model_arch` -> `MODEL_ARCH`."""
    return field_name.upper()


class Section(BaseModel):
    """One INI section; a field's upper-case name is its key."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=upper_case, populate_by_name=True
    )


def key(default: Any, description: str, **limits: Any) -> Any:
    """A field with its default, what it means (unit included), and its numeric limits."""
    return Field(default=default, description=description, validate_default=True, **limits)


def _split_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _empty_if_auto(value: object) -> object:
    return () if isinstance(value, tuple | list) and list(value) == ["auto"] else value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _separator(value: object) -> object:
    """`;` starts a comment in an INI, so `KEY = ;` arrives empty and means a semicolon."""
    return {"": ";", "semicolon": ";", "comma": ","}.get(str(value).lower(), _lower_case(value))


def _list_of_paths(value: object) -> object:
    return tuple(Path(p) for p in part) if isinstance(part := _split_list(value), tuple) else value


Word = BeforeValidator(_lower_case)
UpperWord = BeforeValidator(_upper)
SeparatorWord = BeforeValidator(_separator)
SplitList = BeforeValidator(_split_list)
Names = Annotated[tuple[str, ...], SplitList]
Numbers = Annotated[tuple[float, ...], SplitList]
Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], SplitList]
Edges = Annotated[
    tuple[Annotated[int, Field(ge=1, le=64)], ...], BeforeValidator(_empty_if_auto), SplitList
]
OptionalPath = Annotated[Path | None, BeforeValidator(_none_if_empty)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_list_of_paths)]
OptionalNumber = Annotated[float | None, BeforeValidator(_none_if_empty)]
