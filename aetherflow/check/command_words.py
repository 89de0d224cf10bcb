"""Find command lines that only a shell could read, where there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from aetherflow.check.planned_steps import Use, uses_with
from aetherflow.check.scripts import PASSES_TO_SHELL, words_of
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan
from aetherflow.redaction import Redactor
from aetherflow.spec.meant_values import list_of_words
from aetherflow.spec.suggest import quoted

_TOKEN = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_NEEDS_SHELL = re.compile(r"[|&;<>`\n]|\$[({A-Za-z]|(?:^|\s)[^\s'\"]*[*?](?:\s|$)")
_OPERATORS = ("|", "||", "&&", ">", ">>", "2>", "2>&1")
_TAKES_OPERATORS = re.compile(rf"{PASSES_TO_SHELL}|expr|test|\[|xargs|nice|timeout")


def check_commands(plan: Plan, redactor: Redactor, sink: DiagnosticSink) -> None:
    """Report a command line in one text (AF436), and operators of a shell in a list (AF437)."""
    for _, _, use in uses_with((*plan.jobs, *plan.hooks), plan.step_types, lambda one: one.program_inputs):
        if use.step_type is None or use.inputs.get("shell"):
            continue
        command = use.inputs.get(use.step_type.program_inputs[0])
        if isinstance(command, str):
            _check_text(command, use, redactor, sink)
        elif isinstance(command, list) and command:
            _check_list(command, use, redactor, sink)


def _check_text(text: str, use: Use, redactor: Redactor, sink: DiagnosticSink) -> None:
    """A text is the name of one program."""
    plain = _TOKEN.sub("x", text).strip()
    words = plain.split()
    if len(words) < 2 and not _NEEDS_SHELL.search(plain):  # noqa: PLR2004 - one word is a name
        return
    is_path = "/" in words[0]
    if is_path and (Path(text).exists() or _looks_like_path(words)):
        return
    where = (*use.base, "command")
    if _NEEDS_SHELL.search(plain):
        message, hint = "a shell would have to read this", "add `shell: true` beside it"
    else:
        message, hint = "a text is the name of one program", _as_list(redactor.text(text))
    shown = quoted(" ".join(redactor.text(text).split()))
    message = f"{shown} would be looked for as one program: {message}"
    sink.add(where, "AF436", message, hint, "warning" if is_path else "error")


def _looks_like_path(words: list[str]) -> bool:
    """Whether blanks are part of folder names, as in `/opt/My Tools/run.sh`."""
    return all("/" in word and word[0] not in "/-." for word in words[1:])


def _as_list(text: str) -> str:
    return f"write a list: command: {list_of_words(text)}"


def _check_list(command: list[Any], use: Use, redactor: Redactor, sink: DiagnosticSink) -> None:
    if _TAKES_OPERATORS.fullmatch(str(command[0]).rpartition("/")[2]):
        return
    for word, where in words_of(use):
        if word in _OPERATORS:
            message = f"{word!r} is an argument like any other: no shell reads this list"
            line = redactor.text(" ".join(word for word, _ in words_of(use)))
            hint = (
                f"write one text, and shell: true beside it: command: {json.dumps(line, ensure_ascii=False)}"
            )
            sink.add(sink.text_place(where, 0), "AF437", message, hint, "warning")
            return
