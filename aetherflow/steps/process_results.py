"""Check the files that a program leaves, and write or remove its success marker.

Everything here reads and changes files, so it is called in worker threads.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aetherflow.errors import StepError
from aetherflow.process.output_recorder import OutputRecorder
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import plain_json
from aetherflow.sdk.publishing import publish
from aetherflow.steps.named_values import Parse, Source, parsed
from aetherflow.steps.output_folder import OutputFolder
from aetherflow.steps.process_failure import OUTPUT_FAILED
from aetherflow.steps.process_inputs import IdempotencyInputs, SuccessInputs

_CODE_OF_PARSE = "AF715"
_MARKER_KEYS = {"run_id", "job_id", "step_id"}
_LARGEST_MARKER = 1 << 24
_OF_THE_START = frozenset({"exit_code", "attempts", "log_file", "left_running"})
"""The outputs that say how the program was started, not what it gave."""
MOST_SMALL_FILES = 10
"""How many files that are too small an error lists."""


def marker(context: StepContext, idempotency: IdempotencyInputs, success: SuccessInputs) -> Path | None:
    """Return the marker of the strategy `marker`, or None."""
    name = idempotency.marker_path or success.marker_file
    return context.path(name) if idempotency.strategy == "marker" and name else None


def write_marker(context: StepContext, path: Path, outputs: Mapping[str, Any]) -> None:
    """Leave the marker of a success, unless the program wrote it itself.

    It holds what the program gave, masked: a step that the marker skips has it, too.

    Raises:
        StepError: it cannot be written.
    """
    content: dict[str, Any] = {
        "run_id": context.run_id,
        "job_id": context.job_id,
        "step_id": context.step_id,
    }
    if given := {key: value for key, value in outputs.items() if key not in _OF_THE_START}:
        content["outputs"] = context.redactor.value(plain_json(given))
    try:
        if not path.exists():
            with context.writing(path) as temporary:
                temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    except OSError as error:
        raise StepError(
            f"cannot write the marker {path}: {error.strerror or error}",
            hint="the program succeeded, but without its marker it will run again",
            code=OUTPUT_FAILED,
        ) from None


def outputs_in(path: Path) -> dict[str, Any]:
    """Return what the program gave that left a marker; nothing if the program wrote the marker itself."""
    found = _content(path)
    outputs = found.get("outputs") if found is not None else None
    return outputs if isinstance(outputs, dict) else {}


def still_holds(context: StepContext, path: Path, success: SuccessInputs) -> bool:
    """Whether the marker exists and the success checks pass.

    A marker that does not hold any more goes: a failure from now on must not look like a success. It is
    deleted if AetherFlow wrote it or it is empty; another file may be of value, and gets another name.

    Raises:
        StepError: it cannot be removed.
    """
    if not path.exists():
        return False
    if not failed_checks(context, success):
        return True
    try:
        if path.is_dir() or _is_ours(path):
            path.unlink()  # of a folder, this is the error that it is one
        else:
            aside = path.with_name(f"{path.name[:200]}.{os.urandom(4).hex()}.old")
            publish(str(path), str(aside))
            context.log(f"the old marker {path} does not hold any more; it is now {aside}", "warning")
    except OSError as error:
        raise StepError(
            f"cannot remove the old marker {path}: {error.strerror or error}",
            hint="its success checks do not hold any more, so the program must run again",
            code=OUTPUT_FAILED,
        ) from None
    return False


def _is_ours(path: Path) -> bool:
    """Whether a marker is empty, or is what `write_marker` writes."""
    if path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == 0 or _content(path) is not None


def _content(path: Path) -> dict[str, Any] | None:
    """Return the content of a marker that `write_marker` wrote, else None."""
    if not path.is_file() or path.stat().st_size > _LARGEST_MARKER:
        return None
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(content, dict) and content.keys() - {"outputs"} == _MARKER_KEYS
    return content if is_ours else None


def failed_checks(
    context: StepContext, success: SuccessInputs, folder: OutputFolder | None = None
) -> list[str]:
    """Return a sentence for every success check that does not hold.

    A path in the final folder of `atomic_dir` is looked for in the temporary one, where the program wrote it,
    so that a failure leaves the final folder as it was.
    """

    def places(name: str) -> list[Path]:
        path = context.path(name)
        return folder.before_publishing(path) if folder else [path]

    return [
        *(f"missing file: {name}" for name in success.required if not any(p.exists() for p in places(name))),
        *(
            f"nothing matches: {name}"
            for name in success.patterns
            if not any(any(_matching(p)) for p in places(name))
        ),
        *(f"forbidden file: {name}" for name in success.forbidden if any(p.exists() for p in places(name))),
        *(_too_small(success, places) if success.least_bytes else ()),
    ]


def parsed_output(context: StepContext, recorder: OutputRecorder, limit: int, parse: Parse) -> dict[str, Any]:
    """Return the outputs `parsed` and `count` of a captured stdout.

    Raises:
        StepError: stdout is longer than what was captured, or is not what `parse` names.
    """
    if recorder.is_cut("stdout"):
        raise StepError(
            f"stdout is longer than {limit:,} bytes, so parse: {parse} would lose its end",
            hint="raise log.max_capture_kb, or let the program write a file",
            code=_CODE_OF_PARSE,
        )
    text = recorder.captured()["stdout"].removeprefix("\ufeff")  # some programs mark their text as UTF-8
    source = Source(text, f"stdout (parse: {parse})", _CODE_OF_PARSE, context.redactor.text)
    if line := recorder.foreign_line("stdout"):
        source.refuse(line, "it is not UTF-8", hint="let the program write text in UTF-8")
    value = parsed(source, parse)
    return {"parsed": value} | ({"count": len(value)} if isinstance(value, list | dict) else {})


def _too_small(success: SuccessInputs, places: Callable[[str], list[Path]]) -> list[str]:
    """Return a sentence for each required file, and each match of a pattern, that is smaller than `min_size`.

    Of the places where a name may be, the first with a file counts: what was written now, not before.
    """
    found: dict[Path, None] = {}
    for name in success.needed_files:
        found |= dict.fromkeys([place for place in places(name) if place.exists()][:1])
    for name in success.patterns:
        matches = ([*_matching(place)] for place in places(name))
        found |= dict.fromkeys(next((files for files in matches if files), []))
    small = [(path, size) for path in found if (size := _size(path)) < success.least_bytes]
    sentences = [
        f"{path} has {size:,} bytes, less than min_size: {success.min_size}"
        for path, size in small[:MOST_SMALL_FILES]
    ]
    more = len(small) - MOST_SMALL_FILES
    return [*sentences, f"and {more} more files are too small"] if more > 0 else sentences


def _size(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def _matching(pattern: Path) -> Iterator[Path]:
    """Iterate over what a pattern matches; its longest beginning that exists is taken literally.

    The folders of a run may well have brackets in their names.
    """
    if pattern.exists():
        yield pattern
        return
    base = next(parent for parent in pattern.parents if parent.exists())
    wanted = str(pattern.relative_to(base))
    found = glob.iglob(wanted, root_dir=base, recursive=True, include_hidden=True)  # noqa: PTH207 - as the shell: ** meets files too
    yield from (base / name for name in found)
