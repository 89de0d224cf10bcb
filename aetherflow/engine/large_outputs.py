"""Output values too large for the journal: files beside the step logs, with a reference in the event.

The journal and the state hold `{"$file": "outputs/<sha256>.json", "bytes": n}`; templates and conditions see
the value, in a first run and in a resumed one. A file is named by its content, so it is checked when it is
read, and a value that several steps pass on is stored once.
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
from aetherflow.engine.workspace import written_whole
from aetherflow.errors import StateError

LARGE_BYTES = 256 * 1024
"""A value whose JSON is longer than this (bytes) becomes a file."""

REFERENCE = "$file"


class LargeOutputs:
    """The large values of one run; `folder` is where its logs are, too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._values: dict[str, Any] = {}

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
            small[key] = await self._store(value, content) if len(content) > LARGE_BYTES else value
        return small

    def resolve(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs with the values that their references, also those in lists, stand for."""
        if not self._values:
            return outputs
        return {key: self._value(value) for key, value in outputs.items()}

    async def load(self, state: RunState) -> None:
        """Read what the outputs of a run that goes on refer to.

        Raises:
            StateError: a file is missing or damaged; it is named.
        """
        names = sorted(set(_references(state)) - set(self._values))
        if names:
            values = await anyio.to_thread.run_sync(lambda: [self._read(name) for name in names])
            self._values.update(zip(names, values, strict=True))

    def _value(self, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, dict) and REFERENCE in item for item in value):
            return [self._value(item) for item in value]
        if isinstance(value, dict) and REFERENCE in value:
            return self._values.get(value[REFERENCE], value)
        return value

    async def _store(self, value: Any, content: bytes) -> dict[str, Any]:
        name = f"outputs/{hashlib.sha256(content).hexdigest()}.json"
        if name not in self._values:
            await anyio.to_thread.run_sync(_write, self.folder / name, content)
            self._values[name] = value
        return {REFERENCE: name, "bytes": len(content)}

    def _read(self, name: str) -> Any:
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from None
        if hashlib.sha256(content).hexdigest() != path.stem:
            raise _unusable(path, "its content is not what the step had yielded")
        return msgspec.json.decode(content)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it survives a power loss: the event that refers to it will."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _references(state: RunState) -> Iterator[str]:
    for job in state.jobs.values():
        yield from _references_in(job.outputs.values())
        for step in job.steps.values():
            yield from _references_in(step.outputs.values())


def _references_in(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):
            yield from _references_in(item for item in value if isinstance(item, dict))
        elif isinstance(value, dict) and value.keys() == {REFERENCE, "bytes"}:
            yield str(value[REFERENCE])


def _unusable(path: Path, why: str) -> StateError:
    return StateError(
        f"a stored output of the run cannot be read: {path}: {why}",
        hint="restore the file, or run the step that yielded it again: --rerun JOB.STEP",
        code="AF607",
    )
