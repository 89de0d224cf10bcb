"""The inputs that say how files move: shared by the steps that download and upload. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aetherflow.spec.size import parse_size
from aetherflow.transfer.overwrite import Overwrite
from aetherflow.transfer.selection_inputs import SelectionInputs
from aetherflow.transfer.target_names import check_template

Verify = Literal["size", "checksum", "none"]
After = Literal["keep", "delete", "move"]

WORKERS = 4
SMALL_WORKERS = 64
SMALL_BYTES = 256 * 1024
"""How many files move at once unless the flow says it, and how many if they are not larger on average.

Most of the time of a small file is spent waiting for answers.
"""

MOST_WORKERS = 64


class Parallelism(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many files move at once, as AetherFlow 0.0 has it.

    Attributes:
        enabled: false: one file after the other.
        workers: how many at once.
        fail_fast: whether the first file that fails ends the step; otherwise the others are still tried.
    """

    enabled: bool | None = True
    workers: Annotated[int, Meta(ge=1, le=MOST_WORKERS)] | None = 8
    fail_fast: bool | None = True


class TransferInputs(SelectionInputs, frozen=True, kw_only=True):
    """How the files of a step move.

    Attributes:
        overwrite: what happens to a file whose name is in use where it arrives.
        rename: the name that each file gets: `{stem}_{mtime:%Y%m%d}{suffix}`; `{name}` and `{index}` too.
        preserve_mtime: whether files get the time of their source.
        verify: what is compared before a file gets its name: its size, its checksum (SHA-256), or nothing.
        transactional: whether all files get their names only when all have arrived, or none does.
        parallel: how many files move at once; default: 4, of small files 64.
        parallelism: the same in another spelling: {enabled, workers, fail_fast}.
        fail_fast: whether the first file that fails ends the step; otherwise the others are still tried.
        bandwidth_limit: bytes per second for all files together, such as 10MB/s.
        after: what happens to the sources once the success of the step is stored; default: keep.
        move_to: the folder for `after: move`.
    """

    overwrite: Overwrite | None = "always"
    rename: str | None = None
    preserve_mtime: bool | None = False
    verify: Verify | None = "size"
    transactional: bool | None = False
    parallel: Annotated[int, Meta(ge=1, le=MOST_WORKERS)] | None = None
    parallelism: Parallelism | None = None
    fail_fast: bool | None = True
    bandwidth_limit: int | str | None = None
    after: After | None = None
    move_to: str | None = None

    def __post_init__(self) -> None:
        """Check what the types do not say.

        Raises:
            ValueError: a text cannot be read, or two keys contradict each other.
        """
        super().__post_init__()
        if self.rename is not None:
            if not self.rename:
                raise ValueError("rename is empty: write a template such as {name}")
            check_template(self.rename)
        if self.after == "move" and not self.move_to:
            raise ValueError("after: move needs a folder: move_to")
        if self.move_to is not None and self.after in {None, "delete"}:  # a template may give keep
            raise ValueError("move_to needs after: move")
        if self.parallel is not None and self.parallelism is not None:
            raise ValueError("parallel and parallelism mean the same: keep one of them")
        self.transfer()

    def check_move_to(self, folder: str | None) -> None:
        """Check that files which are moved away from a folder get to another one.

        Raises:
            ValueError: they stay in it, or the next run would take them again.
        """
        if self.move_to is None or folder is None:
            return
        here, there = folder.rstrip("/\\"), self.move_to.rstrip("/\\")
        if here == there:
            raise ValueError("move_to is the folder that the files are in: choose another one")
        chosen = [self.pattern] if isinstance(self.pattern, str) else self.pattern or []
        takes_all = self.recursive and not self.exclude and not any("/" in one for one in chosen)
        if takes_all and there.startswith(f"{here}/"):
            raise ValueError(
                "move_to is below the folder, so with recursive the next run takes its files: exclude it"
            )

    def transfer(self) -> TransferSettings:
        """Return the keys as the transfer reads them.

        Raises:
            ValueError: the bandwidth limit is no size, or 0.
        """
        group = self.parallelism or Parallelism(workers=self.parallel, fail_fast=self.fail_fast)
        return TransferSettings(
            overwrite=self.overwrite or "always",
            rename=self.rename or "",
            preserve_mtime=bool(self.preserve_mtime),
            verify=self.verify or "size",
            transactional=bool(self.transactional),
            workers=1 if group.enabled is False else group.workers,
            fail_fast=False not in (group.fail_fast, self.fail_fast),
            bytes_per_second=None if self.bandwidth_limit is None else _rate(str(self.bandwidth_limit)),
        )


class TransferSettings(msgspec.Struct, frozen=True):
    """How the files of a step move; see `TransferInputs`."""

    overwrite: Overwrite = "always"
    rename: str = ""
    preserve_mtime: bool = False
    verify: Verify = "size"
    transactional: bool = False
    workers: int | None = None
    fail_fast: bool = True
    bytes_per_second: int | None = None

    def workers_for(self, sizes: Sequence[int | None]) -> int:
        """Return how many files of these sizes move at once."""
        if self.workers is not None:
            return self.workers
        known = [size for size in sizes if size is not None]
        return SMALL_WORKERS if known and sum(known) <= SMALL_BYTES * len(known) else WORKERS

    @property
    def replaces(self) -> bool:
        """Whether a file may take the place of one that has its name."""
        return self.overwrite not in {"never", "fail"}


def _rate(text: str) -> int:
    rate = parse_size(text.strip().removesuffix("/s").removesuffix("ps"))
    if rate < 1:
        raise ValueError("bandwidth_limit must be at least 1 byte per second, such as 10MB/s")
    return rate
