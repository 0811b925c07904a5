"""The registry as a table for people: `--mode models` and the README. Imports no network library.

After a change of rows, this prints the README's table:
`python -c "from csi_predictor.architectures.listing import render_markdown as r; print(r())"`
"""

from csi_predictor.architectures import ARCHITECTURES, TIMM_PREFIX, Architecture

COLUMNS = (
    "name",
    "family",
    "input",
    "parameters",
    "features",
    "weights, in MODELS_CACHE",
    "source",
)
WEIGHTS_FILE = "model.safetensors"
_ASKED = "timm's own"


def render_registry() -> str:
    """One line a network, in columns for a terminal."""
    rows = [COLUMNS, *list_networks()]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def render_markdown() -> str:
    """The same table for the README."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *list_networks()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def list_networks() -> list[tuple[str, ...]]:
    """The cells of every network of the registry, in its order, and of any other of timm."""
    anything = (
        f"{TIMM_PREFIX}NAME",
        "timm",
        _ASKED,
        _ASKED,
        _ASKED,
        f"NAME.TAG/{WEIGHTS_FILE}",
        "timm, github.com/huggingface/pytorch-image-models",
    )
    return [*map(_cells, ARCHITECTURES.values()), anything]


def list_weights(row: Architecture) -> tuple[str, ...]:
    """Paths below MODELS_CACHE of a row's published files, the weights first; empty = none."""
    if row.weights is not None:
        return tuple(f"{row.weights.folder}/{name}" for name in row.weights.files)
    return () if row.timm_name is None else (f"{row.timm_name}/{WEIGHTS_FILE}",)


def _cells(row: Architecture) -> tuple[str, ...]:
    return (
        row.name,
        row.family,
        _describe_input(row),
        _describe_parameters(row),
        str(row.feature_dim or _ASKED),
        _describe_weights(row),
        row.source if row.weights is None else f"{row.source}; {row.weights.page}",
    )


def _describe_input(row: Architecture) -> str:
    spec = row.input_spec
    if spec is None:
        return _ASKED
    size = "x".join(map(str, (spec.channels, *spec.size)))
    return size if row.num_images == 1 else f"{row.num_images} x {size}"


def _describe_parameters(row: Architecture) -> str:
    """The count, and with which head it was counted."""
    if not row.parameters:
        return _ASKED
    if row.outputs:
        return f"{row.parameters:,} with {row.outputs} outputs"
    return f"{row.parameters:,} {'in all' if row.is_complete else 'without head'}"


def _describe_weights(row: Architecture) -> str:
    paths = " + ".join(list_weights(row)) or "none"
    if row.weights is not None and row.weights.repo_id is None:
        return f"{paths}, put there by hand"
    return f"{paths}, inflated" if row.dimensions == 3 and row.timm_name else paths
