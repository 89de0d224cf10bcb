"""Read the flow file, the scheduler file and the profiles file from their paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.spec.decode import decode
from aetherflow.spec.document import Document, NodePath, read_document, scan_file, scan_text
from aetherflow.spec.flow import HOOKS, FlowFile, ProfileSpec
from aetherflow.spec.messages import TEST_JOB, with_messages
from aetherflow.spec.schedule import ScheduleFile, is_schedule
from aetherflow.spec.suggest import quoted

if TYPE_CHECKING:
    from aetherflow.spec.file_kind import OwnKind
    from aetherflow.spec.tolerant_read import Assumptions

T = TypeVar("T")


class FileDocument(msgspec.Struct, Generic[T], frozen=True, eq=False):
    """A file as Structs; what it refers to is not checked yet.

    Attributes:
        guesses: the assumptions made to read a file of wrong shape; such a file must not be used.
    """

    spec: T
    document: Document
    path: Path
    guesses: Assumptions | None = None


FlowDocument = FileDocument[FlowFile]
ScheduleDocument = FileDocument[ScheduleFile]


def load_flow(path: Path) -> FlowDocument:
    """Read a flow file.

    Raises:
        InvalidInput: its text or shape is wrong; all diagnostics in the order of the file.
    """
    loaded, diagnostics = read_flow(path)
    if loaded is None or diagnostics:
        raise InvalidInput(diagnostics)
    return loaded


def read_flow(path: Path, job: str = "", text: bytes = b"") -> tuple[FlowDocument | None, list[Diagnostic]]:
    """Read a flow file as far as possible, so that later checks can report their diagnostics together.

    Returns the flow (with assumptions if its shape is wrong, None if it is unreadable), and the diagnostics
    in the order of the file. Of a scheduler file it is the flow of its `on_late` steps and messages, if it
    has some; with `job` only that job of it. With the job `@test-...` it is a flow that sends the messages of
    a file. `text` is read instead of what the file has now.

    Raises:
        InvalidInput: the file cannot be read at all.
    """
    document, diagnostics = scan_text(text, str(path)) if text else scan_file(path)
    if job.startswith(TEST_JOB) and document is not None:
        return _read_messages(path, document, diagnostics, job.removeprefix(TEST_JOB))
    if document is not None and is_schedule(document.value):
        from aetherflow.spec.on_late import flow_of_on_late, has_on_late  # noqa: PLC0415 - seldom needed

        if has_on_late(document.value):
            schedule, found = _decoded(path, document, diagnostics, ScheduleFile)
            if schedule is None or schedule.guesses is not None:
                return None, found
            flow, moved = flow_of_on_late(schedule.spec, document, job)
            return FileDocument(flow, moved, path), found
    loaded, found = _decoded(path, document, diagnostics, FlowFile)
    if loaded is None or not loaded.spec.flow.notify:
        return loaded, found
    flow, moved = with_messages(loaded.spec, loaded.document)
    return FileDocument(flow, moved, path, loaded.guesses), found


def _read_messages(
    path: Path, document: Document, diagnostics: list[Diagnostic], event: str
) -> tuple[FlowDocument | None, list[Diagnostic]]:
    """Read the messages of a flow or a scheduler file as a flow; a file of wrong shape gives none."""
    from aetherflow.spec.messages_to_test import flow_to_test  # noqa: PLC0415 - seldom needed

    read: FlowDocument | ScheduleDocument | None
    if is_schedule(document.value):
        read, found = _decoded(path, document, diagnostics, ScheduleFile)
    else:
        read, found = _decoded(path, document, diagnostics, FlowFile)
    if read is None or read.guesses is not None:
        return None, found
    flow, moved = flow_to_test(read.spec, document, event)
    return FileDocument(flow, moved, path), found


def read_schedule(path: Path) -> tuple[ScheduleDocument | None, list[Diagnostic]]:
    """Read a scheduler file as far as possible, as `read_flow` reads a flow.

    Raises:
        InvalidInput: the file cannot be read at all.
    """
    return _decoded(path, *scan_file(path), ScheduleFile)


def read_schedule_text(source: bytes, path: Path) -> tuple[ScheduleDocument | None, list[Diagnostic]]:
    """Read the text of a scheduler file, as `read_schedule` reads the file itself."""
    return _decoded(path, *scan_text(source, str(path)), ScheduleFile)


def load_profiles(source: Document | Path) -> dict[str, ProfileSpec]:
    """Read a profiles file, or take one that is parsed already.

    Raises:
        InvalidInput: the file has errors; all of them, in the order of the file.
    """
    document = source if isinstance(source, Document) else read_document(source)
    profiles, diagnostics = decode(document, dict[str, ProfileSpec])
    if profiles is None:
        mixed_up = another_kind_diagnostic(document, "profiles")
        raise InvalidInput([mixed_up] if mixed_up else diagnostics)
    return profiles


def _decoded(
    path: Path, document: Document | None, diagnostics: list[Diagnostic], kind: type[T]
) -> tuple[FileDocument[T] | None, list[Diagnostic]]:
    """Return the file (None if unreadable, with assumptions if misshapen), and the diagnostics in order."""
    if document is None:
        return None, diagnostics
    spec, wrong = decode(document, kind)
    expected: OwnKind = "flow" if kind is FlowFile else "scheduler"
    if wrong and (mixed_up := another_kind_diagnostic(document, expected)):
        return None, [mixed_up]
    diagnostics = document.in_order([*diagnostics, *wrong, *_duplicate_ids(document)])
    if spec is not None:
        return FileDocument(spec, document, path), diagnostics
    from aetherflow.spec.tolerant_read import mend  # noqa: PLC0415 - most files have the right shape

    mended = mend(document, kind)
    return None if mended is None else FileDocument(mended[0], document, path, mended[1]), diagnostics


def another_kind_diagnostic(document: Document, expected: OwnKind) -> Diagnostic | None:
    """Return a diagnostic if a file is clearly of another kind than expected."""
    from aetherflow.spec.file_kind import another_kind  # noqa: PLC0415 - only for errors

    found = another_kind(document.value, expected, document.file)
    return found and Diagnostic(code="AF110", message=found[0], file=document.file, hint=found[1])


def _duplicate_ids(document: Document) -> list[Diagnostic]:
    """Return a diagnostic for each id that an earlier job, or an earlier step of the same list, has already.

    This checks the plain data, not the Structs, so that errors of shape are reported together with these.
    """
    diagnostics: list[Diagnostic] = []
    for base, title in _lists_with_ids(document.value):
        items: Any = document.value
        for key in base:
            items = items[key]
        first: dict[str, int] = {}
        for number, item in enumerate(items):
            name = item.get("id") if isinstance(item, dict) else None
            if isinstance(name, dict | list) or name is None:
                continue
            if not isinstance(name, str):
                name = document.written((*base, number, "id"), name)
            if name in first:
                diagnostics.append(_duplicate(document, title, name, (*base, first[name]), (*base, number)))
            first.setdefault(name, number)
    return diagnostics


def _lists_with_ids(file: Any) -> Iterator[tuple[NodePath, str]]:
    """Yield the lists of jobs, of steps and of schedule items, with what their items are called."""
    if not isinstance(file, dict):
        return
    for key, title, inner in (("items", "item", "on_late"), ("jobs", "job", "steps")):
        if isinstance(listed := file.get(key), list):
            yield (key,), title
            for number, one in enumerate(listed):
                if isinstance(one, dict) and isinstance(one.get(inner), list):
                    yield (key, number, inner), "step"
    flow = file.get("flow")
    if isinstance(flow, dict):
        for hook in HOOKS:
            if isinstance(flow.get(hook), list):
                yield ("flow", hook), "step"


def _duplicate(document: Document, title: str, name: str, first: NodePath, second: NodePath) -> Diagnostic:
    line = document.position((*first, "id")).line
    message = f"duplicate {title} id {quoted(name)}: it is already on line {line}"
    return document.diagnostic((*second, "id"), "AF120", message, f"give each {title} its own id")
