"""After downtime and jumps of the clock, what runs is what the policy says; it never floods."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.schedule import timetable
from aetherflow.schedule.calendar import make_calendar
from aetherflow.schedule.catch_up import CatchUpPolicy, Decision, NotRun, decide_due
from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.jitter import jitter
from aetherflow.schedule.timetable import Timetable
from aetherflow.schedule.trigger import Trigger, parse_interval
from aetherflow.schedule.zone import instant, load_zone, seconds
from tests.schedule.policy_oracle import Verdict, due_prefix, verdicts
from tests.schedule.seeds import drawn_seed
from tests.sizes import LARGE

NOON = datetime(2027, 3, 27, 12, tzinfo=UTC)
HOURLY = Timetable("hourly", parse_cron("0 * * * *"), load_zone("Europe/Berlin"))
EVERY_SECOND = Timetable("busy", parse_interval(1), load_zone("UTC"))


def reported(decision: Decision) -> list[str]:
    """Return a decision in short: hours that ran, and ranges that did not."""
    runs = [f"run {run.tick:%H}{' late' if run.is_late else ''}" for run in decision.runs]
    return [
        f"{some.outcome} {some.first:%H}-{some.last:%H} ({some.count})" for some in decision.not_run
    ] + runs


def after_hours(hours: float, policy: CatchUpPolicy) -> Decision:
    """Decide about the hourly item that was last decided at noon."""
    return decide_due(HOURLY, policy, NOON, NOON + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("policy", "hours", "expected"),
    [
        (CatchUpPolicy(), 0.9, []),
        (CatchUpPolicy(), 1.01, ["run 13"]),
        (CatchUpPolicy(), 1.5, ["missed 13-13 (1)"]),
        (CatchUpPolicy(), 4.01, ["missed 13-15 (3)", "run 16"]),
        (CatchUpPolicy(misfire_grace_seconds=None), 4.5, ["coalesced 13-15 (3)", "run 16"]),
        (CatchUpPolicy(7200, coalesce=False), 4.5, ["missed 13-14 (2)", "run 15", "run 16"]),
        (CatchUpPolicy(7200, coalesce=False, catch_up_max=1), 4.5,
         ["missed 13-14 (2)", "missed 15-15 (1)", "run 16"]),
        (CatchUpPolicy(catch_up="latest"), 4.5, ["coalesced 13-15 (3)", "run 16 late"]),
        (CatchUpPolicy(catch_up="latest"), 4.01, ["coalesced 13-15 (3)", "run 16"]),
        (CatchUpPolicy(7200, coalesce=False, catch_up="latest"), 4.5,
         ["coalesced 13-14 (2)", "run 15", "run 16"]),
        (CatchUpPolicy(catch_up="latest", catch_up_window_seconds=7200), 4.5,
         ["missed 13-14 (2)", "coalesced 15-15 (1)", "run 16 late"]),
        (CatchUpPolicy(catch_up="latest", catch_up_window_seconds=600), 4.5, ["missed 13-16 (4)"]),
        (CatchUpPolicy(catch_up="all"), 3.01, ["run 13 late", "run 14 late", "run 15"]),
        (CatchUpPolicy(catch_up="all", catch_up_window_seconds=7200), 4.5,
         ["missed 13-14 (2)", "run 15 late", "run 16 late"]),
        (CatchUpPolicy(catch_up="all", catch_up_max=2), 4.5,
         ["missed 13-14 (2)", "run 15 late", "run 16 late"]),
    ],
)  # fmt: skip
def test_what_the_policy_says(policy: CatchUpPolicy, hours: float, expected: list[str]) -> None:
    assert reported(after_hours(hours, policy)) == expected


@pytest.mark.parametrize("seconds_of_the_day", [0, 1, 86_399])
def test_a_tick_that_lasts_a_day_is_in_time_from_its_first_to_its_last_second(
    seconds_of_the_day: int,
) -> None:
    daily = Timetable("daily", parse_cron("0 0 * * *"), load_zone("Europe/Berlin"))
    midnight = datetime(2027, 3, 20, 23, tzinfo=UTC)
    now = midnight + timedelta(days=3, seconds=seconds_of_the_day)
    decision = decide_due(daily, CatchUpPolicy(until_day_ends=True, coalesce=False), midnight, now)
    assert [(run.tick, run.is_late) for run in decision.runs] == [(midnight + timedelta(days=3), False)]
    assert [(some.outcome, some.count) for some in decision.not_run] == [("missed", 2)]


def test_the_reasons() -> None:
    late, window = (
        after_hours(4.5, CatchUpPolicy()),
        CatchUpPolicy(catch_up="all", catch_up_window_seconds=60),
    )
    assert [some.reason for some in late.not_run] == ["late by more than misfire_grace_time, 300 s"]
    assert after_hours(4.5, window).not_run[0].reason == "older than catch_up_window, 60 s"
    many = after_hours(4.5, CatchUpPolicy(catch_up="all", catch_up_max=1))
    assert many.not_run[0].reason == "more than catch_up_maximum, 1, were due at once"
    one = after_hours(4.5, CatchUpPolicy(None))
    assert one.not_run[0].reason == "one run stands for all ticks that were due at once"


def test_a_tick_is_due_when_its_jitter_is_over() -> None:
    table = Timetable("late", HOURLY.trigger, HOURLY.zone, jitter_seconds=1800)
    due = timetable.due_at(table, NOON + timedelta(hours=1))
    assert due > NOON + timedelta(hours=1)
    assert decide_due(table, CatchUpPolicy(0), NOON, due - timedelta(seconds=1)) == Decision(NOON)
    assert reported(decide_due(table, CatchUpPolicy(0), NOON, due)) == ["run 13"]


def test_parts_of_a_second_are_dropped() -> None:
    """Ticks are whole seconds: one that is late by 300.9 s is late by 300, and 300.9 s of grace are 300."""
    assert reported(after_hours(1 + 300.9 / 3600, CatchUpPolicy(300.9))) == ["run 13"]
    assert reported(after_hours(1 + 301 / 3600, CatchUpPolicy(300.9))) == ["missed 13-13 (1)"]
    window = CatchUpPolicy(0, catch_up="latest", catch_up_window_seconds=60.5)
    assert reported(after_hours(1 + 60 / 3600, window)) == ["run 13 late"]
    assert reported(after_hours(1 + 61 / 3600, window)) == ["missed 13-13 (1)"]


def test_a_clock_that_is_put_back_decides_nothing_again() -> None:
    policy = CatchUpPolicy()
    first = after_hours(1, policy)
    assert reported(first) == ["run 13"]
    back = decide_due(HOURLY, policy, first.through, NOON)
    assert back == Decision(first.through, clock_behind_seconds=3600)
    assert decide_due(HOURLY, policy, first.through, NOON + timedelta(hours=1)).clock_behind_seconds == 0
    again = decide_due(HOURLY, policy, first.through, NOON + timedelta(hours=2))
    assert reported(again) == ["run 14"]


@pytest.mark.parametrize("catch_up", ["none", "latest", "all"])
@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize(
    "table",
    [
        EVERY_SECOND,
        Timetable("cron", parse_cron("* * * * * *"), load_zone("Europe/Berlin")),
        Timetable("spread", parse_interval(1), load_zone("UTC"), jitter_seconds=30),
    ],
    ids=lambda table: table.item,
)
def test_ten_years_of_downtime_cost_little(
    table: Timetable, catch_up: str, *, coalesce: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[str]()
    for name in ("next_after", "count_between"):
        real = getattr(type(table.trigger), name)

        def counting(*arguments: object, name: str = name, real: Callable[..., object] = real) -> object:
            asked[name] += 1
            return real(*arguments)

        monkeypatch.setattr(type(table.trigger), name, counting)
    policy = CatchUpPolicy(3600, coalesce, catch_up, catch_up_max=50)  # type: ignore[arg-type]
    now = NOON.replace(year=2037)
    decision = decide_due(table, policy, NOON, now)
    assert len(decision.runs) == (1 if coalesce and catch_up != "all" else 50)
    assert len(decision.not_run) <= 3
    count = sum(some.count for some in decision.not_run) + len(decision.runs)
    assert count == seconds(decision.through) - seconds(NOON)
    assert now - decision.through <= timedelta(seconds=30)
    assert asked["next_after"] < 200
    assert asked["count_between"] < 200


def expand(table: Timetable, some: NotRun) -> list[int]:
    """Return the ticks of a range, after looking at its bounds and count."""
    found = [seconds(tick) for tick in timetable.ticks(table, some.first - timedelta(seconds=1), some.last)]
    assert (instant(found[0]), instant(found[-1]), len(found)) == (some.first, some.last, some.count)
    return found


def judge(table: Timetable, decision: Decision) -> dict[int, Verdict]:
    """Return a decision tick by tick; no tick is decided twice in it."""
    found: list[tuple[int, Verdict]] = [(seconds(run.tick), "run") for run in decision.runs]
    for some in decision.not_run:
        found += [(tick, some.outcome) for tick in expand(table, some)]
    assert len({tick for tick, _ in found}) == len(found)
    return dict(found)


def draw_table(rng: random.Random) -> Timetable:
    """Return a timetable that ticks between once a minute and once a month."""
    texts = ("*/5 * * * *", "30 2 * * *", "15,45 0-6 * * *", "0 3 * * mon-fri", "0 0 L * *")
    trigger: Trigger = parse_interval(rng.choice((60, 77, 3600, 50_000)))
    if rng.random() < 0.5:
        trigger = parse_cron(rng.choice(texts))
    zone = load_zone(rng.choice(("UTC", "Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe")))
    calendar = rng.choice((None, None, make_calendar("business", weekdays=["mon-fri"])))
    return Timetable("item", trigger, zone, None, calendar, rng.choice((0, 0, 30, 600)))


def draw_policy(rng: random.Random) -> CatchUpPolicy:
    """Return any policy."""
    return CatchUpPolicy(
        rng.choice((None, 0, 60, 300, 7200)),
        rng.random() < 0.5,
        rng.choice(("none", "latest", "all")),
        rng.choice((None, 0, 600, 86_400)),
        rng.choice((1, 2, 10, 100)),
    )


def jump(rng: random.Random) -> float:
    """Return seconds until the clock is looked at again: soon, after downtime, or after it was put back."""
    return rng.choice(
        (rng.uniform(0, 120), rng.uniform(0, 7200), rng.uniform(0, 2 * 86_400), -rng.uniform(0, 10_000))
    )


@pytest.mark.torture
def test_generated_downtimes_and_clock_jumps(record_property: Callable[[str, object], None]) -> None:
    number, lives = drawn_seed(), 1000 if LARGE else 60
    rng, counts = random.Random(number), Counter[str]()  # noqa: S311 - repeatable, keeps no secret
    for _ in range(lives):
        table, policy = draw_table(rng), draw_policy(rng)
        start = now = decided = NOON - timedelta(days=rng.randrange(200), seconds=rng.randrange(86_400))
        seen: dict[int, Verdict] = {}
        for _ in range(6):
            now += timedelta(seconds=jump(rng))
            decision = decide_due(table, policy, decided, now)
            ticks = [
                (seconds(tick), jitter(table.item, seconds(tick), table.jitter_seconds))
                for tick in timetable.ticks(table, decided, max(decided, now))
            ]
            due = due_prefix(ticks, seconds(now))
            expected = verdicts(due, policy, table.jitter_seconds, seconds(now))
            found = judge(table, decision)
            assert found == expected, (table, policy, decided, now)
            assert decision.through == (instant(due[-1]) if due else decided)
            assert [run.tick for run in decision.runs] == sorted(run.tick for run in decision.runs)
            assert len(decision.runs) <= max(1, policy.catch_up_max)
            assert not seen.keys() & found.keys()
            seen |= found
            counts.update(found.values())
            counts["decisions"] += 1
            counts["clock behind"] += decision.clock_behind_seconds > 0
            decided = decision.through
        every = [seconds(tick) for tick in timetable.ticks(table, start, decided)]
        assert sorted(seen) == every  # each tick is decided once
    assert min(counts[verdict] for verdict in ("run", "missed", "coalesced", "clock behind")) > 100
    record_property("torture", f"catch-up: seed {number}, {lives} lives, {dict(counts)}: as the policy says")
