"""Give the fields of resources the characters of their files where a connector wants a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from aetherflow.config.resource_fields import SECTIONS
from aetherflow.spec.convert import type_info
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.spec.spelling import NodePath, Written, as_wanted

S = TypeVar("S", ResourceSpec, ProfileSpec)
Shapes = Mapping[str, type[Any]]
"""What a connector takes: the types of `config` and of `options`."""
ShapesOf = Callable[[str], Shapes]
"""Returns what the connector `kind:driver` takes; nothing if there is none."""


def written_resources(
    resources: Mapping[str, ResourceSpec], shapes_of: ShapesOf, written: Written
) -> dict[str, ResourceSpec]:
    """Return resources as their connectors want them; `written` gives the characters of the file."""
    return {
        name: _written(spec, shapes_of(spec.connector), written, ("resources", name))
        for name, spec in resources.items()
    }


def written_profiles(
    profiles: Mapping[str, ProfileSpec],
    resources: Iterable[ResourceSpec],
    shapes_of: ShapesOf,
    written: Written,
) -> dict[str, ProfileSpec]:
    """Return profiles as the connectors of the resources that use them want them."""
    found = dict(profiles)
    for spec in resources:
        if spec.profile in found:
            found[spec.profile] = _written(
                found[spec.profile], shapes_of(spec.connector), written, (spec.profile,)
            )
    return found


def _written(spec: S, shapes: Shapes, written: Written, path: NodePath) -> S:
    changed = {
        section: as_wanted(getattr(spec, section), type_info(shape), written, (*path, section))
        for section in SECTIONS
        if issubclass(shape := shapes.get(section, dict), msgspec.Struct)
    }
    return msgspec.structs.replace(spec, **changed)
