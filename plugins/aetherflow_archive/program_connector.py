"""The base of the connectors that pack and unpack by an installed program."""

from __future__ import annotations

import abc
import filecmp
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from aetherflow import CheckResult, ProgramResult, StepError
from aetherflow_archive.archive_connector import Packing, Unpacking
from aetherflow_archive.calls_of_plugins import PluginCalls
from aetherflow_archive.chosen_members import chosen_names
from aetherflow_archive.member_names import check_clashes, safe_name, unusual_file
from aetherflow_archive.publishing import hidden_folder
from aetherflow_archive.unpack_count import UnpackCount
from aetherflow_archive.watching import Watch
from aetherflow_archive.zip_reading import reading, target_name

_SHOWN = 500
"""So many characters of what a program says are in an error."""


class ExitReason(msgspec.Struct, frozen=True):
    """What an exit code of a program means."""

    why: str
    hint: str
    code: str


class Call(msgspec.Struct, frozen=True):
    """How a program is called.

    Attributes:
        argv: the program and its arguments.
        directory: where it runs.
        stdin: what it reads.
        accepted: the exit codes that mean success.
        reasons: what others mean.
    """

    argv: Sequence[str]
    directory: Path
    stdin: bytes | None = None
    accepted: frozenset[int] = frozenset((0,))
    reasons: Mapping[int, ExitReason] = {}


class ProgramConnector(PluginCalls):
    """Packs and unpacks by two programs; what they write is checked before it gets its place."""

    @property
    @abc.abstractmethod
    def programs(self) -> Sequence[str]:
        """The programs that must be installed."""

    @abc.abstractmethod
    def packing_call(self, target: Path, packing: Packing) -> Call:
        """Return how an archive is written to a path."""

    @abc.abstractmethod
    def unpacking_call(
        self, archive: Path, folder: Path, unpacking: Unpacking, names: Sequence[str] | None
    ) -> Call:
        """Return how an archive is unpacked into a folder; `names`: only these members."""

    async def check(self) -> list[CheckResult]:
        """Check that the programs are installed."""
        return [
            CheckResult("program", "ok", f"{name} is {found}")
            if (found := shutil.which(name))
            else CheckResult("program", "error", f"the program {name} is not installed")
            for name in self.programs
        ]

    def pack(self, target: Path, packing: Packing, watch: Watch) -> None:
        """Write an archive by the program."""
        written = target.with_name(f"{target.name}.zip") if not target.suffix else target  # as zip does
        _run(watch, self.packing_call(written, packing), f"pack {target.name}", packing.password, _nothing)
        if not written.is_file():
            raise StepError(
                f"{self.programs[0]} ended without an error and wrote no {target.name}",
                hint="check the command of the resource: it must write to {archive}",
                code="AF986",
            )
        written.replace(target)

    def unpack(self, archive: Path, folder: Path, unpacking: Unpacking, watch: Watch) -> list[str]:
        """Unpack by the program, and return the names of what it wrote."""
        names = _names(archive, unpacking) if zipfile.is_zipfile(archive) else None
        count = UnpackCount(archive, unpacking.limits)  # says first that the archive is not there

        def look() -> None:
            """Check the limits while the program writes."""
            fresh = UnpackCount(archive, unpacking.limits)
            for file in _files(folder):
                with suppress(FileNotFoundError):  # a temporary file of the program
                    fresh.add_bytes(file.lstat().st_size)
                    fresh.add_file()

        chosen = None if unpacking.members is None else names
        call = self.unpacking_call(archive, folder, unpacking, chosen)
        _run(watch, call, f"unpack {archive}", unpacking.password, look)
        return _checked(archive, folder, count)

    def holds(self, archive: Path, packing: Packing, watch: Watch) -> bool:
        """Whether an archive holds exactly these files with this content: it is unpacked for that."""
        with hidden_folder(archive.parent, f"compare {archive}") as folder:
            names = self.unpack(archive, folder, Unpacking(password=packing.password), watch)
            expected = {member.name: member.path for member in packing.members}
            found = [name for name in names if not name.endswith("/")]
            return sorted(expected) == sorted(found) and all(
                filecmp.cmp(folder / name, expected[name], shallow=False) for name in found
            )


def _nothing() -> None:
    """There is nothing to look at while an archive is written."""


def _names(archive: Path, unpacking: Unpacking) -> list[str]:
    """Return the names that will be unpacked, all of them safe, as the archive lists them.

    Raises:
        StepError: the archive is damaged (AF391), has an unsafe name (AF392), or lacks a member (AF398).
    """
    with reading(zipfile, archive, msgspec.structs.replace(unpacking, password=None)) as reader:
        wanted = chosen_names(archive, {one.name for one in reader.members}, unpacking.members)
        chosen = [member for member in reader.members if member.name in wanted]
        check_clashes(str(archive), [name for one in chosen if (name := target_name(archive, one)) != "/"])
        return [member.name for member in chosen]


def _run(watch: Watch, call: Call, what: str, password: str | None, look: Callable[[], None]) -> None:
    result: ProgramResult = watch.run_program(call.argv, call.directory, call.stdin, look)
    if result.exit_code in call.accepted:
        return
    said = (result.stderr + result.stdout).decode("utf-8", "replace").strip()
    if password:
        said = said.replace(password, "***")
    detail = {"output": said[-_SHOWN:]}
    if reason := call.reasons.get(result.exit_code):
        raise StepError(f"cannot {what}: {reason.why}", hint=reason.hint, detail=detail, code=reason.code)
    last = said.splitlines()[-1] if said else "it printed nothing"
    raise StepError(
        f"cannot {what}: {call.argv[0]} ended with exit code {result.exit_code}: {last}",
        hint="its output says more" if said else f"run {call.argv[0]} by hand",
        detail=detail,
        code="AF986",
    )


def _files(folder: Path) -> list[Path]:
    """Return all that is below a folder without folders; links are not followed."""
    return [Path(above) / name for above, _, names in os.walk(folder) for name in names]


def _checked(archive: Path, folder: Path, count: UnpackCount) -> list[str]:
    """Return the names of what a program wrote.

    Raises:
        StepError: it is a link or device, has an unsafe name (AF392), or is too much (AF722, AF394).
    """
    names = []
    for above, folders, plain in os.walk(folder):
        for name in (*folders, *plain):
            path = Path(above) / name
            status = path.lstat()
            relative = path.relative_to(folder).as_posix()
            count.add_file()
            if stat.S_ISDIR(status.st_mode):
                names.append(f"{safe_name(str(archive), relative)}/")
                continue
            names.append(safe_name(str(archive), relative, unusual_file(status.st_mode)))
            count.add_bytes(status.st_size)
    check_clashes(str(archive), names)
    return sorted(names)
