"""Output values too large for the journal: files beside the step logs, with a reference in the event.

The journal and the state hold `{"$file": "outputs/<sha256>.json", "bytes": n}`; templates and conditions see
the value, in a first run and in a resumed one. A file is named by its content, so it is checked when it is
read, and a value that several steps pass on is stored once. The items of a large `for_each`, and the lists
that it gathers, are kept in the same way.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec

from aetherflow.engine.state import RunState
from aetherflow.errors import StateError
from aetherflow.events.run_events import Items, StoredItems
from aetherflow.sdk.workspace import written_whole

LARGE_BYTES = 256 * 1024
"""A value whose JSON is longer than this (bytes) becomes a file."""

REFERENCE = "$file"


class OutputFiles:
    """The large values of one run; `folder` is where its logs are, too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._values: dict[str, Any] = {}
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
            name, content = self._unwritten.popitem()
            path = self.folder / name
            try:
                await anyio.to_thread.run_sync(_write, path, content)
            except OSError as error:
                raise StateError(
                    f"a value of the run cannot be stored: {path}: {error.strerror or error}",
                    hint="make room, or check the permissions of the folder",
                    code="AF608",
                ) from None

    def resolve(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs with the values that their references, also those in lists, stand for."""
        if not self._values:
            return outputs
        return {key: self._value(value) for key, value in outputs.items()}

    async def load(self, state: RunState) -> None:
        """Read what the outputs and items of a run that goes on refer to.

        Raises:
            StateError: a file is missing or damaged; it is named.
        """
        owners: dict[str, str] = {}
        for name, owner in _references(state):
            owners.setdefault(name, owner)
        while names := sorted(owners.keys() - self._values.keys()):
            wanted = {name: owners[name] for name in names}
            read = await anyio.to_thread.run_sync(self._read_all, wanted)
            self._values.update(read)
            for name, value in read.items():
                if isinstance(value, list):  # a gathered one refers to others
                    owners = dict.fromkeys(_references_in([value]), wanted[name]) | owners

    def _read_all(self, owners: Mapping[str, str]) -> dict[str, Any]:
        return {name: self._read(name, owner) for name, owner in owners.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, dict) and REFERENCE in item for item in value):
            return [self._value(item) for item in value]
        if isinstance(value, StoredItems):
            return self._values[value.file]
        if isinstance(value, dict) and REFERENCE in value:
            kept = self._values.get(value[REFERENCE], value)
            return self._value(kept) if isinstance(kept, list) else kept
        return value

    async def _store(self, value: Any, content: bytes) -> dict[str, Any]:
        name = _name(content)
        if name not in self._values:
            await anyio.to_thread.run_sync(_write, self.folder / name, content)
            self._values[name] = value
        return _reference(name, content)

    def _deferred(self, value: Any, content: bytes) -> str:
        name = _name(content)
        if name not in self._values:
            self._unwritten[name] = content
            self._values[name] = value
        return name

    def _read(self, name: str, owner: str) -> Any:
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _unusable(path, error.strerror or str(error), owner) from None
        if hashlib.sha256(content).hexdigest() != path.stem:
            raise _unusable(path, f"its content is not what {owner} had yielded", owner)
        return msgspec.json.decode(content)


def _is_large(content: bytes) -> bool:
    return len(content) > LARGE_BYTES


def _name(content: bytes) -> str:
    return f"outputs/{hashlib.sha256(content).hexdigest()}.json"


def _reference(name: str, content: bytes) -> dict[str, Any]:
    return {REFERENCE: name, "bytes": len(content)}


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it survives a power loss: the event that refers to it will."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _references(state: RunState) -> Iterator[tuple[str, str]]:
    """Yield the file of every large value, and the `job.step`, or the job, that yields it again."""
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
            yield from _references_in(item for item in value if isinstance(item, dict))
        elif isinstance(value, dict) and value.keys() == {REFERENCE, "bytes"}:
            yield str(value[REFERENCE])


def _unusable(path: Path, why: str, owner: str) -> StateError:
    return StateError(
        f"a stored output of the run cannot be read: {path}: {why}",
        hint=f"restore the file, or add --from {owner}, which yields it again",
        code="AF607",
    )
