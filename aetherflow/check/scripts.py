"""Find the scripts among the inputs of a step: what a shell or an interpreter reads as a program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import msgspec

from aetherflow.check.planned_steps import Use
from aetherflow.plan.diagnostics import Path

Language = Literal["shell", "python", "other"]

SHELL = r"(?:ba|da|z|k|a|c|tc|fi|)sh"
"""The names of shells as a regular expression."""
PASSES_TO_SHELL = rf"{SHELL}|env|ssh|su|sudo|docker|podman|kubectl|make"
"""The same with programs that expand `$VAR` themselves, or pass their arguments to a shell."""

_INTERPRETER = re.compile(rf"(?P<shell>{SHELL})|(?P<python>python[0-9.]*)|(?P<other>perl|ruby|node|php)")
_SHELL_OPTION = re.compile(r"-[a-z]*c")
_TAKES_VALUE = re.compile(r"[-+][a-z]*o|-[WX]|--(?:rcfile|init-file)")
_OTHER_OPTION = re.compile(r"-[eErc]")


class Script(msgspec.Struct, frozen=True):
    """A text that is run as a program; `where` is its path in the file."""

    text: str
    where: Path
    language: Language


def scripts_of(use: Use) -> Iterator[Script]:
    """Yield the scripts of a step that runs a program."""
    if use.step_type is None or not use.step_type.program_inputs:
        return
    command = use.step_type.program_inputs[0]
    value = use.inputs.get(command)
    if isinstance(value, str) and use.inputs.get("shell") is True:
        yield Script(value, (*use.base, command), "shell")
        return
    language: Language | None = None
    before = ""
    for word, where in words_of(use):
        if language is not None and _is_option(before, language):
            yield Script(word, where, language)
            return
        if not (word.startswith("-") or _TAKES_VALUE.fullmatch(before)):
            language = language_of(word)  # after the name of a script file, options are those of the script
        before = word


def words_of(use: Use) -> Iterator[tuple[str, Path]]:
    """Yield the words of the command line of a step, with their paths in the file."""
    if use.step_type is None:
        return
    for key in use.step_type.program_inputs[:2]:
        value: Any = use.inputs.get(key)
        if isinstance(value, str):
            yield value, (*use.base, key)
        elif isinstance(value, list):
            yield from ((word, (*use.base, key, n)) for n, word in enumerate(value) if isinstance(word, str))


@lru_cache(maxsize=256)
def language_of(word: str) -> Language | None:
    """Return what the interpreter of this name reads, or None if it is no interpreter."""
    found = _INTERPRETER.fullmatch(word.rpartition("/")[2])
    languages: dict[str, Language] = {"shell": "shell", "python": "python", "other": "other"}
    return languages[found.lastgroup or ""] if found else None


def _is_option(word: str, language: Language) -> bool:
    """Whether the next word is a script."""
    if language == "python":
        return word == "-c"
    return (_SHELL_OPTION if language == "shell" else _OTHER_OPTION).fullmatch(word) is not None
