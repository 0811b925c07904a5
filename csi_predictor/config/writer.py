"""A configuration as INI text: the shipped `config.ini` and the resolved copy of every run."""

from textwrap import wrap

from csi_predictor.config.describe import expected, ini_value
from csi_predictor.config.schema import SECTIONS, Config

_HEADER = """\
; CSI-Predictor: every key with its meaning, what it accepts and its default.
; Sections and keys in any case; # and ; start comments; empty = none.
; Override one: --set TRAINING.N_EPOCHS=5, or the environment variable CSI_TRAINING__N_EPOCHS=5.
; Relative paths are relative to this file's folder.
"""


def render_default_ini() -> str:
    """The text of `config.ini`: every key, commented, with its default."""
    parts = [_HEADER]
    for section, model in SECTIONS.items():
        parts.append(f"\n; {(model.__doc__ or '').strip()}\n[{section}]\n")
        for name, field in model.model_fields.items():
            default = ini_value(field.default)
            accepts = expected(section, name.upper())
            comment = f"{field.description}. "
            comment += "" if accepts in (field.description, "text") else f"Accepts {accepts}. "
            comment += f"Default: {default or 'empty'}"
            lines = wrap(comment, width=98, initial_indent="; ", subsequent_indent=";   ")
            parts.append("\n".join(lines) + f"\n{name.upper()} = {default}".rstrip() + "\n")
    return "".join(parts)


def render_ini(config: Config) -> str:
    """A resolved configuration as INI text that loads to the same configuration."""
    parts = ["; Resolved configuration of this run; run it again with --ini.\n"]
    for section, model in SECTIONS.items():
        values = getattr(config, section.lower())
        parts.append(f"\n[{section}]\n")
        parts += [
            f"{name.upper()} = {ini_value(getattr(values, name))}".rstrip() + "\n"
            for name in model.model_fields
        ]
    return "".join(parts)
