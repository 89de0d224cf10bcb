"""Open a workbook to look into it, or say what the file is instead: encrypted, of an old format ...."""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aetherflow import StepError
from aetherflow_excel.package import Package, Sheet, open_package, tags

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_SAVE_AS = "open it in Excel or LibreOffice and save it as .xlsx"


@contextmanager
def opened_workbook(path: Path, what: str = "template") -> Iterator[Package]:
    """Open a workbook to see what it has; blocking. `what` names it in errors.

    Raises:
        StepError: it does not exist or cannot be read (AF960), or it is no workbook of this format (AF961),
            or is damaged (AF945), also while the block reads it.
    """
    try:
        if kind := _other_kind(path):
            found, hint = kind
            raise StepError(f"the {what} {path} is {found}", hint=hint, code="AF961")
        with open_package(path) as package:
            yield package
    except FileNotFoundError:
        raise StepError(
            f"the {what} {path} does not exist",
            hint="correct its path; a relative one is below the job's artifacts",
            code="AF960",
        ) from None
    except OSError as error:
        raise StepError(
            f"cannot read the {what} {path}: {error.strerror or error}",
            hint="check that it is a file, and its permissions",
            code="AF960",
        ) from error


def worksheet(package: Package, name: str, what: str = "template") -> Sheet:
    """Return a sheet with cells by its name; upper and lower case do not matter.

    Raises:
        StepError: there is none (AF962).
    """
    sheet = package.sheet(name)
    if sheet is not None and sheet.has_cells:
        return sheet
    names = ", ".join(repr(one.name) for one in package.sheets if one.has_cells)
    raise StepError(
        f"the sheet {name!r} {'has no cells' if sheet else 'does not exist'} in the {what} {package.path}",
        hint=f"its sheets are {names}",
        code="AF962",
        detail={"sheet": name},
    )


def active_sheet(package: Package) -> str:
    """Return the name of the sheet that is shown first."""
    views = [one for _, one in tags(package.text(package.workbook_part), "workbookView")]
    number = int(views[0].get("activeTab", "0")) if views else 0
    return package.sheets[min(number, len(package.sheets) - 1)].name


def content_type(package: Package) -> str:
    """Return what the package says that its workbook is, such as one with macros."""
    part = f"/{package.workbook_part}".casefold()
    types = tags(package.text("[Content_Types].xml"), "Override")
    return next(
        (one.get("ContentType", "") for _, one in types if one.get("PartName", "").casefold() == part), ""
    )


def _other_kind(path: Path) -> tuple[str, str] | None:
    """Return what a file is that is no .xlsx file, and what to do; None if it may be one.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(8)
        if head == _OLE:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if content.find(_ENCRYPTED) >= 0:
                    return (
                        "encrypted with a password",
                        "save it without a password to open it; sheets may be protected",
                    )
            return "an old Excel file (.xls)", _SAVE_AS
    if not head.startswith(b"PK"):
        return "no workbook", "name an .xlsx file that opens in Excel; a .csv is no workbook"
    if not zipfile.is_zipfile(path):
        return "a damaged workbook: its end is missing", "get the file again"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    if "xl/workbook.bin" in names:
        return "a binary workbook (.xlsb)", _SAVE_AS
    if "content.xml" in names:
        return "an OpenDocument file (.ods)", _SAVE_AS
    if "[Content_Types].xml" not in names:
        return "a zip file and no workbook", "name the .xlsx file itself"
    return None
