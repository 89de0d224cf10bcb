"""What the event at the end of a run says of it."""

from __future__ import annotations

from aetherflow.engine.machine import RunMachine
from aetherflow.engine.state import apply, fold
from aetherflow.events import run_events as e
from tests.engine.scripted_machine import START, TickingClock, plan_of_jobs


class LateClock(TickingClock):
    """A clock of a machine that has been up for a while; a test moves it."""

    uptime = 5000.0

    def monotonic(self) -> float:
        return self.uptime


def test_the_duration_is_that_of_this_execution() -> None:
    clock, state = LateClock(), fold([])
    apply(state, e.RunStarted(at=START, flow_id="f", run_id="r", flow_file="f.yaml", owner="me"))
    machine = RunMachine(plan_of_jobs({"id": "a", "when": "1 > 2"}), state, env={}, clock=clock, limit=1)
    clock.uptime += 90.5004
    end = machine.react(()).events[-1]
    assert isinstance(end, e.RunFinished)
    assert end.duration_seconds == 90.5
