"""The connector `archive:tarfile`: tar archives, plain or compressed, and single files as gz or zst."""

from __future__ import annotations

import os
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

from aetherflow import Resource, StepError, connector
from aetherflow_archive.archive_connector import Packing, Unpacking
from aetherflow_archive.calls_of_plugins import PluginCalls
from aetherflow_archive.chosen_members import chosen_names, may_be_chosen
from aetherflow_archive.formats import Format
from aetherflow_archive.member_names import check_clashes, safe_name
from aetherflow_archive.no_settings import NoSettings
from aetherflow_archive.tar_reading import StreamMember, members_of
from aetherflow_archive.tar_writing import write_single, write_tar
from aetherflow_archive.watching import Watch


@connector("archive:tarfile")
class TarConnector(PluginCalls):
    """Packs and unpacks by Python's own modules, in one pass over the archive."""

    driver: ClassVar[str] = "tarfile"
    formats: ClassVar[frozenset[Format]] = frozenset(("tar", "tar.gz", "tar.zst", "gz", "zst"))
    config_type: ClassVar[type[NoSettings]] = NoSettings
    options_type: ClassVar[type[NoSettings]] = NoSettings

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Check that nothing is set.

        Raises:
            ConfigError: a setting is unknown.
        """
        resource.config_as(NoSettings)
        resource.options_as(NoSettings)
        return cls()

    def pack(self, target: Path, packing: Packing, watch: Watch) -> None:
        """Write an archive; the same files give the same bytes."""
        _refuse_password(packing.password, packing.format)
        try:
            if packing.format in ("gz", "zst"):
                write_single(target, packing, watch)
            else:
                write_tar(target, packing, watch)
        except (tarfile.TarError, UnicodeEncodeError) as error:
            raise StepError(f"cannot pack {target.name}: {error}", code="AF395") from error

    def unpack(self, archive: Path, folder: Path, unpacking: Unpacking, watch: Watch) -> list[str]:
        """Write the members of an archive below a folder, and return their names."""
        _refuse_password(unpacking.password, unpacking.format)
        all_names, names, done = [], [], 0
        taken: set[str] = set()
        for member in members_of(archive, unpacking, watch):
            all_names.append(member.name)
            if not may_be_chosen(member.name, unpacking.members):
                continue
            _check_code_page(archive, member.name, unpacking.name_encoding)
            name = safe_name(str(archive), member.name, member.unusual)
            if not name:
                continue
            if member.name.endswith("/"):
                names.append(f"{name}/")
                (folder / name).mkdir(parents=True, exist_ok=True)
                continue
            names.append(name)
            if name in taken:
                check_clashes(str(archive), names)
            taken.add(name)
            done = _write(folder / name, member, watch, done)
        check_clashes(str(archive), names)
        chosen_names(archive, all_names, unpacking.members)
        return list(dict.fromkeys(names))

    def holds(self, archive: Path, packing: Packing, watch: Watch) -> bool:
        """Whether an archive holds exactly these files with this content."""
        packed = iter(packing.members)
        for member in members_of(archive, Unpacking(format=packing.format), watch):
            expected = next(packed, None)
            is_named = packing.format in ("gz", "zst") or (expected and expected.name == member.name)
            if expected is None or not is_named or not _is_same(member, expected.path):
                return False
        return next(packed, None) is None


def _write(target: Path, member: StreamMember, watch: Watch, done: int) -> int:
    """Write the content of a member; return how many bytes that makes with those before.

    Raises:
        StepError: it is damaged, or a limit is exceeded.
        OSError: it cannot be written; a file is where a folder must be, for one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        for block in member.blocks:
            watch.raise_if_stopping()
            file.write(block)
            done += len(block)
            watch.progress(done, None, "bytes", member.name)
    if member.mtime is not None and member.mtime >= 0:
        with suppress(OverflowError):  # pax headers may hold any number
            os.utime(target, (member.mtime, member.mtime))
    return done


def _check_code_page(archive: Path, name: str, name_encoding: str) -> None:
    """Check that a name could be read: what is no text would be none in the outputs, either.

    Raises:
        StepError: it is of another code page (AF391).
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise StepError(
            f"cannot read the archive {archive}: the name {name!a} is not {name_encoding or 'UTF-8'}",
            hint="set name_encoding to its code page, such as latin-1",
            code="AF391",
        ) from None


def _is_same(member: StreamMember, path: Path) -> bool:
    with path.open("rb") as file:
        return all(file.read(len(block)) == block for block in member.blocks) and not file.read(1)


def _refuse_password(password: str | None, kind: Format) -> None:
    if password is not None:
        raise StepError(
            f"the format {kind} has no encryption",
            hint="leave out password and encrypt by the step gpg, or pack a zip archive",
            code="AF393",
        )
