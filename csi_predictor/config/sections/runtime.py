"""[RUNTIME]: keys, types, limits, defaults and meanings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from csi_predictor.config import choices
from csi_predictor.config.fields import OptionalPath, Section, UpperWord, Word, key


class RuntimeSection(Section):
    """The machine, the seed and where a run's files go."""

    device: Annotated[str, Word] = key(
        "auto",
        "auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
    )
    precision: Annotated[choices.Precision, Word] = key(
        "auto", "arithmetic of training; auto = bf16 on a GPU that has it, else fp32"
    )
    num_workers: Annotated[choices.Auto | Annotated[int, Field(ge=0)], Word] = key(
        "auto",
        "processes that read images; auto = CPU cores, at most 8, but none beside a training on "
        "the CPU; 0 = in the main process",
    )
    seed: int = key(42, "of the split, the weights, the order and the augmentation", ge=0)
    deterministic: bool = key(
        True, "only algorithms that give equal bits each time; false may be faster on a GPU"
    )
    runs_dir: Path = key(Path("runs"), "folder that receives one folder a run")
    run_dir: OptionalPath = key(
        None, "explicit folder of this run; empty = RUNS_DIR/time_mode_arch"
    )
    models_cache: Path = key(Path("models_cache"), "folder of pretrained weights")
    offline: bool = key(False, "true = never ask the network; weights must lie in MODELS_CACHE")
    log_level: Annotated[choices.LogLevel, UpperWord] = key("INFO", "of the console and log.txt")
