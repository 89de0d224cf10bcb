"""The step `zip`: pack files into one archive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from aetherflow import Dataset, PathText, Skipped, StepContext, StepError, StepResult, step
from aetherflow_archive.archive_connector import ArchiveConnector, Compression, Packing
from aetherflow_archive.chosen_connector import DEFAULT_RESOURCE, chosen_connector
from aetherflow_archive.collected_files import Collection, ItemPattern, collect
from aetherflow_archive.formats import Format, format_of_name, is_named_otherwise
from aetherflow_archive.member_names import unportable
from aetherflow_archive.publishing import hidden_folder, move, not_written
from aetherflow_archive.watching import StepWatch

Text = Annotated[str, Meta(min_length=1)]
MOST_WARNINGS = 5
"""So many names that others refuse are reported."""
_UNCOMPRESSED = frozenset(("stored", "store", "none", "zip_stored"))


class ZipItem(msgspec.Struct, frozen=True):
    """One item of `items`; a file of a listing is one, too: other keys do not matter.

    Attributes:
        path: a file or folder.
        glob: a pattern such as `reports/*.csv`.
    """

    path: str | None = None
    glob: str | None = None

    def __post_init__(self) -> None:
        """Check that it names something.

        Raises:
            ValueError: it has neither or both.
        """
        if (self.path is None) == (self.glob is None):
            raise ValueError("an item is a path, a pattern, {path: ...} or {glob: ...}")


class ZipInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `zip`.

    Attributes:
        dest_path: the archive, relative to the job's artifacts.
        items: paths, patterns such as `*.csv`, {path: ...}, {glob: ...}, or the files of a listing; relative
            to the job's artifacts, or to src_dir.
        src_dir: the folder that all files are in; names in the archive are relative to it. Default: the job's
            artifacts.
        recursive: whether a folder brings the folders in it.
        overwrite: whether an archive that exists is replaced; else it is an error, unless it holds the same.
        password: encrypts a zip archive with AES.
        compression: deflated or stored; for zip archives.
        missing_ok: whether an item that matches nothing is a warning; else it is an error.
        format: of the archive: zip, tar, tar.gz, tar.zst; gz and zst compress one file. Default: what the
            name of the archive ends with, else zip.
        resource: a resource of kind archive. Default: `archive_default` if the flow has that and it knows the
            format, else pyzipper with a password and zipfile without one; tarfile for other formats.
        connector: another name of `resource`.
        src: short form: a file, pattern or folder to pack, whose folder is src_dir.
        dst: short form: another name of `dest_path`.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("dest_path", "dst"), ("items", "src"))

    dest_path: PathText | None = None
    items: list[str | ZipItem] | msgspec.UnsetType | None = msgspec.UNSET
    src_dir: PathText | None = None
    recursive: bool | None = True
    overwrite: bool | None = True
    password: str | None = None
    compression: str | None = "deflated"
    missing_ok: bool | None = True
    format: Format | None = None
    resource: Text | None = None
    connector: Text | None = None
    src: PathText | None = None
    dst: PathText | None = None

    def __post_init__(self) -> None:
        """Check what must be there together.

        Raises:
            ValueError: the archive or its items are missing or named twice.
        """
        if (not self.dest_path) == (not self.dst):
            raise ValueError("it needs dest_path (or dst), once")
        if (self.items is msgspec.UNSET) == (self.src is None):
            raise ValueError("it needs items (or src), once")
        if self.src is not None and self.src_dir is not None:
            raise ValueError("src_dir belongs to items, not to src")
        if "" in (self.items or ()):
            raise ValueError("an item is empty: write `.` for all files")


class ZipOutput(msgspec.Struct, frozen=True):
    """The outputs of `zip`.

    Attributes:
        output: the absolute path of the archive.
        count: how many files it holds.
        size: its size in bytes.
        password: whether it is encrypted.
        driver: what packed it.
        src_dir: the folder that the names are relative to.
    """

    output: str
    count: int
    size: int
    password: bool
    driver: str
    src_dir: str


@step("zip", default_resource=DEFAULT_RESOURCE, resource_type=ArchiveConnector)
async def zip_files(ctx: StepContext, inputs: ZipInput) -> ZipOutput | StepResult:
    """Pack files into an archive, which appears as a whole; SKIPPED when nothing matches.

    Raises:
        StepError: a file is outside src_dir, cannot be read or changes meanwhile, or the archive exists.
    """
    resource = inputs.resource or inputs.connector
    kind = inputs.format or format_of_name(Path(inputs.dest_path or inputs.dst or ""))
    connector = await chosen_connector(ctx, resource, inputs.password, kind)
    return await ctx.run_sync(_zip, ctx, inputs, connector, kind)


def _zip(
    ctx: StepContext, inputs: ZipInput, connector: ArchiveConnector, kind: Format
) -> ZipOutput | StepResult:
    target = Path(os.path.normpath(ctx.path(inputs.dest_path or inputs.dst or "")))
    try:
        base, items = _what(ctx, inputs)
        found = collect(items, ctx.path, base, recursive=inputs.recursive is not False, leave_out=target)
        _report_missing(ctx, found, missing_ok=inputs.missing_ok is not False)
        if not found.members:
            return Skipped(f"no file matches the items below {base}", {"output": str(target), "count": 0})
        for problem in islice(unportable(member.name for member in found.members), MOST_WARNINGS):
            ctx.log(f"the archive cannot be unpacked everywhere: {problem}", "warning")
        if inputs.password == "":
            ctx.log("the password is empty, so that the archive is not encrypted", "warning")
        if is_named_otherwise(target) and inputs.format is None and connector.driver != "external":
            ctx.log(f"{target.name} becomes a zip archive, whatever its name says", "warning")
        method = _compression(ctx, inputs.compression)
        packing = Packing(base, found.members, inputs.password or None, method, kind)
        _write(ctx, connector, target, packing, overwrite=inputs.overwrite is not False)
        size = target.stat().st_size
        ctx.lineage(reads=[Dataset.file(base)], writes=[Dataset.file(target, size=size)])
        return ZipOutput(
            output=str(target),
            count=len(found.members),
            size=size,
            password=packing.password is not None,
            driver=connector.driver,
            src_dir=str(base),
        )
    except OSError as error:
        raise not_written(error, target) from error


def _what(ctx: StepContext, inputs: ZipInput) -> tuple[Path, Sequence[ItemPattern]]:
    """Return the folder of the files, and what to pack of it."""
    if inputs.src is not None:
        path = Path(os.path.normpath(ctx.path(inputs.src)))
        if path.is_dir():
            return path, [ItemPattern(str(path), may_be_pattern=False)]
        return path.parent, [ItemPattern(str(path))]
    base = Path(os.path.normpath(ctx.path(inputs.src_dir))) if inputs.src_dir else ctx.artifacts
    given = inputs.items or []
    return base, [_pattern(item) for item in given]


def _pattern(item: str | ZipItem) -> ItemPattern:
    match item:
        case str():
            return ItemPattern(item)
        case ZipItem(path=str() as path):
            return ItemPattern(path, may_be_pattern=False)
        case _:
            return ItemPattern(item.glob or "", may_be_path=False)


def _report_missing(ctx: StepContext, found: Collection, *, missing_ok: bool) -> None:
    """Warn of items that match nothing.

    Raises:
        StepError: there are some, and that is not allowed (AF398).
    """
    if not found.missing:
        return
    message = f"no file matches {', '.join(map(repr, found.missing))}"
    if not missing_ok:
        raise StepError(message, hint="missing_ok: true packs the other items", code="AF398")
    ctx.log(message, "warning")


def _compression(ctx: StepContext, given: str | None) -> Compression:
    """Return the compression; in 0.0 every word but one meant stored."""
    if given is None or given.lower() == "deflated":
        return "deflated"
    if given.lower() not in _UNCOMPRESSED:
        ctx.log(f"compression {given!r} is unknown: the files are stored uncompressed", "warning")
    return "stored"


def _write(
    ctx: StepContext, connector: ArchiveConnector, target: Path, packing: Packing, *, overwrite: bool
) -> None:
    """Write the archive, unless it exists and must stay.

    Raises:
        StepError: it exists with other content, and `overwrite` is false (AF396).
    """
    if not overwrite and os.path.lexists(target):
        if _holds(ctx, connector, target, packing):
            return
        raise StepError(
            f"the archive {target} exists and holds something else",
            hint="overwrite: true replaces it",
            code="AF396",
        )
    with hidden_folder(target.parent, f"{ctx.idempotency_key} {target}") as folder:
        packed = folder / target.name
        connector.pack(packed, packing, StepWatch(ctx))
        with ctx.writing(target) as part:
            move(packed, part)


def _holds(ctx: StepContext, connector: ArchiveConnector, target: Path, packing: Packing) -> bool:
    """Whether the archive is what an earlier attempt of this step would have written."""
    try:
        return connector.holds(target, packing, StepWatch(ctx))
    except StepError:
        ctx.raise_if_stopping()
        return False
