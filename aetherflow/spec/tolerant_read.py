"""Read a file of wrong shape as it was probably intended, so that all other errors are reported with it.

An unknown key that is like a known one is taken for it, other unknown keys and values that do not fit are
left out, and what is missing gets a stand-in. Nothing of it is ever run; see `Assumptions`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import inspect as kinds

from aetherflow.spec.convert import convert, type_info
from aetherflow.spec.decode import explain, fits, unwrapped
from aetherflow.spec.document import Document, NodePath
from aetherflow.spec.flow import NotifySpec
from aetherflow.spec.foreign_keys import meant_key
from aetherflow.spec.spelling import as_wanted

T = TypeVar("T")

_EVERYWHERE = 0
_IN_JOB = _IN_ITEM = _IN_HOOK = 2
_IN_STEP = 4

_FOLLOWS: dict[str, dict[str, int]] = {
    "flow.params": {"AF404": _EVERYWHERE},
    "jobs": {"AF131": _EVERYWHERE, "AF406": _EVERYWHERE, "AF407": _EVERYWHERE},
    "jobs.*.id": {"AF131": _EVERYWHERE, "AF406": _EVERYWHERE},
    "jobs.*.depends_on": {"AF434": _EVERYWHERE},
    "jobs.*.steps": {"AF405": _IN_JOB, "AF407": _IN_JOB, "AF552": _EVERYWHERE},
    "jobs.*.steps.*": {"AF405": _IN_JOB, "AF407": _IN_JOB, "AF552": _EVERYWHERE},
    "jobs.*.steps.*.id": {"AF405": _IN_JOB},
    "jobs.*.steps.*.outputs": {"AF407": _IN_JOB},
    "jobs.*.steps.*.inputs": {"AF545": _IN_STEP, "AF552": _EVERYWHERE},
    "resources": {"AF550": _EVERYWHERE},
    "items": {"AF204": _EVERYWHERE},
    "items.*.id": {"AF204": _EVERYWHERE},
    "items.*.params": {"AF208": _IN_ITEM},
    **{
        f"items.*.{key}": {"AF200": _IN_ITEM}
        for key in ("cron", "interval_seconds", "interval", "rrule", "at", "after")
    },
    **{f"items.*.{key}": {"AF202": _IN_ITEM} for key in ("flow_yaml", "bundle_manifest")},
    "calendars": {"AF201": _EVERYWHERE},
}
_FOLLOWS |= {
    f"flow.{hook}{key}": follows
    for hook in ("on_success", "on_failure", "on_exit")
    for key, follows in {
        "": {"AF405": _IN_HOOK, "AF552": _EVERYWHERE},
        ".*": {"AF405": _IN_HOOK, "AF552": _EVERYWHERE},
        ".*.id": {"AF405": _IN_HOOK},
        ".*.inputs": {"AF545": _IN_HOOK + 1, "AF552": _EVERYWHERE},
    }.items()
}
_FOLLOWS |= {
    f"{place}{key}": {"AF552": _EVERYWHERE, "AF880": length}
    for place, length in (("flow.notify", 3), ("notify", 2), ("items.*.notify", 4))
    for key in ("", ".*", *(f".*.{name}" for name in NotifySpec.__struct_fields__))
}
"""Codes that may only follow from an unreadable value at a place, and how much of the path is the place."""

_NOTHING: Any = object()


class Assumptions(msgspec.Struct, frozen=True):
    """What was assumed to read a file of wrong shape.

    Attributes:
        spelled: for each key taken for another one: the path with the intended key, and the written key.
        made_up: the paths of values that are missing or unreadable in the file.
        silent: diagnostics that may only follow from an assumption: their code, and the path they are below.
    """

    spelled: dict[NodePath, str]
    made_up: frozenset[NodePath]
    silent: frozenset[tuple[str, NodePath]]

    def as_written(self, path: NodePath) -> NodePath:
        """Return a path with the keys as the file spells them."""
        return tuple(self.spelled.get(path[: number + 1], name) for number, name in enumerate(path))

    def explains(self, code: str, path: NodePath) -> bool:
        """Whether a diagnostic about the value at a path may only follow from an assumption."""
        return any(code == one and path[: len(scope)] == scope for one, scope in self.silent)

    def covers(self, path: NodePath) -> bool:
        """Whether the value at a path was assumed."""
        return any(path[:length] in self.made_up for length in range(1, len(path) + 1))


def mend(document: Document, wanted: type[T]) -> tuple[T, Assumptions] | None:
    """Return a file as it was probably intended, or None if that is unclear."""
    mender = _Mender(document)
    kind = type_info(wanted)
    value = mender.mend(as_wanted(document.value, kind, document.written), kind, ())
    try:
        spec = convert(value, wanted)
    except msgspec.ValidationError:
        return None
    silent = {
        (code, path[:length])
        for path in mender.made_up
        for code, length in _FOLLOWS.get(_pattern(path), {}).items()
    }
    silent |= {
        (code, path) for path in mender.unread for code in ("AF545", "AF880")
    }  # it may be what is missing
    if any("notify" in path for path in mender.unread):
        silent.add(("AF552", ()))
    return spec, Assumptions(mender.spelled, frozenset(mender.made_up), frozenset(silent))


def _pattern(path: NodePath) -> str:
    return ".".join("*" if isinstance(part, int) else part for part in path)


class _Mender:
    """Walks a value along a type and builds what fits the type."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.spelled: dict[NodePath, str] = {}
        self.made_up: set[NodePath] = set()
        self.unread: set[NodePath] = set()

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
            if key not in fields and (
                suggestion := meant_key(
                    struct.cls.__name__, key, [name for name in fields if name not in given]
                )
            ):
                kind, here = fields[suggestion].type, (*path, key)
                given[suggestion] = as_wanted(value[key], kind, self.document.written, here)
                self.spelled[*path, suggestion] = key
            elif key not in fields:
                self.unread.add(path)
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
