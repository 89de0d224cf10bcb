"""A mistake that people make in a flow or a scheduler file: where it is found, what is said, what mends it.

`▶` in a file is before the place that the error names. `mend` pairs what is in the file with what the hint
says to write instead; after that the file is valid.
"""

from __future__ import annotations

from textwrap import indent

import msgspec

PLACE = "▶"


class Mistake(msgspec.Struct, frozen=True):
    """One mistake.

    Attributes:
        of: what people do, and where they have it from.
        file: the file, with `▶` before the place.
        code: of the error or warning.
        says: a part of the message.
        hint: a part of the hint.
        mend: what the hint replaces, and by what.
        also: codes of further diagnostics that come with it.
        is_schedule: whether it is a scheduler file.
    """

    of: str
    file: str
    code: str
    says: str
    hint: str
    mend: tuple[tuple[str, str], ...]
    also: tuple[str, ...] = ()
    is_schedule: bool = False

    @property
    def text(self) -> str:
        """The file as it is."""
        return self.file.replace(PLACE, "")

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of the place."""
        before = self.file.partition(PLACE)[0]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    @property
    def mended(self) -> str:
        """The file after the hint was followed."""
        text = self.text
        for old, new in self.mend:
            assert text.count(old) == 1, (self.of, old)
            text = text.replace(old, new)
        return text


ITEMS = "steps: [{id: s, type: check_items, inputs: {items: [x]}, outputs: {n: '{{result.count}}'}}]"


def flow(jobs: str, head: str = "flow: {id: f}") -> str:
    """Return a flow of these jobs."""
    return f"version: 1\n{head}\njobs:\n{indent(jobs, '  ')}\n"


def job(keys: str, head: str = "flow: {id: f}") -> str:
    """Return a flow with the job `a`, which has the output `n`, and the job `b` of these keys."""
    return flow(f"- id: a\n  {ITEMS}\n- id: b\n{indent(keys, '  ')}", head)


def step(keys: str, head: str = "flow: {id: f}") -> str:
    """Return a flow whose last step is of these keys."""
    return job(f"depends_on: [a]\nsteps:\n  - id: s\n{indent(keys, '    ')}", head)


def process(inputs: str, head: str = "flow: {id: f}") -> str:
    """Return a flow whose last step runs a program with these inputs."""
    return step(f"type: external.process\ninputs:\n{indent(inputs, '  ')}", head)


def value(text: str, head: str = "flow: {id: f, params: {day: {type: date, default: 2026-01-01}}}") -> str:
    """Return a flow whose last step has a text with a value in it."""
    return step(f'type: check_items\ninputs:\n  items: ["{text}"]', head)


def item(keys: str, head: str = "") -> str:
    """Return a scheduler file with one item of these keys; `flow.yaml` exists."""
    return f"version: 1\n{head}items:\n  - {keys}\n"
