"""Move the files of a step, several at once, and resume what an earlier attempt did.

What a crash leaves is always one of these: nothing, an incomplete file under its temporary name, a whole file
under its temporary name (noted as whole), or the file under its name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.transfer.manifest import Entry, Manifest
from aetherflow.transfer.overwrite import decide, folder_there
from aetherflow.transfer.rate import Meter
from aetherflow.transfer.transfer_keys import TransferSettings
from aetherflow.transfer.way import Item, Way
from aetherflow.transfer.workers import each

_REASONS = {
    "exists": "a file of its name is there",
    "older": "the file that is there is not older",
    "same": "the same file is there",
}


class Moving:
    """Moves the files of one step.

    Args:
        context: of the step.
        way: the direction.
        manifest: the result list, open.
        settings: how the files move.
        meter: counts them.
        is_resumed: whether an earlier attempt may have moved some of them.
    """

    def __init__(
        self,
        context: StepContext,
        way: Way,
        manifest: Manifest,
        settings: TransferSettings,
        meter: Meter,
        *,
        is_resumed: bool,
    ) -> None:
        self._context = context
        self._way = way
        self._manifest = manifest
        self._settings = settings
        self._meter = meter
        self._is_resumed = is_resumed
        self._has_effects = False
        self._workers = 1
        self._gone = 0

    async def run(self, items: list[Item], *, has_effects: bool) -> None:
        """Move the files; when it returns, all have arrived or need not be sent.

        Args:
            items: the files in order.
            has_effects: whether each is an effect of its own.

        Raises:
            StepError: a file cannot be moved; of several, AF320 names them.
        """
        self._has_effects = has_effects
        self._workers = self._settings.workers_for([item.size for item in items])
        await self._finish_all()
        await self._each(self._move, items)
        if self._settings.transactional:
            await self._manifest.commit()
            await self._finish_all()
        await self._way.flush(self._arrived(items))
        if self._gone:
            self._context.log(
                f"{self._gone} files that an earlier attempt had sent are not there any more: taken since",
                "warning",
            )

    def _arrived(self, items: list[Item]) -> list[str]:
        """Return the paths of the files that have arrived, now or in an earlier attempt."""
        found = (self._manifest.entries.get(item.id) for item in items)
        return [entry.path for entry in found if entry is not None and entry.has_arrived]

    async def _move(self, item: Item) -> None:
        """Move one file, or, if the step is transactional, bring it to its temporary name."""
        if self._is_resumed:
            if await self._is_settled(item):
                return
            await self._discard_older(item)
        if self._settings.overwrite != "always":
            there = await self._way.existing(item.target)
            decision = decide(
                self._settings.overwrite,
                size=item.size,
                mtime=item.mtime,
                there=there,
                exact_time=self._settings.preserve_mtime,
            )
            if decision != "send":
                entry = self._way.entry(item, "same" if decision == "same" else "skipped")
                self._manifest.note(msgspec.structs.replace(entry, reason=_REASONS[decision]))
                self._meter.file_done(item.size or 0)
                return
        if self._settings.transactional:
            await self._send(item)
        else:
            async with self._effect(item) as found:
                entry = await self._send(item)
                await self._rename(item, entry)
                found.update(_facts(entry))
        self._meter.file_done()

    async def _send(self, item: Item) -> Entry:
        """Bring a file to its temporary name; return its entry, which is noted if that matters."""
        arrived = await self._way.send(item, is_resumed=self._is_resumed)
        entry = self._way.entry(item, "whole", arrived)
        if self._settings.transactional or self._way.notes_whole:
            await self._manifest.add(entry)
        return entry

    async def _rename(self, item: Item, entry: Entry) -> None:
        try:
            await self._way.rename(item, _done(entry), replace=self._settings.replaces)
        except StepError as error:
            if error.kind != "connection":
                await self._name_is_free(item)  # a folder there has a sentence of its own
            raise

    def _committed(self) -> list[Item]:
        """Return the files that are whole, and will be renamed whatever happens."""
        found = map(self._manifest.entries.get, sorted(self._manifest.committed))
        return [self._way.item(entry) for entry in found if entry is not None and entry.status == "whole"]

    async def _finish_all(self) -> None:
        """Rename the files of a transactional step that were committed: all of them, or none.

        A file that has replaced another cannot be taken back, and after a lost connection nothing can: a
        resumed step renames the rest.
        """
        items = self._committed()
        free: list[Item] = []

        async def look(item: Item) -> None:
            if await self._name_is_free(item):
                free.append(item)

        await self._each(look, items)
        try:
            await self._each(self._finish, items)
        except StepError as error:
            if error.kind != "connection":
                await self._take_back(free)
                stay = sum(self._manifest.entries[item.id].status == "done" for item in items)
                if stay:
                    self._context.log(f"{stay} files have replaced older ones, and stay", "warning")
            raise

    async def _name_is_free(self, item: Item) -> bool:
        """Whether nothing has the name of a file.

        Raises:
            StepError: a folder has it (AF315).
        """
        there = await self._way.existing(item.target)
        if there is not None and there.is_dir:
            raise folder_there(there.path)
        return there is None

    async def _take_back(self, items: list[Item]) -> None:
        """Give the files that were renamed their temporary names again."""

        async def back(item: Item) -> None:
            entry = self._manifest.entries[item.id]
            if entry.status == "done" or await self._was_renamed(item, entry):
                whole = msgspec.structs.replace(entry, status="whole", temporary=item.temporary)
                await self._way.take_back(item, whole)

        try:
            await each(back, items, name=lambda item: item.id, workers=self._workers, fail_fast=False)
        except StepError as error:  # the step has failed for another reason
            self._context.log(f"not all files got their temporary names again: {error.message}", "warning")

    async def _finish(self, item: Item) -> None:
        """Rename a file of a transactional step that was committed."""
        entry = self._manifest.entries[item.id]
        async with self._effect(item) as found:
            if self._is_resumed and await self._was_renamed(item, entry):
                self._manifest.note(_done(entry))
            else:
                await self._rename(item, entry)
            found.update(_facts(entry))

    async def _is_settled(self, item: Item) -> bool:
        """Whether an earlier attempt has moved the file; if it was whole, it is renamed now."""
        entry = self._manifest.entries.get(item.id)
        if entry is None or not item.is_version_of(entry):
            return False
        if entry.status == "whole":
            return await self._settle_whole(item, entry)
        if not entry.has_arrived or not await self._is_there(item, entry):
            return False
        async with self._effect(item, entry):
            self._meter.file_done(entry.size or 0)
        return True

    async def _discard_older(self, item: Item) -> None:
        """Delete what an earlier attempt left of another version of the file."""
        entry = self._manifest.entries.get(item.id)
        if entry is not None and entry.temporary not in {"", item.temporary}:
            await self._way.discard(entry.temporary)

    async def _settle_whole(self, item: Item, entry: Entry) -> bool:
        there = await self._way.existing(item.temporary)
        if there is not None and there.size == entry.size:
            if not self._settings.transactional:
                async with self._effect(item, entry):
                    await self._rename(item, entry)
        elif not self._settings.transactional and await self._was_renamed(item, entry):
            async with self._effect(item, entry):
                self._manifest.note(_done(entry))
        else:
            return False
        self._meter.file_done(entry.size or 0)
        return True

    async def _was_renamed(self, item: Item, entry: Entry) -> bool:
        """Whether a file that was whole has its name: the process ended before that was noted."""
        if await self._way.existing(item.temporary) is not None:
            return False
        there = await self._way.existing(item.target)
        return there is not None and there.size == entry.size

    async def _is_there(self, item: Item, entry: Entry) -> bool:
        """Whether a file that arrived need not be sent again."""
        there = await self._way.existing(item.target)
        if there is not None:
            return there.size == entry.size
        self._gone += self._way.may_be_taken
        return self._way.may_be_taken

    @asynccontextmanager
    async def _effect(self, item: Item, settled: Entry | None = None) -> AsyncIterator[dict[str, Any]]:
        """Make the change in a block an effect of its own, if there are not too many.

        Args:
            item: the file.
            settled: its entry, if an earlier attempt is found to have made the change.
        """
        facts = _facts(settled) if settled else {}
        if not self._has_effects:
            yield facts
            return

        async def verify() -> dict[str, Any] | None:
            return facts or None

        async with self._context.effect(
            f"{self._way.verb} {self._way.remote_path(item)}",
            verify=verify,
            detail={"to": item.target, "size": item.size},
        ) as effect:
            yield facts
            effect.result = facts

    async def _each(self, function: Callable[[Item], Awaitable[None]], items: Iterable[Item]) -> None:
        async def tried(item: Item) -> None:
            try:
                await function(item)
            except StepError as error:
                self._note_failure(item, error)
                raise

        settings = self._settings
        await each(
            tried, items, name=lambda item: item.id, workers=self._workers, fail_fast=settings.fail_fast
        )

    def _note_failure(self, item: Item, error: StepError) -> None:
        known = self._manifest.entries.get(item.id)
        if known is None or known.status != "whole":  # a whole file only needs its name
            entry = self._way.entry(item, "failed")
            self._manifest.note(msgspec.structs.replace(entry, reason=error.message))


def _done(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, status="done", temporary="")


def _facts(entry: Entry) -> dict[str, Any]:
    return {"size": entry.size, "sha256": entry.sha256}
