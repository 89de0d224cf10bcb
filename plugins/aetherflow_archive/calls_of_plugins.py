"""The methods that archive connectors have for the plugins of others: `create_zip` and `extract_zip`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aetherflow import files
from aetherflow_archive.archive_connector import ArchiveConnector, PackedFile, Packing, Unpacking
from aetherflow_archive.formats import format_of_content, format_of_name
from aetherflow_archive.publishing import hidden_folder, publish
from aetherflow_archive.watching import Unwatched


class PluginCalls(ArchiveConnector):
    """An archive connector with methods that need no step; they block."""

    def create_zip(
        self,
        *,
        output: str | Path,
        files: Iterable[str | Path],
        base_dir: str | Path,
        password: str | None = None,
        compression: str = "deflated",
        overwrite: bool = True,
    ) -> dict[str, Any]:
        """Write an archive of files below `base_dir`; return {output, count, password, driver}.

        Raises:
            StepError: a file changed meanwhile, or the password cannot be used.
            ValueError: a file is not below `base_dir`.
            FileExistsError: the archive exists, and `overwrite` is false.
        """
        base, target = Path(base_dir), Path(output)
        if not overwrite and target.exists():
            raise FileExistsError(f"{target} exists")
        named = {Path(file).relative_to(base).as_posix(): Path(file) for file in files}
        members = [PackedFile(name, path) for name, path in sorted(named.items())]
        method: Any = "deflated" if compression == "deflated" else "stored"
        with atomic(target) as part:
            packing = Packing(base, members, password or None, method, format_of_name(target))
            self.pack(part, packing, Unwatched())
        return {
            "output": str(target),
            "count": len(members),
            "password": bool(password),
            "driver": self.driver,
        }

    def extract_zip(
        self,
        *,
        archive: str | Path,
        dest_dir: str | Path,
        password: str | None = None,
        overwrite: bool = True,
        members: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Unpack an archive; return {dest_dir, files, password, driver}.

        Raises:
            StepError: the archive is damaged, too large or unsafe, or the password is wrong.
        """
        source, target = Path(archive), Path(dest_dir)
        with hidden_folder(target.absolute(), str(source)) as staged:
            unpacking = Unpacking(members, password or None, format=format_of_content(source))
            names = self.unpack(source, staged, unpacking, Unwatched())
            published = publish(
                staged, names, target, writing=atomic, make_folder=_make_folder, overwrite=overwrite
            )
        return {
            "dest_dir": str(target),
            "files": published.files,
            "password": bool(password),
            "driver": self.driver,
        }


atomic = files.atomic_write


def _make_folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
