"""`@reboot`: the trigger of items that fire once per boot of the machine. It has no times."""

from __future__ import annotations

from aetherflow.schedule.dst import DstRule
from aetherflow.schedule.trigger_kind import Trigger
from aetherflow.schedule.zone import Zone

REBOOT = "@reboot"


class Reboot(Trigger, frozen=True, gc=False):
    """Fires when a server starts, once per boot of its machine."""

    def next_after(self, _zone: Zone, _rule: DstRule, _after: int) -> int | None:
        """Return None: nobody knows when the machine boots."""
        return None

    def count_between(self, _zone: Zone, _rule: DstRule, _start: int, _end: int) -> int:
        """Return 0."""
        return 0

    @property
    def at_boot(self) -> bool:
        """It has no times."""
        return True
