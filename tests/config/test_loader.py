"""INI, environment and overrides to one checked configuration, or every problem at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from csi_predictor.config import Config, load_config, render_default_ini, render_ini
from csi_predictor.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def load(
    tmp_path: Path, text: str, *overrides: str, environment: dict[str, str] | None = None
) -> Config:
    path = tmp_path / "config.ini"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides, environment or {})


def problems_of(tmp_path: Path, text: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, *overrides)
    return caught.value.problems


def test_an_empty_ini_gives_the_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert config.model.model_arch == "custom1"
    assert config.training.batch_size > 0


def test_override_beats_environment_beats_ini_beats_default(tmp_path: Path) -> None:
    text = "[TRAINING]\nN_EPOCHS = 2\nBATCH_SIZE = 3\nPATIENCE = 4\n"
    environment = {"CSI_TRAINING__N_EPOCHS": "5", "CSI_TRAINING__BATCH_SIZE": "6", "OTHER": "1"}
    config = load(tmp_path, text, "TRAINING.N_EPOCHS=7", environment=environment)
    assert config.training.n_epochs == 7
    assert config.training.batch_size == 6
    assert config.training.patience == 4


def test_names_are_case_insensitive_and_comments_and_percent_are_harmless(tmp_path: Path) -> None:
    text = "[Model]\nmodel_arch = resnet50  # the baseline\n[data]\nData_Dir = /a/100%/b ; here\n"
    config = load(tmp_path, text)
    assert config.model.model_arch == "resnet50"
    assert config.data.data_dir == Path("/a/100%/b")


def test_a_semicolon_and_a_tab_can_be_named_as_separators(tmp_path: Path) -> None:
    assert load(tmp_path, "[DATA]\nLABELS_CSV_SEPARATOR = tab\n").data.labels_csv_separator == "tab"
    assert load(tmp_path, "[DATA]\nLABELS_CSV_SEPARATOR = ,\n").data.labels_csv_separator == ","
    config = load(tmp_path, "[DATA]\nLABELS_CSV_SEPARATOR = ;\n")
    assert config.data.labels_csv_separator == ";"


def test_relative_paths_are_relative_to_the_ini_and_overrides_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load(tmp_path, "[MODEL]\nWEIGHTS = w/a.safetensors\n", "RUNTIME.RUNS_DIR=r")
    assert config.model.weights == tmp_path / "w" / "a.safetensors"
    assert config.runtime.runs_dir == elsewhere / "r"
    assert config.runtime.models_cache == tmp_path / "models_cache"


def test_every_problem_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        "[MODEL]\nMODEL_ARCH = resnet51\nHEAAD = x\n[TRANING]\n[TRAINING]\nBATCH_SIZE = 0\n"
        "OPTIMIZER = adamx\nMODEL_ARCH = a\n[DATA]\nVAL_FRACTION = lots\nVAL_FRACTION = 0.1\n"
    )
    problems = problems_of(tmp_path, text, "MODEL.HEAD=softmx", "nonsense")
    expected = [
        "config.ini:2 [MODEL] MODEL_ARCH = resnet51: expected one of custom1, ",
        "did you mean resnet50?",
        "config.ini:3 [MODEL] HEAAD: unknown key; did you mean HEAD?",
        "[TRANING]: unknown section: expected one of RUNTIME, ",
        "did you mean TRAINING?",
        "config.ini:6 [TRAINING] BATCH_SIZE = 0: expected a whole number, at least 1",
        "config.ini:7 [TRAINING] OPTIMIZER = adamx: expected one of adam, adamw, sgd; "
        "did you mean adam",
        "config.ini:8 [TRAINING] MODEL_ARCH: unknown key: it belongs to [MODEL]",
        "config.ini:11 [DATA] VAL_FRACTION: already set in line 10: expected once",
        "--set [MODEL] HEAD = softmx: expected one of auto, ordinal, softmax, linear, map, "
        "projection; did you mean softmax?",
        "--set nonsense: expected SECTION.KEY=VALUE",
    ]
    whole = "\n".join(problems)
    for part in expected:
        assert part in whole, part
    assert len(problems) == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[TRAINING]\nFREEZE_BACKBONE = true\nFINE_TUNING = full\n",
            "config.ini:2 [TRAINING] FREEZE_BACKBONE = true: contradicts FINE_TUNING = full",
        ),
        (
            "[TRAINING]\nLOSS = ordinal\n[MODEL]\nHEAD = softmax\n",
            "config.ini:2 [TRAINING] LOSS = ordinal: needs [MODEL] HEAD = ordinal, found softmax",
        ),
        ("[DATA]\nSOURCE = csv\n", "[DATA] LABELS_CSV: empty: [DATA] SOURCE = csv needs it"),
        ("[DATA]\nLABELS_CSV = a.csv\n", "not read by SOURCE = phantom"),
        ("[DATA]\nVAL_FRACTION = .6\nTEST_FRACTION = .4\n", "nothing is left to train on"),
        ("[DATA]\nFOLDS = 1\n", "[DATA] FOLDS = 1: expected 0 (one split) or at least 2"),
        ("[DATA]\nFOLDS = 5\nSPLIT_FILE = s.csv\n", "SPLIT_FILE = s.csv: contradicts FOLDS = 5"),
        ("[MODEL]\nPRETRAINED = true\n", "PRETRAINED = true: custom1 has no published weights"),
        (
            "[MODEL]\nMODEL_ARCH = resnet18\nPRETRAINED = true\nWEIGHTS = a.pt\n",
            "WEIGHTS = a.pt: contradicts PRETRAINED = true: keep one of the two",
        ),
        ("[MODEL]\nIN_CHANNELS = 2\n", "[MODEL] IN_CHANNELS = 2: expected auto, 1 or 3"),
        ("[TRAINING]\nFOCAL_ALPHA = 1, 2\n", "expected 4 numbers of at least 0, one a grade"),
        (
            "[TRAINING]\nFINE_TUNING = gradual\nUNFREEZE_EPOCHS = 10, 1\n",
            "UNFREEZE_EPOCHS = 10, 1: expected rising epochs",
        ),
        (
            "[TRAINING]\nSCHEDULER = plateau\n[DATA]\nVAL_FRACTION = 0\n",
            "SCHEDULER = plateau: plateau needs [DATA] VAL_FRACTION above 0",
        ),
        (
            "[DATA]\nNORMALIZATION_STRATEGY = custom\nCUSTOM_MEAN = .5\nCUSTOM_STD = 0\n",
            "CUSTOM_STD = 0: expected numbers above 0",
        ),
        (
            "[DATA]\nNORMALIZATION_STRATEGY = custom\nCUSTOM_STD = 1\n",
            "[DATA] CUSTOM_MEAN: expected 1 or 3 numbers, one a channel",
        ),
        ("[SCORING]\nRISK_MEDIUM_ABOVE = 2.5\n", "expected less than RISK_HIGH_ABOVE = 2.2"),
    ],
)
def test_impossible_combinations_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems_of(tmp_path, text))


def test_a_rule_keeps_quiet_about_a_key_that_is_wrong_already(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "[DATA]\nSOURCE = cvs\nLABELS_CSV = a.csv\n")
    assert len(problems) == 1
    assert "did you mean csv?" in problems[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"MODEL_ARCH = resnet50\n", "expected [SECTION] and KEY = value"),
        (b"[MODEL]\nMODEL_ARCH = \xff\n", "not UTF-8 text: save the INI as UTF-8"),
        (b"\xef\xbb\xbf[MODEL]\nHEAD = a\n", "config.ini:2 [MODEL] HEAD = a"),
    ],
)
def test_a_file_that_is_no_ini_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "config.ini"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment={})
    assert expected in str(caught.value)


def test_a_missing_ini_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.ini: no such file: expected an INI file"):
        load_config(tmp_path / "nowhere.ini")
    with pytest.raises(ConfigError, match="is a folder: expected an INI file"):
        load_config(tmp_path)


def test_zero_and_attention_masking_are_both_accepted__weakness_1(tmp_path: Path) -> None:
    for strategy in ("zero", "attention"):
        text = f"[MODEL]\nZONE_FOCUS = masking\nMASKING_STRATEGY = {strategy}\n"
        assert load(tmp_path, text).model.masking_strategy == strategy


def test_a_family_and_a_variant_name_a_network(tmp_path: Path) -> None:
    assert (
        load(tmp_path, "[MODEL]\nMODEL_ARCH = efficientnet\nVARIANT = b3\n").model.variant == "b3"
    )
    problems = problems_of(tmp_path, "[MODEL]\nMODEL_ARCH = efficientnet\nVARIANT = b9\n")
    assert "efficientnet_b" in problems[0]
    (problem,) = problems_of(tmp_path, "[MODEL]\nMODEL_ARCH = resnet18\nVARIANT = 18\n")
    assert "VARIANT = 18: resnet18 is a whole name: leave it empty" in problem


def test_the_resolved_ini_loads_to_the_same_configuration(tmp_path: Path) -> None:
    text = (
        "[TRAINING]\nFOCAL_ALPHA = 1, .5, 0.25, 2\nLEARNING_RATE = 0.00012345678\n"
        "[DATA]\nEXCLUDED_FILE_IDS = 007, b\n[EVALUATION]\nMODEL = a/b, c\n"
        "[MODEL]\nIMAGE_SIZE = 320\n"
    )
    config = load(tmp_path, text)
    other = tmp_path / "elsewhere" / "run.ini"
    other.parent.mkdir()
    other.write_text(render_ini(config), encoding="utf-8")
    assert load_config(other, environment={}) == config


def test_the_shipped_config_ini_equals_the_schema__weakness_18() -> None:
    assert (ROOT / "config.ini").read_text(encoding="utf-8") == render_default_ini()


def test_the_shipped_config_ini_loads_to_the_defaults() -> None:
    shipped = load_config(ROOT / "config.ini", environment={})
    assert shipped.training == Config().training
    assert shipped.model == Config().model


def test_a_wrong_ini_answers_without_importing_torch(tmp_path: Path) -> None:
    (tmp_path / "wrong.ini").write_text("[MODEL]\nMODEL_ARCH = resnet51\n", encoding="utf-8")
    code = (
        "import sys; from csi_predictor.cli import main;"
        "code = main(['--mode', 'train', '--ini', sys.argv[1]]);"
        "heavy = {'torch', 'timm', 'pandas', 'numpy'} & set(sys.modules);"
        "print(code, sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "wrong.ini")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "2 []"
    assert done.stderr.startswith(
        "error: wrong.ini:2 [MODEL] MODEL_ARCH = resnet51: expected one of"
    )
