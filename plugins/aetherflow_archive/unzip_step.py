"""The step `unzip`: unpack archives, each below one folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from aetherflow import Dataset, PathText, StepContext, StepError, files, parse_size, step
from aetherflow_archive.archive_connector import ArchiveConnector, Limits, Unpacking
from aetherflow_archive.chosen_connector import DEFAULT_RESOURCE, chosen_connector
from aetherflow_archive.formats import Format, format_of_content
from aetherflow_archive.publishing import Writing, hidden_folder, not_written, publish
from aetherflow_archive.watching import StepWatch

Text = Annotated[str, Meta(min_length=1)]
MOST_SINGLE_SYNCS = 100
"""For more files, one sync of all disks is faster than one of each file."""
MOST_WARNINGS = 5
"""So many files that are in several archives are named."""


class ArchiveFile(msgspec.Struct, frozen=True):
    """A file of a listing; other keys do not matter.

    Attributes:
        path: the archive.
    """

    path: str


class UnzipInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `unzip`.

    Attributes:
        archives: one archive or a list, or the files of a listing; relative to the job's artifacts.
        dest_dir: the folder, relative to the job's artifacts; each archive gets to where it is below src_dir.
        src_dir: the folder that the archives are in. Default: the job's artifacts.
        overwrite: whether files that exist are replaced; else they stay as they are.
        private_zip_folder: whether each archive gets a folder of its name.
        password: decrypts the archives.
        members: names or patterns such as `*.csv`: only these are unpacked.
        name_encoding: the code page of names, such as cp850, that are not marked as UTF-8. Default: UTF-8 if
            they are that, else cp437 in a zip archive and an error in a tar archive.
        max_files: more files in one archive are an error.
        max_size: more unpacked bytes of one archive are an error, such as 500GB.
        max_ratio: an archive that unpacks to more than 10 MB and so many times its size is an error.
        missing_ok: whether an archive that does not exist is a warning; else it is an error.
        format: of the archives: zip, tar, tar.gz, tar.zst; gz and zst are compressed single files. Default:
            what their content says.
        resource: a resource of kind archive. Default: `archive_default` if the flow has that and it knows the
            format, else pyzipper with a password and zipfile without one; tarfile for other formats.
        connector: another name of `resource`.
        src: short form: one archive, which is unpacked into `dst` itself.
        dst: short form: another name of `dest_dir`.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("archives", "src"), ("dest_dir", "dst"))

    archives: str | list[str | ArchiveFile] | msgspec.UnsetType | None = msgspec.UNSET
    dest_dir: PathText | None = None
    src_dir: PathText | None = None
    overwrite: bool | None = True
    private_zip_folder: bool | None = False
    password: str | None = None
    members: list[str] | None = None
    name_encoding: str | None = None
    max_files: Annotated[int, Meta(ge=1)] = 100_000
    max_size: int | str = "100GB"
    max_ratio: Annotated[float, Meta(gt=0)] = 200.0
    missing_ok: bool | None = True
    format: Format | None = None
    resource: Text | None = None
    connector: Text | None = None
    src: PathText | None = None
    dst: PathText | None = None

    def __post_init__(self) -> None:
        """Check what must be there together, and the texts that mean something.

        Raises:
            ValueError: archives or folder are missing or named twice, or a size or code page is unknown.
        """
        if (not self.dest_dir) == (not self.dst):
            raise ValueError("it needs dest_dir (or dst), once")
        if (self.archives is msgspec.UNSET) == (self.src is None):
            raise ValueError("it needs archives (or src), once")
        if self.src is not None and self.src_dir is not None:
            raise ValueError("src_dir belongs to archives, not to src")
        parse_size(str(self.max_size))
        try:
            b"a".decode(self.name_encoding or "utf-8")
        except (LookupError, UnicodeError):
            raise ValueError(f"there is no code page {self.name_encoding!r} of names") from None

    @property
    def unpacking(self) -> Unpacking:
        """How each archive is unpacked."""
        limits = Limits(self.max_files, parse_size(str(self.max_size)), self.max_ratio)
        return Unpacking(self.members, self.password or None, self.name_encoding or "", limits)

    @property
    def texts(self) -> list[str]:
        """The paths of the archives as they are written."""
        match self.archives:
            case str() as one:
                return [one]
            case list() as several:
                return [one if isinstance(one, str) else one.path for one in several]
            case _:
                return [self.src] if self.src is not None else []


class Unzipped(msgspec.Struct, frozen=True):
    """One archive that was unpacked.

    Attributes:
        archive: its absolute path.
        dest_dir: the folder that its files are in.
        files: their absolute paths.
        skipped: those of them that existed and stay as they were, with `overwrite: false`.
        count: how many files it has.
        size: their bytes.
        password: whether a password was given.
        driver: what unpacked it.
    """

    archive: str
    dest_dir: str
    files: list[str]
    skipped: list[str]
    count: int
    size: int
    password: bool
    driver: str


class UnzipOutput(msgspec.Struct, frozen=True):
    """The outputs of `unzip`.

    Attributes:
        unzipped: one entry for each archive.
        files: the files of all archives, absolute.
        count: how many they are.
        dest_dir: the absolute path of the folder.
    """

    unzipped: list[Unzipped]
    files: list[str]
    count: int
    dest_dir: str


@step("unzip", default_resource=DEFAULT_RESOURCE, resource_type=ArchiveConnector)
async def unzip(ctx: StepContext, inputs: UnzipInput) -> UnzipOutput:
    """Unpack archives; their files appear when all archives are unpacked and checked.

    Raises:
        StepError: an archive is damaged, too large or unsafe, the password is wrong, or a file cannot be
            written.
    """
    resource = inputs.resource or inputs.connector
    archives = await ctx.run_sync(_existing, ctx, inputs)
    connectors = {
        kind: await chosen_connector(ctx, resource, inputs.password, kind)
        for kind in dict.fromkeys(archives.values())
    }
    return await ctx.run_sync(_unzip, ctx, inputs, archives, connectors)


def _unzip(
    ctx: StepContext,
    inputs: UnzipInput,
    archives: Mapping[Path, Format],
    connectors: Mapping[Format, ArchiveConnector],
) -> UnzipOutput:
    destination = _normal(ctx, inputs.dest_dir or inputs.dst or "")
    done = []
    watch = StepWatch(ctx)
    try:
        with hidden_folder(destination, ctx.idempotency_key) as folder:
            unpacked = []
            for number, (archive, kind) in enumerate(archives.items()):
                staged = folder / str(number)
                staged.mkdir()
                unpacking = msgspec.structs.replace(inputs.unpacking, format=kind)
                names = connectors[kind].unpack(archive, staged, unpacking, watch)
                unpacked.append((archive, staged, names))
            writing = _writing(ctx, destination, folder, sum(len(names) for _, _, names in unpacked))
            for archive, staged, names in unpacked:
                target = _target(ctx, inputs, archive, destination)
                published = publish(
                    staged,
                    names,
                    target,
                    writing=writing,
                    make_folder=ctx.make_folder,
                    overwrite=inputs.overwrite is not False,
                )
                done.append(
                    Unzipped(
                        archive=str(archive),
                        dest_dir=str(target),
                        files=published.files,
                        skipped=published.skipped,
                        count=len(published.files),
                        size=published.size,
                        password=bool(inputs.password),
                        driver=connectors[archives[archive]].driver,
                    )
                )
    except OSError as error:
        raise not_written(error, destination) from error
    _report_replaced(ctx, done)
    ctx.lineage(
        reads=[Dataset.file(one.archive) for one in done],
        writes=[Dataset.file(one.dest_dir, size=one.size) for one in done],
    )
    all_files = list(dict.fromkeys(file for one in done for file in one.files))
    return UnzipOutput(unzipped=done, files=all_files, count=len(all_files), dest_dir=str(destination))


def _writing(ctx: StepContext, destination: Path, folder: Path, count: int) -> Writing:
    """Return what renames a file of a folder when it is on the disk; many are brought there at once."""
    if count <= MOST_SINGLE_SYNCS:
        return ctx.writing
    files.sync_file_system(folder)
    return partial(files.atomic_write, fsync=False, access=ctx.access_of(destination))


def _report_replaced(ctx: StepContext, done: Sequence[Unzipped]) -> None:
    """Warn of files that several archives hold: the last archive wins, or the first without `overwrite`."""
    holders: dict[str, list[str]] = {}
    for one in done:
        for file in one.files:
            holders.setdefault(file, []).append(Path(one.archive).name)
    several = {file: archives for file, archives in holders.items() if len(archives) > 1}
    for file, archives in list(several.items())[:MOST_WARNINGS]:
        ctx.log(
            f"{' and '.join(archives)} hold the same file {file}, so only one of them is left; "
            "private_zip_folder: true gives each archive a folder",
            "warning",
        )


def _existing(ctx: StepContext, inputs: UnzipInput) -> dict[Path, Format]:
    """Return the archives that exist, with their formats.

    Raises:
        StepError: one does not, and that is not allowed (AF398), or it cannot be read (AF397).
    """
    found: dict[Path, Format] = {}
    for text in inputs.texts:
        path = _normal(ctx, text)
        if path.is_file():
            try:
                found[path] = inputs.format or format_of_content(path)
            except OSError as error:
                raise not_written(error, path) from error
            continue
        message = f"there is no archive {path}" if not path.exists() else f"{path} is no file"
        if inputs.missing_ok is False:
            raise StepError(message, hint="missing_ok: true unpacks the others", code="AF398")
        ctx.log(f"{message}; it is passed over", "warning")
    return found


def _target(ctx: StepContext, inputs: UnzipInput, archive: Path, destination: Path) -> Path:
    """Return the folder of an archive's files: where the archive is below src_dir, or one of its name."""
    if inputs.src is not None:
        target = destination
    else:
        base = _normal(ctx, inputs.src_dir) if inputs.src_dir else ctx.artifacts
        is_inside = archive.is_relative_to(base)
        target = destination / (archive.parent.relative_to(base) if is_inside else archive.name)
    return target / archive.stem if inputs.private_zip_folder else target


def _normal(ctx: StepContext, text: str) -> Path:
    return Path(os.path.normpath(ctx.path(text)))
