"""The inputs that name files elsewhere: a folder with a selection, or the files themselves. Pure."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aetherflow.transfer.selection_inputs import SelectionInputs

Text = Annotated[str, Meta(min_length=1)]


class GivenFile(msgspec.Struct, frozen=True):
    """A file as another step names it; other keys are allowed.

    Attributes:
        path: names it there.
        rel_path: below the folder that was listed, with `/` between its parts; default: its name.
        size: in bytes, if it is known.
        mtime: when it was changed, in seconds since 1970 UTC; a text is not read.
        is_dir: whether it is a folder.
        sha256: its checksum, if it is known.
    """

    path: Text
    rel_path: str | None = None
    size: int | None = None
    mtime: float | str | None = None
    is_dir: bool | None = False
    sha256: str | None = None


class RemoteDirInputs(SelectionInputs, frozen=True):
    """A folder of a resource, and which of its files are taken.

    Attributes:
        resource: a resource whose connector has files: sftp, smb, file ...
        remote_dir: the folder there; also `dir`.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("remote_dir", "dir"),)

    resource: Text
    remote_dir: Text | None = None
    dir: Text | None = None

    def __post_init__(self) -> None:
        """Give `remote_dir` the value of `dir`.

        Raises:
            ValueError: there is no folder, or the two differ.
        """
        super().__post_init__()
        if self.dir is not None:
            if self.remote_dir not in (None, self.dir):
                raise ValueError("dir and remote_dir mean the same and differ: keep one of them")
            msgspec.structs.force_setattr(self, "remote_dir", self.dir)
        self._check()

    def _check(self) -> None:
        if self.remote_dir is None:
            raise ValueError("remote_dir is missing: the folder to list")


class RemoteFilesInputs(RemoteDirInputs, frozen=True):
    """The files of a resource that a step works on: given, or selected from a folder.

    Attributes:
        files: what `files` of a listing has, mappings with `path` and `rel_path`, or paths; null: none.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("files", "remote_dir", "dir"),)

    files: list[Text | GivenFile] | UnsetType | None = UNSET

    def _check(self) -> None:
        if (self.files is UNSET) == (self.remote_dir is None):
            raise ValueError("give either files, or remote_dir with a selection")
        if self.files is not UNSET and (chosen := self.chosen_by()):
            raise ValueError(f"{chosen[0]} selects from remote_dir; it has no meaning with files")
