"""`aetherflow help`: show the manual, offline. Imports the registry only to show a step type."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from aetherflow.cli import completers
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.errors import UsageError
from aetherflow.manual.error_codes import entry_of, page_of
from aetherflow.manual.pages import CONTENTS, page, sections_named, titles, topics
from aetherflow.manual.pages import search as search_pages
from aetherflow.plugin_output import real_stdout

NAMED = 3
"""How many names a hint suggests."""


def show_help(
    topic: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC|STEP|CODE]",
            help="A page, a heading, a step type or a code.",
            autocompletion=completers.help_topics,
        ),
    ] = None,
    *,
    search: Annotated[
        str, typer.Option(metavar="WORDS", help="List the sections that contain all these words.")
    ] = "",
    json: Json = False,
) -> int:
    """Show the manual: a page, a step type or a code. It needs no network."""
    if search:
        return _list_sections(search, as_json=json)
    name = " ".join(topic or ()).strip() or CONTENTS
    text = _text_of(name)
    if text is None:
        return _show_step(name, as_json=json)
    if json:
        return print_report("help", {"topic": name, "text": text})
    _show(text)
    return 0


def _text_of(name: str) -> str | None:
    """Return the Markdown for a name, or None if the manual has nothing of this name."""
    topic = name.lower().replace(" ", "-").removesuffix(".md")
    if topic in topics():
        return page(topic)
    code = re.fullmatch(r"(?:AF)?(\d{3})", name.upper())
    if code and entry_of(f"AF{code[1]}"):
        return page_of(f"AF{code[1]}")
    found = sections_named(name)
    pages = dict.fromkeys(f"aetherflow help {section.topic}" for section in found)
    parts = [section.text for section in found]
    return "\n\n".join([*parts, f"(from: {', '.join(pages)})"]) if found else None


def _show_step(name: str, *, as_json: bool) -> int:
    """Show a step type.

    Raises:
        UsageError: there is no such step type; the hint suggests similar names.
    """
    from aetherflow.cli.type_commands import show_step  # noqa: PLC0415 - only for this form of the command
    from aetherflow.cli.type_listing import installed_types  # noqa: PLC0415 - as above

    steps = installed_types().step_names()
    if name in steps:
        return show_step(name, json=as_json)
    known = {known.lower(): known for known in (*topics(), *steps, *titles())}
    near = difflib.get_close_matches(name.lower(), list(known), n=NAMED, cutoff=0.5)
    meant = ", ".join(f"aetherflow help {known[found]}" for found in near)
    hint = f"did you mean: {meant}" if near else "aetherflow help lists the pages"
    if search_pages(name):
        hint += f"; aetherflow help --search {shlex.quote(name)} finds it in the text"
    raise UsageError(f"the manual has no page, section, step or code {name!r}", hint=hint)


def _list_sections(words: str, *, as_json: bool) -> int:
    found = search_pages(words)
    if not found:
        raise UsageError(f"no section of the manual contains {words!r}", hint="try fewer or shorter words")
    if as_json:
        sections = [{"topic": one.topic, "title": one.title, "line": line} for one, line in found]
        return print_report("help", {"sections": sections})
    for section, line in found:
        print_text(f"{section.topic}: {section.title}\n    {line}")
    return 0


def _show(text: str) -> None:
    """Print Markdown as it is; on a terminal formatted, in the user's pager."""
    if not (sys.stdin.isatty() and real_stdout().isatty()):
        print_text(text.strip())
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.markdown import Markdown  # noqa: PLC0415 - as above

    os.environ.setdefault("LESS", "-FRX")  # less: no paging of a short page, keep the colours
    console = Console(file=real_stdout())
    console.width = min(console.width, 100)
    with redirect_stdout(real_stdout()), console.pager(styles="less" in os.environ.get("PAGER", "less")):
        console.print(Markdown(text))
