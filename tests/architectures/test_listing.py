"""The table of networks: what `--mode models` prints and what the README shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from csi_predictor.architectures import ARCHITECTURES
from csi_predictor.architectures.listing import (
    COLUMNS,
    list_networks,
    list_weights,
    render_markdown,
    render_registry,
)

ROOT = Path(__file__).resolve().parents[2]
CELLS = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in list_networks()}
WEIGHTS = "weights, in MODELS_CACHE"


def test_the_readmes_table_is_the_registrys() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(
        r"<!-- networks: [^\n]* -->\n(.*?)\n<!-- end of networks -->", readme, flags=re.DOTALL
    )
    assert table == render_markdown(), (
        "print the new table with: python -c 'from csi_predictor.architectures.listing import "
        "render_markdown as r; print(r())'"
    )


def test_every_network_has_its_line_in_the_registrys_order() -> None:
    lines = render_registry().splitlines()
    assert [line.split()[0] for line in lines] == ["name", *ARCHITECTURES, "timm/NAME"]


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        ("resnet50", "family", "resnet"),
        ("resnet50", "input", "3x224x224"),
        # torchvision's resnet50: 25,557,032
        ("resnet50", "parameters", "25,557,032 with 1000 outputs"),
        ("resnet50", "features", "2048"),
        ("resnet50", WEIGHTS, "resnet50.tv_in1k/model.safetensors"),
        ("resnet50_3d", "input", "1x128x256x256"),
        ("resnet50_3d", WEIGHTS, "resnet50.tv_in1k/model.safetensors, inflated"),
        ("densenet_tiny_3d", WEIGHTS, "none"),
        ("longitudinal_mim_big", "input", "2 x 1x512x512"),
        ("masked_reconstruction", "input", "1x512x512"),
        ("custom1", WEIGHTS, "none"),
        ("raddino", WEIGHTS, "rad-dino/model.safetensors + rad-dino/preprocessor_config.json"),
        ("timm/NAME", "parameters", "timm's own"),
    ],
)
def test_a_cell_says_what_the_row_says(name: str, column: str, cell: str) -> None:
    assert CELLS[name][column] == cell


def test_weights_that_no_program_may_fetch_are_marked_and_their_page_named() -> None:
    chexnet = CELLS["chexnet"]
    assert chexnet[WEIGHTS].endswith(", put there by hand")
    assert chexnet["source"].endswith("; https://github.com/arnoweng/CheXNet")


def test_every_network_says_how_its_parameters_were_counted() -> None:
    for name in ARCHITECTURES:
        assert re.fullmatch(
            r"[\d,]+ (with \d+ outputs|without head|in all)", CELLS[name]["parameters"]
        ), name


def test_the_file_that_is_listed_is_the_one_that_is_looked_for(tmp_path: Path) -> None:
    from csi_predictor.models.weights_cache import list_published_files

    rows = [row for row in ARCHITECTURES.values() if row.has_published_weights]
    small = [row for row in rows if row.name.startswith(("resnet18", "densenet121", "rad", "che"))]
    assert len(small) >= 5
    for row in small:
        found = tuple(f"{file.folder}/{file.name}" for file in list_published_files(row))
        assert found == list_weights(row)


def test_no_cell_breaks_the_markdown() -> None:
    assert not [row for row in list_networks() for cell in row if "|" in cell or "\n" in cell]


def test_the_list_is_printed_without_a_network_library() -> None:
    code = (
        "import sys; from csi_predictor.cli import main; assert main(['--mode', 'models']) == 0;"
        "heavy = {'torch', 'timm', 'numpy', 'pydantic', 'loguru'} & set(sys.modules);"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == render_registry()
