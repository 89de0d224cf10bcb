"""The connectors `archive:zipfile` (Python's own module) and `archive:pyzipper` (AES)."""

from __future__ import annotations

import abc
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, Self

import msgspec

from aetherflow import MissingExtra, Resource, StepError, connector
from aetherflow_archive.archive_connector import Packing, Unpacking
from aetherflow_archive.calls_of_plugins import PluginCalls
from aetherflow_archive.chosen_members import chosen_names
from aetherflow_archive.member_names import check_clashes
from aetherflow_archive.no_settings import NoSettings
from aetherflow_archive.watching import Watch
from aetherflow_archive.zip_reading import ZipMember, ZipReader, password_bytes, reading, target_name
from aetherflow_archive.zip_writing import write_members

_METHODS = {"deflated": zipfile.ZIP_DEFLATED, "stored": zipfile.ZIP_STORED}


class _ZipConnector(PluginCalls):
    """Packs and unpacks zip archives by a library that works as `zipfile` does."""

    def __init__(self, library: ModuleType) -> None:
        self._library: Any = library

    @abc.abstractmethod
    def _new(self, target: Path, packing: Packing) -> tuple[Any, Any]:
        """Return an archive that is open for writing, and the class of the descriptions of its members."""

    def pack(self, target: Path, packing: Packing, watch: Watch) -> None:
        """Write an archive; the same files give the same bytes, unless a password is given."""
        archive, info_type = self._new(target, packing)
        try:
            write_members(archive, info_type, packing.members, watch)
            archive.close()
        except BaseException:
            _abandon(archive)
            raise

    def unpack(self, archive: Path, folder: Path, unpacking: Unpacking, watch: Watch) -> list[str]:
        """Write the members of an archive below a folder, and return their names."""
        with reading(self._library, archive, unpacking) as reader:
            wanted = chosen_names(archive, {one.name for one in reader.members}, unpacking.members)
            chosen = [member for member in reader.members if member.name in wanted]
            both = [(member, target_name(archive, member)) for member in chosen]
            named = [(member, name) for member, name in both if name != "/"]
            check_clashes(str(archive), [name for _, name in named])
            total, done = sum(member.size for member in chosen), 0
            for member, name in named:
                target = folder / name
                if name.endswith("/"):
                    reader.add_folder()
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    for block in reader.content(member):
                        watch.raise_if_stopping()
                        file.write(block)
                        done += len(block)
                        watch.progress(done, total, "bytes", name)
                if member.mtime is not None:
                    os.utime(target, (member.mtime, member.mtime))
        return [name for _, name in named]

    def holds(self, archive: Path, packing: Packing, watch: Watch) -> bool:
        """Whether an archive holds exactly these files with this content."""
        with reading(self._library, archive, Unpacking(password=packing.password)) as reader:
            if [member.name for member in reader.members] != [member.name for member in packing.members]:
                return False
            pairs = zip(reader.members, packing.members, strict=True)
            return all(_is_same(reader, member, packed.path, watch) for member, packed in pairs)


@connector("archive:zipfile")
class ZipfileConnector(_ZipConnector):
    """Zip archives by Python's own module: it reads the old encryption (ZipCrypto) and writes none."""

    driver: ClassVar[str] = "zipfile"
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
        return cls(zipfile)

    def _new(self, target: Path, packing: Packing) -> tuple[Any, Any]:
        if packing.password is not None:
            raise StepError(
                "archive:zipfile cannot write an encrypted archive",
                hint="use a resource with driver: pyzipper, or none: a password then chooses it",
                code="AF393",
            )
        return zipfile.ZipFile(target, "x", _METHODS[packing.compression]), zipfile.ZipInfo


class PyzipperConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How archives with a password are encrypted.

    Attributes:
        encryption: aes, the only one.
        aes_strength: the length of the key in bits.
    """

    encryption: Literal["aes"] = "aes"
    aes_strength: Literal[128, 192, 256] = 256


@connector("archive:pyzipper")
class PyzipperConnector(_ZipConnector):
    """Zip archives with AES, by pyzipper; it reads the old encryption (ZipCrypto), too."""

    driver: ClassVar[str] = "pyzipper"
    config_type: ClassVar[type[PyzipperConfig]] = PyzipperConfig
    options_type: ClassVar[type[NoSettings]] = NoSettings
    packages: ClassVar[tuple[str, ...]] = ("pyzipper",)

    def __init__(self, library: ModuleType, config: PyzipperConfig) -> None:
        """Take the library and how it encrypts."""
        super().__init__(library)
        self._config = config

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Import the library.

        Raises:
            ConfigError: a setting is unknown.
            MissingExtra: pyzipper is not installed.
        """
        config = resource.config_as(PyzipperConfig)
        resource.options_as(NoSettings)
        try:
            import pyzipper  # noqa: PLC0415 - an extra, imported by those who encrypt
        except ImportError:
            raise MissingExtra(
                "an archive with a password needs pyzipper, which is not installed",
                hint="pip install 'aetherflow[archive]'",
            ) from None
        return cls(pyzipper, config)

    def _new(self, target: Path, packing: Packing) -> tuple[Any, Any]:
        library, method = self._library, _METHODS[packing.compression]
        if packing.password is None:
            return library.AESZipFile(target, "x", compression=method), library.AESZipFile.zipinfo_cls
        if not packing.password:
            raise StepError(
                "the password of the archive is empty", hint="set the input password", code="AF393"
            )
        archive = library.AESZipFile(
            target,
            "x",
            compression=method,
            encryption=library.WZ_AES,
            encryption_kwargs={"nbits": self._config.aes_strength},
        )
        archive.setpassword(password_bytes(packing.password))
        return archive, library.AESZipFile.zipinfo_cls


def _abandon(archive: Any) -> None:
    """Close the file of an incomplete archive; `close` of the library would hide the error by its own."""
    if archive.fp is not None:
        with suppress(OSError):
            archive.fp.close()
        archive.fp = None


def _is_same(reader: ZipReader, member: ZipMember, path: Path, watch: Watch) -> bool:
    with path.open("rb") as file:
        for block in reader.content(member):
            watch.raise_if_stopping()
            if file.read(len(block)) != block:
                return False
        return not file.read(1)
