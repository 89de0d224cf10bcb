"""Helpers of the archive tests: run the steps in the process, and make archives that nobody should make."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aetherflow_archive.unzip_step import unzip
from aetherflow_archive.zip_step import zip_files

from aetherflow.testing import FakeRun, run_step

KEY = "geheim"
"""The password of the old archive below, and of those that the tests make."""
WRONG = "x"
OLD_ENCRYPTION = bytes.fromhex(
    "504b03040a0009000000ca5c7d5d86a61036110000000500000001001c00685554090003ab0e0c6bab0e0c6b75780b000104"
    "000000000400000000c0a3416c861076243c1ca3cfaa352fc9cc504b070886a610361100000005000000504b01021e030a00"
    "09000000ca5c7d5d86a610361100000005000000010018000000000001000000a48100000000685554050003ab0e0c6b7578"
    "0b000104000000000400000000504b05060000000001000100470000005c0000000000"
)
"""`printf hello > h; zip -P geheim c.zip h` of Info-ZIP."""


class Run(FakeRun):
    """A run whose steps pack and unpack below the artifacts of one job."""

    def __init__(self, root: Path, **more: Any) -> None:
        super().__init__(root, **more)
        self.artifacts = self.context().artifacts

    async def zip(self, **inputs: Any) -> dict[str, Any]:
        """Run `zip`; return the outputs, with the status of a step that is skipped."""
        result = await run_step(zip_files, inputs, self)
        return result.outputs if result.status == "SUCCESS" else {**result.outputs, "skipped": result.reason}

    async def unzip(self, **inputs: Any) -> dict[str, Any]:
        """Run `unzip`; return the outputs."""
        return (await run_step(unzip, inputs, self)).outputs

    def write(self, files: Mapping[str, str | bytes], folder: str = ".") -> None:
        """Write files below the artifacts."""
        for name, content in files.items():
            path = self.artifacts / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, folder: str) -> dict[str, str]:
        """Return all files of a folder below the artifacts, hidden ones too."""
        root = self.artifacts / folder
        files = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_text() for path in files}

    def left_over(self) -> list[str]:
        """Return what is hidden below the artifacts."""
        return [str(path) for path in self.artifacts.rglob(".*")]


def content_of(file: str | Path) -> bytes:
    """Return the bytes of a file."""
    return Path(file).read_bytes()


def files_below(folder: Path) -> list[str]:
    """Return the names of all files below a folder."""
    return [path.name for path in folder.rglob("*") if path.is_file()]


def names_in(archive: str | Path) -> list[str]:
    """Return the names of the members of an archive, in its order."""
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def archive_of(
    path: Path, members: Mapping[str, bytes], mode: int = 0, method: int = zipfile.ZIP_STORED
) -> Path:
    """Write an archive as a hostile author could: any names, any mode."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
            info.compress_type = method
            info.external_attr = (mode or stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path
