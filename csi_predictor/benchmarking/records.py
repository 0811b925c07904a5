"""What was measured: one row a network, engine, batch size and picture size."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class BenchmarkRow:
    """One line of `benchmark.csv`; None = not measured, and `error` says why.

    The first names, and their units, are those of timm's benchmark (GMACs and activations of one
    image; parameters in millions). A step is one batch; its time is the median over the rounds.

    Attributes:
        model: Name of the registry, or a bundle's `model_id`.
        infer_img_size: Edge of a square picture, else edges joined by `x`.
        infer_samples_per_sec: Images in the median step's time.
        infer_step_time: Milliseconds.
        infer_batch_size: Images.
        param_count: Millions, head included.
        infer_gmacs: Thousand millions of multiplications with addition, of convolutions and matrix
            products, those of attention included.
        infer_macts: Millions of numbers that these give.
        train_samples_per_sec: Of forward, backward and the optimizer's step together.
        train_step_time: Milliseconds.
        train_batch_size: Images.
        train_img_size: As `infer_img_size`.
        engine: What ran it, without precision.
        device: Where.
        precision: fp32 or bf16.
        threads: CPU threads of the engine.
        infer_step_time_p95: 95th percentile, milliseconds.
        cpu_ms_per_image: CPU time of the whole process in the median step, over its images.
        peak_memory_mb: Of a process that does nothing else, MiB: resident set on a CPU (libraries
            and conversion included), allocated tensors on a GPU.
        train_peak_memory_mb: The same of a training process.
        max_abs_diff: Largest distance of a logit from that of fp32 eager, same weights and pixels.
        max_abs_logit: Largest logit of fp32 eager, to judge that distance by.
        rounds: Turns that were timed.
        quality: What the bundle's evaluation found, of `quality_metric`; of fp32 rows alone, for
            nobody has measured what bfloat16 does to it.
        quality_metric: Name in `metrics.json`; empty = none was found.
        error: Why a figure is missing; empty = all is there.
    """

    model: str
    infer_img_size: str = ""
    infer_samples_per_sec: float | None = None
    infer_step_time: float | None = None
    infer_batch_size: int
    param_count: float | None = None
    infer_gmacs: float | None = None
    infer_macts: float | None = None
    train_samples_per_sec: float | None = None
    train_step_time: float | None = None
    train_batch_size: int | None = None
    train_img_size: str = ""
    engine: str
    device: str
    precision: str
    threads: int
    infer_step_time_p95: float | None = None
    cpu_ms_per_image: float | None = None
    peak_memory_mb: float | None = None
    train_peak_memory_mb: float | None = None
    max_abs_diff: float | None = None
    max_abs_logit: float | None = None
    rounds: int | None = None
    quality: float | None = None
    quality_metric: str = ""
    error: str = ""


COLUMNS = tuple(field.name for field in fields(BenchmarkRow))
