"""The registry as a table for people: `--mode models`."""

from csi_predictor.architectures import ARCHITECTURES, Architecture

_COLUMNS = ("name", "family", "input", "features", "weights of PRETRAINED = true, in MODELS_CACHE")


def render_registry() -> str:
    """One line a network; imports no network library."""
    rows = [_COLUMNS, *map(_cells, ARCHITECTURES.values())]
    rows.append(("timm/<name>", "timm", "its own", "its own", "<name>/model.safetensors"))
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Architecture) -> tuple[str, ...]:
    spec = row.input_spec
    size = "its own" if spec is None else f"{spec.channels}x{'x'.join(map(str, spec.size))}"
    weights = "none" if row.timm_name is None else f"{row.timm_name}/model.safetensors"
    return (row.name, row.family, size, str(row.feature_dim or "its own"), weights)
