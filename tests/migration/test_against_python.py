"""Random conditions and weekdays: what is written means the same as 0.0's Python and Monday = 0 did."""

from __future__ import annotations

import random
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import yaml

from aetherflow.language.condition import compile_condition
from aetherflow.migration.old_cron import DAYS, read_cron
from aetherflow.schedule.cron import next_local, parse_cron
from tests.migration.cases import HEAD, JOB
from tests.migration.test_rows import migrated

PATHS = ("yes_or_no", "n", "word")
LITERALS = (
    "1",
    "2.5",
    "0x10",
    "1_0",
    "'x'",
    "'10'",
    '"it\'s"',
    r"'a\x62'",
    r"'a\nb'",
    "True",
    "False",
    "None",
    "''",
)
WORDS = ("x", "false", "0", "10", "9", "ab", "a\nb", "it's", "no", "true", "3")
JOB_B = "  - id: b\n    when: {}\n    steps: [{{id: s, type: check_items, inputs: {{items: [x]}}}}]\n"


def _condition(rng: random.Random, depth: int = 0) -> str:
    path = f"jobs.a.outputs.{rng.choice(PATHS)}"
    match rng.randrange(6) if depth < 3 else rng.randrange(3):
        case 0:
            return path
        case 1 | 2:
            return f"{path} {rng.choice(['==', '!=', '<', '>='])} {rng.choice(LITERALS)}"
        case 3:
            return f"not ({_condition(rng, depth + 1)})"
        case _:
            joint = rng.choice([" and ", " or "])
            return _condition(rng, depth + 1) + joint + _condition(rng, depth + 1)


def _by_python(text: str, outputs: dict[str, Any]) -> bool | None:
    """Return what 0.0 decided; None if it ended the run with an error."""
    jobs = SimpleNamespace(a=SimpleNamespace(status="SUCCESS", outputs=SimpleNamespace(**outputs)))
    try:
        return bool(eval(text, {"__builtins__": {}}, {"jobs": jobs}))  # noqa: S307 - as 0.0 did; our own texts
    except TypeError:
        return None


def test_a_condition_that_needs_no_person_is_decided_as_by_python() -> None:
    rng = random.Random(1)  # noqa: S311 - examples, no secrets
    compared = 0
    for _ in range(300):
        text = _condition(rng)
        migration = migrated(HEAD + JOB + JOB_B.format(f"|\n      {text}"))
        if migration.needs_a_person:
            continue
        written = yaml.safe_load(migration.text)["jobs"][1]["when"]
        condition, problems = compile_condition(written)
        assert condition is not None, (text, written, problems)
        for _ in range(8):
            outputs = {
                "yes_or_no": rng.random() < 0.5,
                "n": rng.choice([0, 1, 16, 2.5]),
                "word": rng.choice(WORDS),
            }
            expected = _by_python(text, outputs)
            if expected is not None:
                scope = {"jobs": {"a": {"status": "SUCCESS", "outputs": outputs}}, "params": {}, "env": {}}
                assert condition.evaluate(scope) is expected, (text, written, outputs)
                compared += 1
    assert compared > 500


def _days_of_0_0(day: str, weekday: str) -> list[date]:
    """Return the days of 2026 that both fields fit, Monday being 0."""
    low, _, high = weekday.partition("-")
    days = [date(2026, 1, 1) + timedelta(number) for number in range(365)]
    first, _, last = day.partition("-")
    return [
        one
        for one in days
        if int(low) <= one.weekday() <= int(high or low)
        and (day == "*" or int(first) <= one.day <= int(last or first))
    ]


def _days_here(text: str, weekdays: tuple[str, ...]) -> list[date]:
    """Return the days of 2026 on which an expression fires, with a calendar if there are weekdays."""
    cron = parse_cron(text)
    found: list[date] = []
    second = (date(2026, 1, 1) - date(1970, 1, 1)).days * 86_400
    while (at := next_local(cron, second)) is not None and (
        day := date(1970, 1, 1) + timedelta(at // 86_400)
    ):
        if day.year > 2026:
            return found
        if not weekdays or _is_on(day, weekdays):
            found.append(day)
        second = at + 1
    return found


def _is_on(day: date, weekdays: tuple[str, ...]) -> bool:
    for part in weekdays:
        first, _, last = part.partition("-")
        if DAYS.index(first) <= day.weekday() <= DAYS.index(last or first):
            return True
    return False


def test_days_are_those_of_0_0() -> None:
    for day in ("*", "13", "1-7", "20-31"):
        for weekday in ("0", "6", "1-5", "2-3", "0-6"):
            cron = read_cron(f"0 6 {day} * {weekday}")
            assert cron is not None
            assert _days_here(cron.text, cron.weekdays) == _days_of_0_0(day, weekday), cron
