"""Warn about secrets that others can read: in a command line (`ps` shows it) or in a mail's subject."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from aetherflow.check.planned_steps import Use, texts, uses_with
from aetherflow.language.reference import Reference
from aetherflow.language.scan import scan
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import Plan
from aetherflow.redaction import Redactor, names_a_secret

_OPTION = re.compile(r"--?(?P<name>[A-Za-z][\w-]*)(?:=(?P<value>.+))?", re.DOTALL)
_ELSEWHERE = re.compile(r"(?:env|file|fd):|stdin\Z")
"""Matches a value that names the place of a secret, as `openssl -pass env:NAME` has it."""
_SUSPECT = re.compile(r"pass|secret|token|key|auth|credential|://", re.IGNORECASE)
"""Matches every name of a secret, and every URL with a password."""

_COMMAND_HINT = "give it by `env: {NAME: ...}`: the environment of a process is its owner's only"
_SUBJECT_HINT = "leave it out: subjects are stored and logged by every server on the way"


def check_secrets(plan: Plan, redactor: Redactor, sink: DiagnosticSink) -> None:
    """Warn about secrets in command lines (AF432) and in subjects of mails (AF433)."""
    for _, _, use in uses_with((*plan.jobs, *plan.hooks), plan.step_types, lambda one: one.visible):
        visible = use.step_type.visible if use.step_type is not None else {}
        _check_command(use, [key for key in visible if visible[key] == "process list"], redactor, sink)
        for key in (key for key in visible if visible[key] == "mail subject"):
            for reason in _reasons(use.inputs.get(key), redactor):
                where = sink.text_place((*use.base, key), 0)
                message = f"the {key} of the mail shows a secret: {reason}"
                sink.add(where, "AF433", message, _SUBJECT_HINT, "warning")


def _check_command(use: Use, keys: list[str], redactor: Redactor, sink: DiagnosticSink) -> None:
    if not keys or not _is_suspect([use.inputs.get(key) for key in keys], redactor):
        return
    reported: set[Path] = set()
    for key in keys:
        option = ""
        for text, where in texts(use.inputs.get(key), (*use.base, key)):
            reasons = list(_reasons(text, redactor))
            if not reasons and (option := _secret_option(text, option)).endswith("!"):
                reasons.append(f"the value of {option[:-1]}")
            if reasons and where not in reported:
                reported.add(where)
                message = f"the command line shows a secret: {reasons[0]}"
                sink.add(sink.text_place(where, 0), "AF432", message, _COMMAND_HINT, "warning")


def _is_suspect(values: list[Any], redactor: Redactor) -> bool:
    """Whether a command may contain a secret: a fast test, as most contain none."""
    words = msgspec.json.encode(values).decode()
    return _SUSPECT.search(words) is not None or redactor.text(words) != words


def _secret_option(text: str, before: str) -> str:
    """Return the option if the word is one named like a secret; with `!` at the end if it has its value.

    `before` is the result for the previous word.
    """
    found = _OPTION.fullmatch(text)
    if found is None and before and _ELSEWHERE.match(text):
        return ""
    if found is None:
        return f"{before}!" if before and not before.endswith("!") and text else ""
    if not names_a_secret(found["name"]):
        return ""
    return f"--{found['name']}!" if found["value"] else f"--{found['name']}"


def _reasons(value: Any, redactor: Redactor) -> Iterator[str]:
    """Yield why a text shows a secret, without the secret itself."""
    if not isinstance(value, str):
        return
    if "{{" in value:
        for part in scan(value, ())[0]:
            if isinstance(part, Reference) and any(map(names_a_secret, part.path)):
                yield f"{{{{{'.'.join(part.path)}}}}}"
    if redactor.text(value) != value:
        yield "a value that is known to be secret"
