"""A second opinion: away from transitions, cronsim finds the same ticks.

What differs is intended, and each case is looked at here:

- a range of weekdays that ends with Sunday as 0 (`fri-sun`) is refused by cronsim and by Vixie's cron;
- `15W`, `L-3`, `@daily` and the like are not known to cronsim;
- a step beyond its field (`*/60`) is refused here: crontab(5) and cronsim let it pass as if it were `0`;
- an expression that never matches is refused here; cronsim refuses some of them and finds nothing for others;
- a step behind a range of one (`5-5/10`) finds nothing more, as in Vixie's cron; cronsim reads it as `5/10`;
- a step behind `L` (`L/2`) is refused here; cronsim lets it pass without effect.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import cronsim
import pytest

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.dst import ELAPSED_TIME
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.timetable import Timetable, next_tick
from aetherflow.schedule.zone import load_zone
from tests.schedule.brute_force import generate
from tests.schedule.seeds import drawn_seed
from tests.schedule.test_ticks_against_brute_force import has_dates
from tests.sizes import LARGE

START = datetime(2027, 1, 1, tzinfo=UTC)
TICKS = 20
RANGE_OF_ONE = re.compile(r"\b(\d+)-\1/")


def with_seconds(rng: random.Random, text: str) -> str:
    """Return an expression of six fields half of the time."""
    if rng.random() < 0.5:
        return text
    return f"{rng.choice(('*', '*/7', '0', '30', '5-20/5', '1,2,59'))} {text}"


@pytest.mark.torture
def test_cronsim_finds_the_same(record_property: Callable[[str, object], None]) -> None:
    number, wanted = drawn_seed(), 20_000 if LARGE else 300
    rng, compared, unknown, never = random.Random(number), 0, 0, 0  # noqa: S311 - repeatable, keeps no secret
    while compared < wanted:
        text = with_seconds(rng, generate(rng).text)
        if RANGE_OF_ONE.search(text):
            continue
        after = START + timedelta(seconds=rng.randrange(20 * 365 * 86_400))
        try:
            theirs = cronsim.CronSim(text, after)
        except cronsim.CronSimError:
            day_of_month = text.split()[-3].upper()
            assert "W" in day_of_month or "L-" in day_of_month or not has_dates(text), text
            unknown += 1
            continue
        if not has_dates(text):
            assert next(theirs, None) is None, text
            never += 1
            continue
        table = Timetable("item", parse_cron(text), load_zone("UTC"))
        for expected in [next(theirs) for _ in range(TICKS)]:
            found = next_tick(table, after)
            assert found == expected, (text, after)
            after = expected
        compared += 1
    record_property(
        "torture",
        f"cronsim: seed {number}, {compared} expressions x {TICKS} ticks, 0 differences; "
        f"{unknown} not known to cronsim, {never} that never match",
    )


@pytest.mark.parametrize("text", ["*/30 * * * *", "15 */2 * * *", "@hourly", "*/20 1-3 * * *"])
def test_wildcards_agree_over_transitions_too(text: str) -> None:
    zone = load_zone("Europe/Berlin")
    table = Timetable("item", parse_cron(text), zone)
    assert table.dst == ELAPSED_TIME
    after = datetime(2027, 3, 27, tzinfo=UTC)
    theirs = cronsim.CronSim(text.replace("@hourly", "0 * * * *"), after.astimezone(zone.info))
    for expected in [next(theirs) for _ in range(200)]:
        found = next_tick(table, after)
        assert found == expected.astimezone(UTC)
        after = found


@pytest.mark.parametrize("text", ["0 0 15W * *", "0 0 L-3 * *", "@daily", "0 0 * * fri-sun"])
def test_only_we_know(text: str) -> None:
    parse_cron(text)
    with pytest.raises(cronsim.CronSimError):
        cronsim.CronSim(text, START)


@pytest.mark.parametrize("text", ["*/60 * * * *", "0 */24 * * *", "* * */20 * 1L", "0 0 L/2 * *"])
def test_only_we_refuse(text: str) -> None:
    cronsim.CronSim(text, START)
    with pytest.raises(ScheduleProblem):
        parse_cron(text)


def test_a_step_behind_a_range_of_one() -> None:
    table = Timetable("item", parse_cron("5-5/10 0 * * *"), load_zone("UTC"))
    assert next_tick(table, START + timedelta(minutes=5)) == START + timedelta(days=1, minutes=5)
    assert next(cronsim.CronSim("5-5/10 0 * * *", START + timedelta(minutes=5))) == START + timedelta(
        minutes=15
    )
