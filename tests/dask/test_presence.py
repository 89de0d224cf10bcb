"""What is known of workers, and that nothing of those that are gone for good is kept."""

from __future__ import annotations

from typing import Any

from aetherflow_dask.presence import Presence


def identity(*names: str) -> dict[str, Any]:
    """Return what a scheduler says that has workers of these names."""
    return {
        "total_threads": len(names),
        "workers": {f"tcp://{name}": {"name": name} for name in names},
    }


def test_workers_that_are_gone_are_forgotten() -> None:
    presence = Presence(30.0, lambda *_: None)
    for number in range(1000):
        presence.see(identity("stays", f"w{number}"))
        presence.hears(f"tcp://w{number}")
        presence.has_gone(lambda: None)
        presence.tick(10.0, [])
    assert list(presence.names.values()) == ["stays", "w999"]
    assert len(presence._silence) == 1
    assert not presence._gone


def test_a_worker_that_is_gone_has_its_name_as_long_as_it_has_attempts() -> None:
    silent: list[str] = []
    presence = Presence(30.0, lambda worker, _: silent.append(worker))
    presence.see(identity("busy", "idle"))
    presence.tick(20.0, ["tcp://busy"])
    presence.see(identity("other"), ["tcp://busy"])
    assert presence.name_of("tcp://busy") == "busy"
    assert presence.name_of("tcp://idle") == "tcp://idle"
    presence.tick(20.0, ["tcp://busy"])
    assert silent == ["tcp://busy"]
