"""Store output values too large for the journal in files beside the step logs; events refer to them.

The journal and the state hold `{"$file": "outputs/<sha256>.json", "bytes": n}`; templates and conditions see
the value, in a first run and in a resumed one. A file is named by its content, so it is checked whenever it
is read, and a value that several steps pass on is stored once. The items of a large `for_each`, and the lists
that it gathers, are stored in the same way. Only the values used last stay in memory.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.engine.state import RunState
from aetherflow.errors import StateError
from aetherflow.events.run_events import Items, StoredItems
from aetherflow.file_access import FileAccess
from aetherflow.sdk.files import write_whole
from aetherflow.sdk.json_values import plain_json
from aetherflow.worker_threads import WorkerThreads

LARGE_BYTES = 256 * 1024
"""A value whose JSON is longer than this (bytes) becomes a file."""

CACHE_BYTES = 64 * 2**20
"""How much of the values stays in memory (bytes of their JSON); the last one always does."""

REFERENCE = "$file"
_NAME = re.compile(r"outputs/[0-9a-f]{64}\.json")
_threads = WorkerThreads("output files", 4)


class OutputFiles:
    """The large values of one run; `folder` is where its logs are, too."""

    def __init__(self, folder: Path, cache_bytes: int = CACHE_BYTES, access: FileAccess = "private") -> None:
        self.folder = folder
        self._access = access
        self._known: set[str] = set()
        self._gathered: set[str] = set()  # the lists that refer to others: the only ones that are searched
        self._cache: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._room = cache_bytes
        self._unwritten: dict[str, bytes] = {}

    async def set_aside(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs with a reference in place of every large value, which is on the disk by then.

        Raises:
            OSError: a file cannot be written.
        """
        if len(msgspec.json.encode(outputs)) <= LARGE_BYTES:
            return outputs
        small: dict[str, Any] = {}
        for key, value in outputs.items():
            content = msgspec.json.encode(value)
            small[key] = await self._store(value, content) if _is_large(content) else value
        return small

    def defer(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs with a reference in place of every large value; `write` makes the files."""
        small: dict[str, Any] = {}
        for key, value in outputs.items():
            content = msgspec.json.encode(value)
            small[key] = _reference(self._deferred(value, content), content) if _is_large(content) else value
        return small

    def defer_items(self, items: list[Any]) -> Items:
        """Return the items of a `for_each`, or a reference if they are large; `write` makes the file."""
        try:
            content = msgspec.json.encode(items)
        except UnicodeEncodeError:  # a text from a variable that is not UTF-8
            items = plain_json(items)
            content = msgspec.json.encode(items)
        if not _is_large(content):
            return items
        return StoredItems(self._deferred(items, content), len(content), len(items))

    async def write(self) -> None:
        """Make the files of what was deferred, before the events that refer to them are stored.

        Raises:
            StateError: one cannot be written; the run must stop.
        """
        while self._unwritten:
            name, content = next(iter(self._unwritten.items()))
            path = self.folder / name
            try:
                await _threads.run(_write, path, content, self._access)
            except OSError as error:
                raise StateError(
                    f"a value of the run cannot be stored: {path}: {error.strerror or error}",
                    hint="make room, or check the permissions of the folder",
                    code="AF608",
                ) from None
            del self._unwritten[name]  # only now: until then its content is needed here

    def resolve(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs with the values of their references, also of those in lists.

        A value is read at its first use.
        """
        if not self._known or not any(map(_holds_references, outputs.values())):
            return outputs
        return _Resolved(self, outputs)

    def value(self, value: Any) -> Any:
        """Return a value of outputs, or what it refers to.

        Raises:
            StateError: the file is missing or damaged; it is named.
        """
        if isinstance(value, list) and _holds_references(value):
            return [self.value(item) for item in value]
        name = value.file if isinstance(value, StoredItems) else _name_in(value)
        if name not in self._known:
            return value
        found = self._get(name)
        return self.value(found) if name in self._gathered else found

    async def load(self, state: RunState) -> None:
        """Check that everything that a resumed run refers to can be read.

        Raises:
            StateError: a file is missing or damaged; it is named.
        """
        owners: dict[str, str] = {}
        for name, owner in _references(state):
            owners.setdefault(name, owner)
        while names := sorted(owners.keys() - self._known):
            for name in names:
                value, size = await _threads.run(self._read, name, owners[name])
                self._remember(name, value, size)
                if isinstance(value, list):  # a gathered one refers to others
                    owners = dict.fromkeys(_references_in([value]), owners[name]) | owners

    def _get(self, name: str) -> Any:
        """Return a known value.

        A value that is no longer in memory is read here, on the loop: the state machine of a run is pure and
        needs values while it decides. The cache makes that rare.
        """
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name][0]
        content = self._unwritten.get(name)
        value, size = self._read(name) if content is None else (msgspec.json.decode(content), len(content))
        self._remember(name, value, size)
        return value

    def _remember(self, name: str, value: Any, size: int) -> None:
        """Note that a value is stored, and keep it in memory; it displaces those not used for long."""
        if name not in self._known and isinstance(value, list) and _holds_references(value):
            self._gathered.add(name)
        self._known.add(name)
        self._cache[name] = value, size
        self._room -= size
        while self._room < 0 and len(self._cache) > 1:
            _, (_, freed) = self._cache.popitem(last=False)
            self._room += freed

    async def _store(self, value: Any, content: bytes) -> dict[str, Any]:
        name = _name(content)
        if name not in self._known:
            await _threads.run(_write, self.folder / name, content, self._access)
            self._remember(name, value, len(content))
        return _reference(name, content)

    def _deferred(self, value: Any, content: bytes) -> str:
        name = _name(content)
        if name not in self._known:
            self._unwritten[name] = content
            self._remember(name, value, len(content))
        return name

    def _read(self, name: str, owner: str = "") -> tuple[Any, int]:
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _unusable(path, error.strerror or str(error), owner) from None
        if hashlib.sha256(content).hexdigest() != path.stem:
            raise _unusable(path, f"its content is not the output of {owner or 'its step'}", owner)
        return msgspec.json.decode(content), len(content)


class _Resolved(Mapping[str, Any]):
    """Outputs with references to files; each file is read at its first use."""

    def __init__(self, files: OutputFiles, outputs: Mapping[str, Any]) -> None:
        self._files = files
        self._outputs = outputs

    def __getitem__(self, key: str) -> Any:
        return self._files.value(self._outputs[key])

    def __contains__(self, key: object) -> bool:
        return key in self._outputs

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def _is_large(content: bytes) -> bool:
    return len(content) > LARGE_BYTES


def _name(content: bytes) -> str:
    return f"outputs/{hashlib.sha256(content).hexdigest()}.json"


def _reference(name: str, content: bytes) -> dict[str, Any]:
    return {REFERENCE: name, "bytes": len(content)}


def _write(path: Path, content: bytes, access: FileAccess) -> None:
    """Write a file so that it survives a power loss: the event that refers to it will."""
    write_whole(path, content, access)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _references(state: RunState) -> Iterator[tuple[str, str]]:
    """Yield the file of every large value, and the `job.step`, or the job, that can make it again."""
    for job_id, job in state.jobs.items():
        for step_id, step in job.steps.items():
            for outputs in (step.outputs, step.job_outputs):
                for name in _references_in(outputs.values()):
                    yield name, f"{job_id}.{step_id}"
    for job_id, job in state.jobs.items():
        if isinstance(job.items, StoredItems):
            yield job.items.file, job_id
        for name in _references_in(job.outputs.values()):
            yield name, job_id


def _references_in(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):
            yield from filter(None, map(_name_in, value))
        elif name := _name_in(value):
            yield name


def _holds_references(value: Any) -> bool:
    return isinstance(value, StoredItems) or any(_references_in([value]))


def _name_in(value: Any) -> str:
    """Return the file that a value refers to; empty if it is not a reference."""
    if not (isinstance(value, dict) and value.keys() == {REFERENCE, "bytes"}):
        return ""
    name = value[REFERENCE]
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _unusable(path: Path, why: str, owner: str) -> StateError:
    again = f"add --from {owner}, which makes it again" if owner else "run the step again that made it"
    return StateError(
        f"a stored output of the run cannot be read: {path}: {why}",
        hint=f"restore the file, or {again}",
        code="AF607",
    )
