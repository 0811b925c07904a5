"""From what an INI says to a row of the registry."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from csi_predictor.architectures.record import Architecture

TIMM_PREFIX = "timm/"
_USUAL_PATCHES = ("_patch16_224", "_patch14")


def find_row(rows: Mapping[str, Architecture], name: str, variant: str) -> Architecture:
    """See `find_architecture`."""
    for candidate in _candidates(name.lower(), variant.lower()):
        if candidate in rows:
            return rows[candidate]
    for row in rows.values():
        if name and not variant and row.class_name.lower() == name.lower():
            return row
    if name.lower().startswith(TIMM_PREFIX) and len(name) > len(TIMM_PREFIX) and not variant:
        return Architecture(
            name=name,
            family="timm",
            feature_dim=0,
            input_spec=None,
            timm_name=name[len(TIMM_PREFIX) :],
            source="timm, github.com/huggingface/pytorch-image-models",
        )
    raise KeyError(_unknown(rows, name, variant))


def _candidates(name: str, variant: str) -> Iterator[str]:
    """Whole names: of `vit` + `base` or `vit_base`, `vit_base_patch16_224`."""
    for whole in _joined(name, variant) if variant else (name, name.removesuffix("_224")):
        yield whole
        for patch in _USUAL_PATCHES:
            yield f"{whole}{patch}"


def _joined(name: str, variant: str) -> Iterator[str]:
    if name.endswith("3d"):  # `resnet3d` + `resnet18`, `resnet18_3d` or `18`
        family = name.removesuffix("3d").rstrip("_")
        short = variant.removesuffix("_3d").removeprefix(family).lstrip("_")
        yield from (f"{family}{short}_3d", f"{family}_{short}_3d")
        return
    yield from (f"{name}{variant}", f"{name}_{variant}")
    if variant.startswith(name):
        yield variant


def _unknown(rows: Mapping[str, Architecture], name: str, variant: str) -> str:
    wanted = f"{name} with VARIANT = {variant}" if variant else name
    near = get_close_matches(f"{name}{variant}".lower(), rows, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{wanted}: expected one of {', '.join(rows)}, timm/<name>{hint}"
