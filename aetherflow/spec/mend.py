"""A file of wrong shape, read as it was probably meant: so that all else that is wrong is told with it.

An unknown key that is like a known one is taken for it, other unknown keys and values that do not fit are
left out, and what is missing gets a stand-in. Nothing of it is ever run; see `Guesses`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import inspect as kinds

from aetherflow.spec.convert import convert
from aetherflow.spec.decode import explain, fits, unwrapped
from aetherflow.spec.document import Document, NodePath
from aetherflow.spec.suggest import nearest

T = TypeVar("T")

_FOLLOWS = {
    "id": ("AF131", "AF204", "AF405", "AF406"),
    "jobs": ("AF131", "AF406", "AF407"),
    "steps": ("AF405", "AF407"),
    "outputs": ("AF407",),
    "params": ("AF208", "AF404"),
    "resources": ("AF550",),
    "depends_on": ("AF434",),
    "inputs": ("AF545", "AF552"),
    "items": ("AF204",),
    "cron": ("AF200",),
    "interval_seconds": ("AF200",),
    "at": ("AF200",),
    "after": ("AF200",),
    "flow_yaml": ("AF202",),
    "bundle_manifest": ("AF202",),
    "calendars": ("AF201",),
}
"""What is said about other places when something of this name cannot be read."""

_NOTHING: Any = object()


class Guesses(msgspec.Struct, frozen=True):
    """What was changed to read a file as it was meant.

    Attributes:
        spelled: where a key is taken for another, as it should be; the key as it stands in the file.
        made_up: what the file does not say, or not so that it can be read.
        silent: codes of findings that might only follow from that.
    """

    spelled: dict[NodePath, str]
    made_up: frozenset[NodePath]
    silent: frozenset[str]

    def as_written(self, path: NodePath) -> NodePath:
        """Return a path with the keys that the file has."""
        return tuple(self.spelled.get(path[: number + 1], name) for number, name in enumerate(path))

    def covers(self, path: NodePath) -> bool:
        """Whether what stands at a path was made up."""
        return any(path[:length] in self.made_up for length in range(1, len(path) + 1))


def mend(document: Document, wanted: type[T]) -> tuple[T, Guesses] | None:
    """Return a file as it was probably meant, or None if that cannot be said."""
    mender = _Mender(document)
    value = mender.mend(document.value, kinds.type_info(wanted), ())
    try:
        spec = convert(value, wanted)
    except msgspec.ValidationError:
        return None
    silent = {code for path in mender.made_up for part in path[-1:] for code in _FOLLOWS.get(str(part), ())}
    return spec, Guesses(mender.spelled, frozenset(mender.made_up), frozenset(silent))


class _Mender:
    """Walks a value along a type and builds what fits the type."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.spelled: dict[NodePath, str] = {}
        self.made_up: set[NodePath] = set()

    def mend(self, value: Any, annotated: kinds.Type, path: NodePath) -> Any:
        """Return the value as the type wants it, or `_NOTHING`."""
        kind, _ = unwrapped(annotated)
        if isinstance(kind, kinds.UnionType) and value is not None:
            fitting = [option for option in kind.types if fits(value, unwrapped(option)[0])]
            return self.mend(value, fitting[0], path) if fitting else _NOTHING
        if isinstance(kind, kinds.StructType):
            return self.struct(value, kind, path)
        if isinstance(kind, kinds.DictType) and isinstance(value, dict):
            mended = {key: self.mend(item, kind.value_type, (*path, key)) for key, item in value.items()}
            return {key: item for key, item in mended.items() if item is not _NOTHING}
        if isinstance(kind, kinds.ListType) and isinstance(value, list) and value:
            items = [self.mend(item, kind.item_type, (*path, number)) for number, item in enumerate(value)]
            return _NOTHING if any(item is _NOTHING for item in items) else items
        return _NOTHING if explain(self.document, value, annotated, path) else value

    def struct(self, value: Any, struct: kinds.StructType, path: NodePath) -> Any:
        """Return a mapping with the keys that the Struct knows, and all that it needs."""
        if not isinstance(value, dict):
            self.made_up.add(path)
            value = {}
        fields = {field.encode_name: field for field in struct.fields}
        given = {key: value[key] for key in value if key in fields}
        for key in value:
            if key not in fields and (meant := nearest(key, [name for name in fields if name not in given])):
                given[meant] = value[key]
                self.spelled[*path, meant] = key
        mended = {key: self.mend(given[key], fields[key].type, (*path, key)) for key in given}
        for name, field in fields.items():
            here = (*path, name)
            if mended.get(name, None if field.required else "") is None or mended.get(name) is _NOTHING:
                self.made_up.add(here)
                mended[name] = self.stand_in(field.type, here) if field.required else _NOTHING
        return {name: item for name, item in mended.items() if item is not _NOTHING}

    def stand_in(self, annotated: kinds.Type, path: NodePath) -> Any:
        """Return what takes the place of something that a mapping needs."""
        kind, _ = unwrapped(annotated)
        if isinstance(kind, kinds.LiteralType):
            return kind.values[0]
        if isinstance(kind, kinds.StructType):
            return self.struct({}, kind, path)
        if isinstance(kind, kinds.ListType):
            return [self.stand_in(kind.item_type, (*path, 0))]
        return "_".join(map(str, ("missing", *path)))
