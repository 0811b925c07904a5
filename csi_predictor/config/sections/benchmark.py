"""[BENCHMARK]: keys, types, limits, defaults and meanings."""

from typing import Annotated

from csi_predictor.config import choices
from csi_predictor.config.fields import Counts, Names, Paths, Section, SplitList, Word, key

Engines = Annotated[tuple[Annotated[choices.BenchmarkEngine, Word], ...], SplitList]


class BenchmarkSection(Section):
    """`--mode benchmark`: what networks and engines cost on this machine."""

    archs: Names = key(
        ("custom1", "resnet50", "densenet121", "efficientnet_b0"),
        "names of `--mode models`, comma-separated; a family, 2d, 3d or all = every row of it",
    )
    models: Paths = key(
        (), "bundle folders to measure too, at their own size; their QWK goes into the picture"
    )
    engines: Engines = key(
        ("eager", "channels_last"),
        "what runs a network; -bf16 = in bfloat16; compile = channels_last through torch.compile",
    )
    batch_sizes: Counts = key((1,), "images a pass, comma-separated")
    image_sizes: Counts = key(
        (), "edges of ARCHS, pixels or voxels, comma-separated; empty = each network's own"
    )
    runs: int = key(10, "timed rounds; the engines of one network take turns in each", ge=1)
    train: bool = key(
        False, "true = also time training steps of ARCHS with eager, channels_last and compile"
    )
    timeout_s: float = key(
        600.0, "seconds that one row's preparation, or its rounds together, may take", gt=0
    )
