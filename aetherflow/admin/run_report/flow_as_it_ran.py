"""Read the flow file of a run again: its text without secrets, and the variables that it reads.

A run stores the fingerprint of its flow, not the text. So the file is read where it was; if its fingerprint
is another one now, the page says so. Nothing of the flow is executed: no plugin and no provider is loaded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.admin.queries import RetryTarget
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.short_texts import cut
from aetherflow.bundle.bundle_paths import fingerprint_of
from aetherflow.config.settings import load_settings
from aetherflow.errors import AetherFlowError, ConfigError
from aetherflow.events.bundle_use import BundleUse
from aetherflow.language.condition import compile_condition
from aetherflow.language.reference import Reference
from aetherflow.language.template import compile_template
from aetherflow.redaction import MASK, Redactor, names_a_secret
from aetherflow.redaction.addresses import add_messages
from aetherflow.spec.document import Document
from aetherflow.spec.load import FlowDocument, read_flow
from aetherflow.web.model import FlowText, Table

MOST_LINES = 4000
LINE_CHARACTERS = 400
_OF_SECRET = re.compile(r"env:(?P<name>[A-Za-z_]\w*)\Z")


class ReadFlow(msgspec.Struct, frozen=True):
    """The flow file as it is now.

    Attributes:
        file: where it is; None: it is not there any more.
        problem: why it cannot be shown.
        has_changed: since the run read it last; None: not known.
    """

    file: Path | None
    document: FlowDocument | None = None
    source: bytes = b""
    problem: str = ""
    has_changed: bool | None = None


def read_flow_again(target: RetryTarget, definition: str, env: Mapping[str, str]) -> ReadFlow:
    """Return the flow file of a run as it is now. Blocking.

    Args:
        target: the file and its folder, as the run had them.
        definition: the fingerprint of the flow as the last execution read it; empty if unknown.
        env: the environment, which says where snapshots of bundles are.
    """
    file = Path(target.directory) / target.flow_file
    if target.bundle is not None:
        found = _in_snapshot(target.bundle, env)
        if found is None:
            bundle = f"{target.bundle.id} {target.bundle.fingerprint[:12]}"
            return ReadFlow(None, problem=f"The snapshot of the bundle {bundle} is not here any more.")
        file = found
    try:
        document, _ = read_flow(file)
    except AetherFlowError as error:
        return ReadFlow(file, problem=f"The flow file cannot be read now: {error.message}")
    if document is None:
        return ReadFlow(file, problem="The flow file is no flow now.")
    now = hashlib.blake2b(msgspec.json.encode(document.document.value), digest_size=16).hexdigest()
    return ReadFlow(file, document, document.document.source, "", now != definition if definition else None)


def _in_snapshot(bundle: BundleUse, env: Mapping[str, str]) -> Path | None:
    """Return the flow in the snapshot of a bundle that the run used, if it is still on this machine."""
    try:
        root = load_settings(env).work_root / "bundles"
    except ConfigError:  # the settings of this shell are wrong: the snapshot is not found
        return None
    for snapshot in root.glob("*/snapshots/*"):
        if fingerprint_of(snapshot.name) == bundle.fingerprint and (snapshot / bundle.flow).is_file():
            return snapshot / bundle.flow
    return None


def known_secrets(flow: ReadFlow, env: Mapping[str, str]) -> Redactor:
    """Return what masks the secrets that can be known without asking anybody: by their names and forms."""
    redactor = Redactor()
    redactor.add_named(dict(env))
    if flow.document is not None:
        redactor.add_named(flow.document.document.value)
        add_messages(redactor, flow.document.document.value)
    return redactor


def flow_text(flow: ReadFlow, named: str, marked: frozenset[int], masking: Masking) -> FlowText:
    """Return the flow for the page; `named` is the file as the run named it."""
    if flow.document is None:
        return FlowText(named, (), f"{flow.problem} A run stores the fingerprint of its flow only.", None)
    text = flow.source.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").removesuffix("\n")
    whole = _without_blocks(text.split("\n"), flow.document.document)
    masked = masking.text("\n".join(whole)).split("\n")
    if len(masked) != len(whole):  # a secret of several lines: the numbers of the lines stay
        masked = [masking.text(line) for line in whole]
    lines = [cut(line, LINE_CHARACTERS) for line in masked]
    note = {
        True: f"The file has changed since the run read it: this is {flow.file} as it is now.",
        False: f"{flow.file}, as the run read it last.",
        None: f"This is {flow.file} as it is now; it is not known whether the run read the same.",
    }[flow.has_changed]
    if len(lines) > MOST_LINES:
        note += f" Its first {MOST_LINES:,} of {len(lines):,} lines."
    return FlowText(
        named,
        tuple(lines[:MOST_LINES]),
        note,
        None if flow.has_changed is None else not flow.has_changed,
        marked if flow.has_changed is False else frozenset(),
    )


def _without_blocks(lines: list[str], document: Document) -> list[str]:
    """Return the lines of the file without those of secrets that have lines of their own: a key, a block.

    A line of a block may be too short to be searched for, such as the last one of a private key.
    """
    shown = list(lines)
    for path in _secret_texts(document.value, ()):
        place = document.position(path)
        for number in range(place.line, len(shown)):
            line = shown[number]
            indent = len(line) - len(line.lstrip(" "))
            if line.strip() and indent < place.column:
                break
            shown[number] = f"{line[:indent]}{MASK}" if line.strip() else line
    return shown


def _secret_texts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of texts under names of secrets."""
    match value:
        case dict():
            for key, item in value.items():
                if isinstance(item, str) and names_a_secret(str(key)):
                    yield (*path, key)
                else:
                    yield from _secret_texts(item, (*path, key))
        case list():
            for number, item in enumerate(value):
                yield from _secret_texts(item, (*path, number))
        case _:
            pass


def variables_read(flow: ReadFlow) -> Table:
    """Return the names of the environment variables that the flow names, and where; never a value."""
    columns = ("Variable", "Read in")
    if flow.document is None:
        return Table(columns, (), empty="They are not known without the flow file.")
    found: dict[str, dict[str, None]] = {}
    for name, where in _names(flow.document.document.value, ()):
        found.setdefault(name, {})[where] = None
    rows = tuple((name, _places(list(places))) for name, places in sorted(found.items()))
    note = "Names in the flow file only: profiles and programs may read others."
    return Table(columns, rows, note if rows else "", "The flow names none.", machine_columns=(0,))


def _places(places: list[str]) -> str:
    more = f" and {len(places) - 4} more" if len(places) > 4 else ""  # noqa: PLR2004 - a cell of a table
    return f"{', '.join(places[:4])}{more}"


def _names(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the variables that a value of the file names: in templates, conditions and secrets."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _names(item, (*path, str(key)))
        case list():
            for number, item in enumerate(value):
                yield from _names(
                    item,
                    (*path, str(item["id"]) if isinstance(item, dict) and "id" in item else f"[{number}]"),
                )
        case str():
            where = ".".join(part for part in path if part not in ("jobs", "steps")).replace(".[", "[")
            for reference in _references(value, path[-1] if path else ""):
                if reference.path[0] == "env" and len(reference.path) > 1:
                    yield ".".join(reference.path[1:]), where
            if path and path[-1] == "secret" and (secret := _OF_SECRET.match(value)):
                yield secret["name"], where
        case _:
            pass


def _references(text: str, key: str) -> tuple[Reference, ...]:
    if key == "when":
        condition, _ = compile_condition(text)
        return tuple(condition.references) if condition is not None else ()
    return compile_template(text)[0].references if "{{" in text else ()
