"""The named parts of a network of timm, from input to output."""

from collections.abc import Iterator
from typing import Any, cast

from timm.models import group_parameters
from torch import nn

from csi_predictor.models.encoder import Stage, Stages


def find_stages(net: nn.Module) -> Stages:
    """The coarse groups of layers of timm, or the top-level modules where timm has none.

    A group of norms alone joins the one before it. Together the stages hold each parameter once.
    """
    groups: list[set[str]] = []
    sizes = {name: parameter.ndim for name, parameter in net.named_parameters()}
    for names in _group_names(net):
        if groups and all(sizes[name] <= 1 for name in names):
            groups[-1].update(names)
        else:
            groups.append(set(names))
    return tuple(_as_stage(net, group, is_first=index == 0) for index, group in enumerate(groups))


def _group_names(net: nn.Module) -> list[list[str]]:
    """Parameters' names by timm's groups; by the top-level modules where it has none."""
    if hasattr(net, "group_matcher"):
        matcher = cast(Any, net).group_matcher(coarse=True)
        return list(group_parameters(net, matcher).values())
    by_module: dict[str, list[str]] = {}
    for name, _ in net.named_parameters():
        by_module.setdefault(name.partition(".")[0], []).append(name)
    return list(by_module.values())


def _as_stage(net: nn.Module, names: set[str], *, is_first: bool) -> tuple[str, nn.Module]:
    parts = dict(_cover(net, names))
    name = "stem" if is_first else "+".join(parts)
    modules = [part for part in parts.values() if isinstance(part, nn.Module)]
    if len(parts) == len(modules) == 1:
        return name, modules[0]
    loose = [part for part in parts.values() if isinstance(part, nn.Parameter)]
    return name, Stage(modules, loose)


def _cover(
    module: nn.Module, names: set[str], prefix: str = ""
) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """The fewest modules and loose parameters that hold exactly the named parameters."""
    for name, parameter in module.named_parameters(prefix, recurse=False):
        if name in names:
            yield name, parameter
    for child_name, child in module.named_children():
        path = f"{prefix}.{child_name}" if prefix else child_name
        inside = {name for name, _ in child.named_parameters(path)}
        if inside and inside <= names:
            yield path, child
        elif inside & names:
            yield from _cover(child, names, path)
