"""`H`: a stable spread per item, as Jenkins describes it."""

from __future__ import annotations

from collections import Counter

import pytest

from aetherflow.schedule.cron import Cron, parse_cron
from aetherflow.schedule.invalid_value import ScheduleProblem


def chosen(text: str, field: str, item: str) -> list[int]:
    numbers: int = getattr(parse_cron(text, item), field)
    return [number for number in range(60) if numbers >> number & 1]


def test_the_same_item_has_the_same_time_and_items_are_spread() -> None:
    assert parse_cron("H H * * *", "night/load") == parse_cron("H H * * *", "night/load")
    minutes = Counter(chosen("H H * * *", "minutes", f"night/{n}")[0] for n in range(6000))
    assert len(minutes) == 60
    assert max(minutes.values()) < 170


def test_the_numbers_that_the_manual_shows_never_change() -> None:
    assert parse_cron("H H(0-5) * * *", "night/load").resolved == "34 3 * * *"
    assert parse_cron("0 H/15 H * * *", "night/load").resolved


@pytest.mark.parametrize("item", ["night/a", "night/b", "night/c"])
def test_ranges_and_steps(item: str) -> None:
    assert all(0 <= hour <= 5 for hour in chosen("0 H(0-5) * * *", "hours", item))
    quarter = chosen("H/15 * * * *", "minutes", item)
    assert [minute - quarter[0] for minute in quarter] == [0, 15, 30, 45]
    assert quarter[0] < 15
    tens = chosen("H(0-29)/10 * * * *", "minutes", item)
    assert [minute - tens[0] for minute in tens] == [0, 10, 20]
    assert parse_cron("0 0 H * *", item).days.of_month < 1 << 29
    both: Cron = parse_cron("0 0 H/2 * 5", item)
    assert both.days.both_match


def test_steps_over_the_whole_field_are_a_wildcard_and_a_single_number_is_fixed() -> None:
    assert parse_cron("H/20 2 * * *", "i").is_wildcard
    assert not parse_cron("H 2 * * *", "i").is_wildcard
    assert not parse_cron("H(0-29)/10 2 * * *", "i").is_wildcard
    assert parse_cron("5,H 2 * * *", "i").minutes.bit_count() in (1, 2)


@pytest.mark.parametrize(
    "text", ["h h * * *", "H/0 * * * *", "H/61 * * * *", "H(10-5) * * * *", "H() * * * *", "H(0-99) * * * *"]
)
def test_what_is_no_spread_is_refused(text: str) -> None:
    with pytest.raises(ScheduleProblem):
        parse_cron(text, "night/load")


def test_without_an_item_there_is_nothing_to_choose_by() -> None:
    with pytest.raises(ScheduleProblem, match="needs the id of an item"):
        parse_cron("H * * * *")
