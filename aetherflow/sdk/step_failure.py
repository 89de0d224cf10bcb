"""Convert an exception of a step to an ErrorInfo: its message, hint, and kind for `retry_on`."""

from __future__ import annotations

import errno
import os
import socket
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import anyio

from aetherflow.errors import AetherFlowError, ErrorInfo, FailureKind, StepError
from aetherflow.plugin_errors import is_our_cancellation, named, text_of
from aetherflow.redaction import Redactor
from aetherflow.sdk.json_values import plain_json, plain_text
from aetherflow.task_errors import leaves

_HINTS = {
    errno.ENOSPC: "make room on the disk, mostly that of the workspace; then resume the run",
    errno.EDQUOT: "the quota is used up: make room, then resume the run",
    errno.EACCES: "check the permissions of the path",
    errno.EROFS: "the file system is mounted read-only",
}
_ENGINE = str(Path(__file__).parents[1]) + os.sep
_TEXTS_OF_SILENT = {
    "CancelledError": "what the step waited for was cancelled, though nobody asked the step to stop"
}
"""What to say of exceptions that have no text of their own."""
_NOT_OF_STEPS = (_ENGINE, str(Path(os.__file__).parent) + os.sep, "<")
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def failure_of(error: BaseException, redactor: Redactor) -> tuple[ErrorInfo, str]:
    """Return what a step raised as an error in storable form, and its traceback, both masked; raises nothing.

    Not only the text of an exception is its author's: its fields and its groups are too.
    """
    try:
        info = masked_failure(describe(error), redactor)
    except BaseException as failure:
        if is_our_cancellation(failure):
            raise
        why = f"it cannot be described ({type(failure).__name__})"
        info = ErrorInfo(code="AF701", message=f"{type(error).__name__}: {why}")
    try:
        trace = redactor.text(plain_text("".join(traceback.format_exception(error))))
    except RecursionError as failure:  # groups in groups
        trace = f"{type(error).__name__}: its traceback cannot be written ({failure})"
    return info, trace


def stored_text(value: object) -> str:
    """Return a value of a step's author as text that can be stored; one whose text cannot be read says so."""
    try:
        return plain_text(value)
    except BaseException as failure:
        if is_our_cancellation(failure):
            raise
        return f"({type(value).__name__}, whose text cannot be read)"


def masked_failure(info: ErrorInfo, redactor: Redactor) -> ErrorInfo:
    """Return an error made by a step's author in storable form: right types, plain JSON, masked."""
    try:
        detail = redactor.value(plain_json(info.detail if isinstance(info.detail, Mapping) else {}))
    except BaseException as error:  # a detail that cannot be stored must not hide the error
        if is_our_cancellation(error):
            raise
        detail = {}
    return ErrorInfo(
        code=redactor.text(stored_text(info.code)),
        message=redactor.text(stored_text(info.message)),
        kind=info.kind if info.kind in get_args(FailureKind) else "other",
        hint=redactor.text(stored_text(info.hint)),
        detail=detail,
        is_temporary=info.is_temporary is True,
        is_final=info.is_final is True,
    )


def describe(error: BaseException) -> ErrorInfo:
    """Return an error as data; a group is described by its first error, others by their type and kind."""
    first, *others = leaves(error)
    info = _describe_one(first)
    if not others:
        return info
    messages = dict.fromkeys(_describe_one(other).message for other in others)
    return info.with_remark(f"and {len(others)} more: {'; '.join(messages)}")


def described(error: BaseException) -> str:
    """Return what a connector raised, in words: its text, or where that says too little, its type too."""
    return "; ".join(dict.fromkeys(map(_in_words, leaves(error))))


def _in_words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it called sys.exit({text_of(error)})"
    if not isinstance(error, Exception):
        return named(error)
    return text_of(error) or type(error).__name__


@contextmanager
def plugin_errors_contained() -> Iterator[None]:
    """Turn a BaseException of a step's code (`sys.exit()`, its own CancelledError) into a StepError.

    Raises:
        StepError: the block raised no `Exception`, and not the cancellation of its caller.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if is_our_cancellation(error):
            raise
        info = describe(error)
        raise StepError(info.message, hint=info.hint, kind=info.kind, code=info.code) from error


def _place(error: BaseException) -> str:
    """Return `file:line` of the deepest frame of the traceback in the step's own code."""
    found: dict[str, int] = {}
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_OF_STEPS) or "-packages/" in file.removeprefix(_ENGINE):
            found[file] = line
    file = next((name for name in found if f"{os.sep}anyio{os.sep}" not in name), "")
    return f"{file}:{found[file]}" if file else ""


def _describe_one(error: BaseException) -> ErrorInfo:
    if isinstance(error, AetherFlowError):
        return error.info()
    kind: FailureKind = "other"
    if isinstance(error, TimeoutError):
        kind = "timeout"
    elif isinstance(
        error, ConnectionError | socket.gaierror | anyio.BrokenResourceError | anyio.ClosedResourceError
    ) or (isinstance(error, OSError) and error.errno in _UNREACHABLE):
        kind = "connection"
    if isinstance(error, SystemExit):
        return ErrorInfo(code="AF701", message=f"the step called sys.exit({text_of(error)})")
    text = text_of(error) or _TEXTS_OF_SILENT.get(type(error).__name__, "no further message")
    hint = _HINTS.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    if not hint and (place := _place(error)):
        hint = f"raised at {place}; --debug shows the whole traceback"
    return ErrorInfo(code="AF701", message=f"{type(error).__name__}: {text}", kind=kind, hint=hint)
