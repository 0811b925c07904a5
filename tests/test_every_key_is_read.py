"""A key that nothing reads would be a lie in `config.ini`."""

from pathlib import Path
from typing import Literal, get_args, get_origin

from csi_predictor.config.schema import SECTIONS

PACKAGE = Path(__file__).resolve().parents[1] / "csi_predictor"


def has_one_choice(annotation: object) -> bool:
    """`[DATA] TASK = csi`: a key that says what else will come, with nothing to decide yet."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def test_every_key_of_the_schema_is_read_somewhere() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "schema.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    unread = [
        f"[{section}] {name.upper()}"
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
        if f".{name}" not in code and not has_one_choice(field.annotation)
    ]
    assert unread == []
