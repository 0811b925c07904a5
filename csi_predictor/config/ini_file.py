"""Raw INI text to raw values with their places, before any type is known."""

from configparser import ConfigParser
from configparser import Error as ParserError
from dataclasses import dataclass
from pathlib import Path

from csi_predictor.errors import ConfigError


@dataclass(frozen=True)
class RawValue:
    """One key as found, with the place to name in a message.

    Attributes:
        section: Upper case.
        name: The key in upper case.
        text: The value without comments and outer white space.
        where: `config.ini:42`, `--set` or the environment variable.
        folder: What a relative path in it is relative to.
    """

    section: str
    name: str
    text: str
    where: str
    folder: Path


def read_ini(path: Path) -> tuple[list[RawValue], list[str]]:
    """Every value of an INI file and the problems of its form.

    `%` is an ordinary character, `#` and `;` start a comment after white space, `[DEFAULT]` is a
    section like any other (and therefore unknown).

    Raises:
        ConfigError: The file is missing, isn't UTF-8 text or isn't an INI.
    """
    text = _read_text(path)
    parser = ConfigParser(
        interpolation=None,
        inline_comment_prefixes=("#", ";"),
        default_section="",
        strict=False,
        empty_lines_in_values=False,
    )
    parser.optionxform = str.upper  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text, source=path.name)
    except ParserError as error:
        message = " ".join(str(error).split())
        raise ConfigError(f"{path.name}: {message}: expected [SECTION] and KEY = value") from error
    lines, problems = _find_lines(text, path.name)
    values = [
        RawValue(
            section.upper(),
            name,
            value,
            f"{path.name}:{lines.get((section.upper(), name), '?')}",
            path.resolve().parent,
        )
        for section in parser.sections()
        for name, value in parser.items(section)
    ]
    empty = [s for s in parser.sections() if not parser.items(s)]
    values += [RawValue(s.upper(), "", "", f"{path.name}", path.resolve().parent) for s in empty]
    return values, problems


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file: expected an INI file (--ini FILE)") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a folder: expected an INI file (--ini FILE)") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: save the INI as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: expected a readable INI file") from error


def _find_lines(text: str, file_name: str) -> tuple[dict[tuple[str, str], int], list[str]]:
    """The line of each (section, key), and a problem for each key that stands twice."""
    lines: dict[tuple[str, str], int] = {}
    problems = []
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("[") and "]" in stripped:
            section = stripped[1 : stripped.index("]")].upper()
        elif stripped and stripped[0] not in "#;" and not line[0].isspace():
            name = stripped.replace(":", "=", 1).split("=", 1)[0].strip().upper()
            if (section, name) in lines:
                problems.append(
                    f"{file_name}:{number} [{section}] {name}: already set in line "
                    f"{lines[section, name]}: expected once"
                )
            lines[section, name] = number
    return lines, problems
