"""Open a workbook file: its parts, how they relate to each other, its sheets and names; writes nothing."""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import msgspec

from aetherflow import StepError

SHEET_TYPES = ("/worksheet", "/xlMacrosheet")
_TAG = re.compile(
    r"""<(?:[\w.-]+:)?(?P<name>[\w.-]+)(?P<attributes>(?:\s+[\w.:-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*/?>"""
)
_ATTRIBUTE = re.compile(r"""([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ENCODING = re.compile(rb"""^<\?xml[^>]*\sencoding\s*=\s*["']([\w.-]+)["'][^>]*\?>""")
_DECLARED = re.compile(r"""^(<\?xml[^>]*\sencoding\s*=\s*["'])(?!(?i:utf-8["']))[\w.-]+""")
_UNREADABLE = (
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
    LookupError,
)


class Relation(msgspec.Struct, frozen=True):
    """What a part refers to.

    Attributes:
        id: by which the part names it.
        kind: the last word of its type, with a slash, such as `/worksheet`.
        target: the name of the other part; the address, if it is outside.
        is_outside: whether it is no part of the package.
    """

    id: str
    kind: str
    target: str
    is_outside: bool


class Sheet(msgspec.Struct, frozen=True):
    """A sheet of the workbook: its name, its part, and whether it has cells (a chart sheet has none)."""

    name: str
    part: str
    has_cells: bool


class DefinedName(msgspec.Struct, frozen=True):
    """A name and its formula; `sheet` is the one that it belongs to, or None for the whole workbook."""

    name: str
    formula: str
    sheet: str | None


class Package:
    """A workbook file that is open for reading.

    Attributes:
        path: the file.
        archive: the zip archive.
        workbook_part: the name of the part that lists the sheets.
        sheets: the sheets in the order of their tabs.
        names: the defined names.
        styles_part: the name of the part with the cell styles; None if there is none.
        is_1904: whether dates count from 1904.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.archive = archive
        self._parts = {name.casefold(): name for name in archive.namelist()}
        workbooks = [r for r in self.relations("") if r.kind == "/officeDocument"]
        if not workbooks or self.find(workbooks[0].target) is None:
            raise not_a_workbook(path, "it has no workbook inside")
        self.workbook_part = workbooks[0].target
        text = self.text(self.workbook_part)
        if "<" not in text or not any(name == "workbook" for name, _ in tags(text, "workbook")):
            raise not_a_workbook(path, "it is of another kind, such as xlsb")
        self.sheets = tuple(self._sheets(text))
        self.names = tuple(self._names(text))
        related = self.relations(self.workbook_part)
        self.styles_part = next(
            (r.target for r in related if r.kind == "/styles" and self.find(r.target)), None
        )
        self.is_1904 = any(a.get("date1904") in ("1", "true") for _, a in tags(text, "workbookPr"))

    def find(self, part: str) -> str | None:
        """Return how the archive spells the name of a part, or None if there is no such part."""
        return self._parts.get(part.casefold())

    def text(self, part: str) -> str:
        """Return the text of a part."""
        with self.open(part) as file:
            data: bytes = file.read()
        return decoded(data)

    def open(self, part: str) -> Any:
        """Open a part for reading bytes."""
        return self.archive.open(self.find(part) or part)

    def sheet(self, name: str) -> Sheet | None:
        """Return the sheet with this name; case does not matter, as in Excel."""
        return next((sheet for sheet in self.sheets if sheet.name.casefold() == name.casefold()), None)

    def relations(self, part: str) -> list[Relation]:
        """Return what a part refers to; "" is the package itself."""
        folder, name = posixpath.split(part)
        rels = posixpath.join(folder, "_rels", name + ".rels")
        if self.find(rels) is None:
            return []
        found = []
        for _, a in tags(self.text(rels), "Relationship"):
            is_outside = a.get("TargetMode") == "External"
            target = a.get("Target", "")
            if not is_outside:
                target = posixpath.normpath(posixpath.join("/", folder, unquote(target))).lstrip("/")
            found.append(
                Relation(a.get("Id", ""), "/" + a.get("Type", "").rpartition("/")[2], target, is_outside)
            )
        return found

    def _sheets(self, text: str) -> Iterator[Sheet]:
        relations = {r.id: r for r in self.relations(self.workbook_part)}
        for _, a in tags(text, "sheet"):
            rid = next((v for k, v in a.items() if k == "id" or k.endswith(":id")), "")
            if (relation := relations.get(rid)) is not None and self.find(relation.target) is not None:
                yield Sheet(a.get("name", ""), relation.target, relation.kind in SHEET_TYPES)

    def _names(self, text: str) -> Iterator[DefinedName]:
        pattern = r"<(?:[\w.-]+:)?definedName\b([^>]*)>([^<]*)<"
        for found in re.finditer(pattern, text):
            a = attributes(found[1])
            index = int(a.get("localSheetId", "-1"))
            sheet = self.sheets[index].name if 0 <= index < len(self.sheets) else None
            yield DefinedName(a.get("name", ""), unescape(found[2]), sheet)


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """Open a workbook file.

    Raises:
        StepError: the file is no workbook, or is damaged (AF945).
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield Package(path, archive)
    except _UNREADABLE as error:
        raise not_a_workbook(path, str(error)) from error


def not_a_workbook(path: Path, why: str) -> StepError:
    """Return the error for a file that is no workbook, or a damaged one."""
    return StepError(
        f"{path} is no workbook that can be read: {why}", hint="give an .xlsx or .xlsm file", code="AF945"
    )


def encoding_of(data: bytes) -> str:
    """Return the encoding that the beginning of an XML part says; UTF-8 if it says none."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    found = _ENCODING.match(data.removeprefix(b"\xef\xbb\xbf"))
    name = found[1].decode().lower() if found else "utf-8"
    return "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else name


def decoded(data: bytes) -> str:
    """Return the text of an XML part."""
    return data.decode(encoding_of(data))


def encoded(text: str) -> bytes:
    """Return the text of an XML part in UTF-8, and let it say so."""
    return _DECLARED.sub(r"\1UTF-8", text, count=1).encode()


def tags(text: str, name: str) -> Iterator[tuple[str, MappingProxyType[str, str]]]:
    """Yield the start tags with a local name, each with its attributes."""
    for found in _TAG.finditer(text):
        if found["name"] == name:
            yield name, attributes(found["attributes"])


def attributes(text: str) -> MappingProxyType[str, str]:
    """Return the attributes in the text of a start tag, unescaped."""
    return MappingProxyType({key: unescape(a or b) for key, a, b in _ATTRIBUTE.findall(text)})
