"""`--mode check`: every problem that can be found without training, at once."""

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from csi_predictor.architectures import find_architecture
from csi_predictor.config import Config
from csi_predictor.errors import CsiError, ProblemsError
from csi_predictor.versions import library_versions

if TYPE_CHECKING:
    from csi_predictor.data.manifest import Row
    from csi_predictor.specs import TargetSpec

SAMPLE_SIZE = 20
_TORCH_PAIR_HELP = (
    "install the pair that belongs together: pip install torch==2.15.0 torchvision==0.29.2, on a "
    "CPU-only machine with --index-url https://download.pytorch.org/whl/cpu"
)


def run_checks(config: Config) -> int:
    """Print one line a check and one a problem; returns the exit code, 2 where there is one."""
    num_problems = 0
    for title, check in _CHECKS:
        problems: list[str] = []
        facts: list[str] = []
        for is_problem, text in _guarded(check, config):
            (problems if is_problem else facts).append(text)
        num_problems += len(problems)
        mark = "PROBLEM" if problems else "ok"
        sys.stdout.write(f"{mark:<8}{title}{': ' if facts else ''}{'; '.join(facts)}\n")
        for line in (line for problem in problems for line in problem.splitlines()):
            sys.stdout.write(f"        {line}\n")
    verdict = f"{num_problems} problems found" if num_problems else "no problem found"
    sys.stdout.write(f"{verdict}\n")
    return 2 if num_problems else 0


Finding = tuple[bool, str]
Check = Callable[[Config], Iterator[Finding]]


def _guarded(check: Check, config: Config) -> Iterator[Finding]:
    try:
        yield from check(config)
    except ProblemsError as error:
        yield from ((True, problem) for problem in error.problems)
    except CsiError as error:
        yield True, str(error)


def _ini(config: Config) -> Iterator[Finding]:
    yield False, "every key is known and every value allowed"


def _environment(config: Config) -> Iterator[Finding]:
    versions = library_versions()
    yield (
        False,
        ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "torchvision")),
    )
    for name in ("torch", "torchvision", "timm"):
        try:
            import_module(name)
        except (ImportError, RuntimeError) as error:
            # e.g. "operator torchvision::nms does not exist": the builds don't match
            yield True, f"import {name}: {error}: {_TORCH_PAIR_HELP}"
            return
    from csi_predictor.runtime import choose_compute

    compute = choose_compute(config.runtime.device, config.runtime.precision)
    yield False, f"device {compute.device}, precision {compute.precision}"


def _network(config: Config) -> Iterator[Finding]:
    from csi_predictor.losses.build import check_loss
    from csi_predictor.models.build import build_model
    from csi_predictor.models.create import check_input_size

    model = build_model(config, _targets_or_stand_in(config))
    check_loss(config, model.target_spec)
    count = sum(parameter.numel() for parameter in model.parameters())
    spec = model.input_spec
    name = model.spec.architecture
    size = "x".join(map(str, spec.size))
    yield False, f"{name}, {count:,} parameters, input {spec.channels}x{size}"
    check_input_size(model.spec)


def _targets_or_stand_in(config: Config) -> "TargetSpec | None":
    """What the network will answer; where the table is wrong or absent, some label."""
    from csi_predictor.specs import TargetSpec
    from csi_predictor.workflows.images import find_targets

    try:
        targets = find_targets(config)
    except CsiError:
        targets = None  # reported with the labels
    data = config.data
    own = find_architecture(config.model.model_arch, config.model.variant).labels
    is_named = targets is not None or data.labels or own or data.source == "medmnist"
    if is_named or data.task not in ("multiclass", "multilabel"):
        return targets
    return TargetSpec(task=data.task, names=("first", "second"), num_classes=2)


def _labels(config: Config) -> Iterator[Finding]:
    from csi_predictor.workflows.images import (
        load_manifest,
        read_second_grades,
        refuse_what_is_not_read,
    )

    refuse_what_is_not_read(config)
    if config.data.source == "phantom":
        from csi_predictor.workflows.images import phantom_kind

        kind = "CT volumes" if phantom_kind(config) == "ct" else "radiographs"
        yield False, f"{config.synthesis.count} procedural {kind}, drawn when they are needed"
        return
    from csi_predictor.data.build import build_splits
    from csi_predictor.workflows.subgroups import check_subgroups
    from csi_predictor.workflows.training import check_known
    from csi_predictor.workflows.trust import check_triage

    manifest = load_manifest(config)
    yield False, f"{len(manifest)} images of {manifest.num_patients} patients"
    if manifest.target_spec.task != "csi":
        yield False, f"answers: {', '.join(manifest.target_spec.names)}"
    splits = build_splits(config, manifest)
    yield False, f"{len(splits)} split(s)"
    check_triage(config, manifest.target_spec)
    check_subgroups(config, manifest.rows)
    check_known(manifest, splits)
    second = config.evaluation.second_reader_csv
    if second is not None and second.is_file():  # its absence is told with the folders
        found = read_second_grades(config, [row.file_id for row in manifest.rows])
        yield False, f"a second reader of {len(found)} images"
    yield from _sample_problems(manifest.rows, config)


def _sample_problems(rows: "Sequence[Row]", config: Config) -> Iterator[Finding]:
    from csi_predictor.data.build import build_cache
    from csi_predictor.models.build import build_input_spec

    data = config.data.model_copy(update={"cache": "none"})
    store = build_cache(config.model_copy(update={"data": data}), build_input_spec(config))
    step = max(len(rows) // SAMPLE_SIZE, 1)
    sample = rows[::step][:SAMPLE_SIZE]
    for row in sample:
        try:
            store.get(row)
        except CsiError as error:
            yield True, str(error)
    yield False, f"{len(sample)} images read as a sample"


def _bundles(config: Config) -> Iterator[Finding]:
    from csi_predictor.inference.bundle import load_bundle
    from csi_predictor.inference.quantization import INT8_ENGINES, read_report
    from csi_predictor.uncertainty.trust_file import read_trust

    kind = INT8_ENGINES.get(config.scoring.engine)
    evaluation = config.evaluation
    for folder in dict.fromkeys(
        (*evaluation.model, *evaluation.compare_model, *config.scoring.model)
    ):
        bundle = load_bundle(folder)
        yield False, f"{bundle.facts.model_id} ({bundle.facts.num_members} network(s))"
        trust = read_trust(bundle)
        yield False, f"trust: {'none kept' if trust is None else trust.calibrator.describe()}"
        task = bundle.facts.spec.target_spec.task
        if folder in config.evaluation.model and task != config.data.task:
            yield True, f"[EVALUATION] MODEL = {folder}: answers {task}: expected TASK = {task}"
        if folder in config.scoring.model and task != "csi":
            yield True, f"[SCORING] MODEL = {folder}: answers {task}: scoring grades six zones"
        elif kind and folder in config.scoring.model:
            read_report(bundle, kind)


def _folders(config: Config) -> Iterator[Finding]:
    scoring = config.scoring
    if scoring.input_dir is not None and not scoring.input_dir.is_dir():
        yield True, f"[SCORING] INPUT_DIR = {scoring.input_dir}: no such folder"
    second = config.evaluation.second_reader_csv
    if second is not None and not second.is_file():
        yield True, f"[EVALUATION] SECOND_READER_CSV = {second}: no such file"


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("INI", _ini),
    ("environment", _environment),
    ("network and weights", _network),
    ("labels and images", _labels),
    ("bundles", _bundles),
    ("folders", _folders),
)
