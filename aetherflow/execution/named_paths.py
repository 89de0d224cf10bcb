"""Find the files and folders that the inputs of a step name: what `artifacts: ship` sends to its worker.

A text is a path, or a pattern, or has paths in it, as the lines of a script do. Relative ones are below the
artifacts folder of the job, or the folder of the flow file. Everything here looks at the disk: it blocks.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

MOST_WORDS = 5000
"""How many words of a text are tried as paths."""

MOST_MATCHES = 10_000
"""How many matches of a pattern are taken."""

_WORD = re.compile(r"""[^\s"'`;|&<>(){}\[\],=]+""")
_END_OF_WORD = re.compile(r"""[\s"'`;|&<>(){}\[\],:=]|$""")
_MOST_ENDS = 50
_LONGEST = 4096


def named_paths(inputs: Any, roots: Sequence[Path], bases: Sequence[Path]) -> dict[Path, str]:
    """Return the absolute paths that exist and are named, and which input names each.

    Args:
        inputs: the rendered inputs of a step.
        roots: paths outside of these folders are left out.
        bases: where relative paths start; `.` is the first of them.
    """
    found: dict[Path, str] = {}
    for name, text in _texts(inputs, ""):
        for path in _paths_in(text, roots, bases):
            found.setdefault(path, name)
    return found


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield name, value
        case Mapping():
            for key, inner in value.items():
                yield from _texts(inner, f"{name}.{key}".removeprefix("."))
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _texts(inner, f"{name}[{number}]")


def _paths_in(text: str, roots: Sequence[Path], bases: Sequence[Path]) -> Iterator[Path]:
    if whole := [path for path in _meant(text, roots, bases) if os.path.lexists(path)]:
        yield from whole
        return
    if matches := list(_matches(text, roots, bases)):
        yield from matches
        return
    for root in roots:
        yield from _below(text, root)
    words = {match.group() for match in islice(_WORD.finditer(text), MOST_WORDS)}
    for word in words - {".", ".."}:
        if not word.startswith("/"):  # an absolute path was found above
            yield from (path for path in _meant(word, roots, bases) if os.path.lexists(path))
            yield from _matches(word, roots, bases)


def _meant(text: str, roots: Sequence[Path], bases: Sequence[Path]) -> Iterator[Path]:
    """Yield what a text names if it is a path and nothing else."""
    if not text or "\0" in text or len(text) > _LONGEST:
        return
    given = Path(text)
    for base in [None] if given.is_absolute() else bases:
        path = Path(os.path.normpath(given if base is None else base / given))
        if path == base and base != bases[0]:
            continue  # `.` is the first of them
        if any(path.is_relative_to(root) for root in roots):
            yield path


def _matches(text: str, roots: Sequence[Path], bases: Sequence[Path]) -> Iterator[Path]:
    if not glob.has_magic(text) or "\n" in text:
        return
    for pattern in _meant(text, roots, bases):
        base = next(above for above in pattern.parents if above.exists())
        if base in roots and str(pattern.relative_to(base)).startswith("**"):
            continue  # the flows of all jobs: too much to be meant
        names = glob.iglob(str(pattern.relative_to(base)), root_dir=base, recursive=True, include_hidden=True)  # noqa: PTH207 - as the steps that take patterns
        yield from (base / name for name in islice(names, MOST_MATCHES))


def _below(text: str, root: Path) -> Iterator[Path]:
    """Yield the paths below a folder that a text has in it, each as long as possible."""
    prefix = str(root)
    at = text.find(prefix)
    while at >= 0:
        rest = text[at : at + _LONGEST]
        ends = [match.start() for match in islice(_END_OF_WORD.finditer(rest, len(prefix)), _MOST_ENDS)]
        for end in reversed(ends):
            path = Path(os.path.normpath(rest[:end]))
            if path.is_relative_to(root) and "\0" not in rest[:end] and os.path.lexists(path):
                yield path
                break
        at = text.find(prefix, at + len(prefix))
