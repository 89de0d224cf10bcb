"""Dates in templates: offsets, cuts and formats, each with the result that a calendar gives."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.language.dates import DateError, date_of
from aetherflow.language.template import compile_template
from tests.sizes import examples

SCOPE: dict[str, Any] = {
    "run": {
        "date": "2026-03-31",
        "scheduled_at": "2026-03-28T23:30:00Z",  # 00:30 on the day on which the clocks change
        "started_at": "2026-10-24T22:30:00.250000Z",
        "timezone": "Europe/Berlin",
        "id": "r1",
    },
    "today": "2026-03-31",
    "yesterday": "2026-03-30",
    "params": {
        "day": "2024-02-29",
        "at": "2026-03-28T22:15:30+01:00",
        "zulu": "2026-03-28T22:15:30Z",
        "naive": "2026-03-28T22:15:30",
        "empty": "",
        "word": "soon",
        "api_token": "hunter2",
        "number": 7,
        "last": "9999-12-31",
    },
}


def render(text: object) -> Any:
    template, problems = compile_template(text)
    assert problems == []
    return template.render(SCOPE)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{run.date}}", "2026-03-31"),
        ("{{today}}", "2026-03-31"),
        ("{{yesterday}}", "2026-03-30"),
        ("{{run.date - 1d}}", "2026-03-30"),
        ("{{ run.date + 1d }}", "2026-04-01"),
        ("{{run.date -1d}}", "2026-03-30"),
        ("{{run.date -  2d}}", "2026-03-29"),
        ("{{run.date - 1w}}", "2026-03-24"),
        ("{{run.date - 1mo}}", "2026-02-28"),
        ("{{run.date + 1mo}}", "2026-04-30"),
        ("{{run.date - 13mo}}", "2025-02-28"),
        ("{{params.last - 1mo / mo}}", "9999-11-01"),
        ("{{params.last - 0mo}}", "9999-12-31"),
        ("{{params.day + 1y}}", "2025-02-28"),
        ("{{params.day - 4y}}", "2020-02-29"),
        ("{{run.date - 1mo + 1d}}", "2026-03-01"),
        ("{{today - 0d}}", "2026-03-31"),
        ("{{run.date / mo}}", "2026-03-01"),
        ("{{run.date - 1mo / mo}}", "2026-02-01"),
        ("{{run.date / mo - 1d}}", "2026-02-28"),
        ("{{run.date / mo + 1mo - 1d}}", "2026-03-31"),
        ("{{run.date / w}}", "2026-03-30"),
        ("{{run.date / y}}", "2026-01-01"),
        ("{{run.date / d}}", "2026-03-31"),
        ("from {{run.date - 1d}} to {{run.date}}", "from 2026-03-30 to 2026-03-31"),
        ("{{params.empty - 1d:2026-01-01}}", "2026-01-01"),
        ("{{params.none - 1d:never}}", "never"),
        ("{{params.day - 1d:2026-01-01}}", "2024-02-28"),
    ],
)
def test_a_date_is_calculated(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{run.scheduled_at - 1h}}", "2026-03-28T22:30:00Z"),
        ("{{run.scheduled_at + 90m}}", "2026-03-29T01:00:00Z"),
        ("{{run.scheduled_at + 1d}}", "2026-03-29T22:30:00Z"),  # 00:30 again, after a day of 23 hours
        ("{{run.scheduled_at + 24h}}", "2026-03-29T23:30:00Z"),
        ("{{run.scheduled_at / d}}", "2026-03-28T23:00:00Z"),
        ("{{run.scheduled_at / d + 1d}}", "2026-03-29T22:00:00Z"),
        ("{{run.scheduled_at / h}}", "2026-03-28T23:00:00Z"),
        ("{{run.scheduled_at / mo}}", "2026-02-28T23:00:00Z"),
        ("{{run.started_at / m}}", "2026-10-24T22:30:00Z"),
        ("{{run.started_at + 1d / d}}", "2026-10-25T23:00:00Z"),
        ("{{params.at - 1d}}", "2026-03-27T22:15:30+01:00"),
        ("{{params.at - 1h}}", "2026-03-28T21:15:30+01:00"),
        ("{{params.zulu / h}}", "2026-03-28T22:00:00Z"),
        ("{{params.naive + 2h}}", "2026-03-29T00:15:30"),
        ("{{params.naive / d}}", "2026-03-28T00:00:00"),
    ],
)
def test_days_of_an_instant_are_those_of_the_zone_and_hours_are_elapsed_time(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{run.date | format: %Y%m%d}}", "20260331"),
        ("{{run.date|format:%d.%m.%y}}", "31.03.26"),
        ("{{ run.date - 1d | format: %Y/%m/%d }}", "2026/03/30"),
        ("{{today | format: %j}}", "090"),
        ("{{params.day | format: %G-W%V-%u}}", "2024-W09-4"),
        ("{{run.date | format: %A %a, %B %b}}", "Tuesday Tue, March Mar"),
        ("{{run.date | format: 100%% of %Y}}", "100% of 2026"),
        ("{{run.scheduled_at | format: %Y-%m-%d %H:%M:%S}}", "2026-03-29 00:30:00"),
        ("{{run.scheduled_at + 2h | format: %H:%M}}", "03:30"),
        ("{{params.at | format: %H:%M}}", "22:15"),
        ("out_{{run.date - 1mo | format: %Y-%m}}.csv", "out_2026-02.csv"),
    ],
)
def test_a_date_is_written_by_a_format(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{params.word - 1d}}", "{{params.word - 1d}} ('soon') is no date"),
        ("{{params.number - 1d}}", "{{params.number - 1d}} (7) is no date"),
        ("{{params.word | format: %Y}}", "{{params.word | format: %Y}} ('soon') is no date"),
        ("{{params.api_token - 1d}}", "{{params.api_token - 1d}} is no date"),
        (
            "{{params.day - 1h}}",
            (
                "{{params.day - 1h}} ('2024-02-29') cannot be calculated: "
                "a date has no time of day, so 'h' is no unit for it"
            ),
        ),
        (
            "{{params.day | format: %H}}",
            (
                "{{params.day | format: %H}} ('2024-02-29') cannot be calculated: "
                "a date has no time of day for %H"
            ),
        ),
        (
            "{{params.last + 1d}}",
            "{{params.last + 1d}} ('9999-12-31'): the result of + 1d is outside of the calendar",
        ),
        (
            "{{params.last + 1mo}}",
            "{{params.last + 1mo}} ('9999-12-31'): the result of + 1mo is outside of the calendar",
        ),
        (
            "{{params.day - 9999y}}",
            "{{params.day - 9999y}} ('2024-02-29'): the result of - 9999y is outside of the calendar",
        ),
    ],
)
def test_what_is_no_date_is_an_error_that_shows_the_value(text: str, said: str) -> None:
    with pytest.raises(DateError) as caught:
        render(text)
    assert (caught.value.code, caught.value.message) == ("AF565", said)
    assert caught.value.hint


HINTS = {
    "{{run.date+1d}}": "{{run.date + 1d}}",
    "{{run.date + 1x}}": "units: m (minutes), h (hours), d (days), w (weeks), mo (months) or y (years)",
    "{{run.date - 1days}}": "units: m (minutes)",
    "{{a | upper}}": "the only pipe is the format of a date: {{run.date | format: %Y%m%d}}",
    "{{ a | default('x') }}": "a default is written {{a:x}}",
    "{{a:b | format: %Y}}": "a format and a default do not go together; the format comes last",
    "{{a | format: %Q}}": "a format has these: %Y year",
    "{{a | format: %}}": "a format has these: %Y year",
    "{{a | format: YYYY}}": "a format has these: %Y year",
    "{{a | format: '%Y'}}": "write %Y",
    "{{a | format: }}": "a format has these: %Y year",
}


@pytest.mark.parametrize("text", HINTS)
def test_a_hint_shows_what_to_write(text: str) -> None:
    _, problems = compile_template(text)
    assert len(problems) == 1
    assert HINTS[text] in problems[0].hint


@pytest.mark.parametrize(
    "text",
    [
        "{{.Names}}",
        "docker ps --format '{{.Names}} {{ .ID }}'",
        "{{range .Items}}{{.x}}",
        '{{ index .Config "a" }}',
        "{{ `raw` }} {{ 'x' }",
        "a }} b",
        "{% if x %}",
        "{{#each x}}",
        "{{ f(`a`, 'b') }}",
        "{{ f(`a`, 'b', \"c\") }}",
    ],
)
def test_the_hint_for_foreign_braces_gives_them_as_they_are(text: str) -> None:
    """Each hint is followed at its place until nothing is wrong; the result is the text itself."""
    written = text
    for _ in range(10):
        template, problems = compile_template(written)
        if not problems:
            break
        found = problems[0]
        literal = found.hint.rpartition("write ")[2]
        meant = literal[3:-3]
        assert written[found.offset :].startswith(meant)
        written = written[: found.offset] + literal + written[found.offset + len(meant) :]
    assert problems == []
    if "`raw`" not in text:  # a text in quotes is a template already
        assert template.render({}) == text


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{`{{.Names}}`}}", "{{.Names}}"),
        ("{{'{{.Names}}'}}", "{{.Names}}"),
        ('{{ "{{.Names}}" }}', "{{.Names}}"),
        ("{{`{{`}}x{{`}}`}}", "{{x}}"),
        ("{{`{{a}} {{b}}`}} {{today}}", "{{a}} {{b}} 2026-03-31"),
        ("{{ '{{' }}.Names{{ '}}' }}", "{{.Names}}"),
        ("{{``}}", ""),
        ('{{"it\'s"}}', "it's"),
        ("{{`{% raw %}`}}", "{% raw %}"),
        ("{{`two\nlines`}}", "two\nlines"),
        ("{{`{{today}}`}}", "{{today}}"),
    ],
)
def test_a_text_in_quotes_is_itself_and_is_never_scanned(text: str, result: str) -> None:
    assert render(text) == result
    assert render({"k": [text]}) == {"k": [result]}


DAYS = st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 1, 1))


@examples(60)
@given(DAYS, st.integers(0, 999), st.sampled_from(["d", "w"]))
def test_days_and_weeks_are_those_of_the_calendar(day: date, amount: int, unit: str) -> None:
    template, _ = compile_template(f"{{{{d - {amount}{unit}}}}}")
    expected = day - timedelta(days=amount * (7 if unit == "w" else 1))
    assert template.render({"d": day.isoformat()}) == expected.isoformat()


@examples(60)
@given(DAYS, st.integers(0, 999))
def test_months_stay_in_their_month(day: date, amount: int) -> None:
    template, _ = compile_template(f"{{{{d + {amount}mo}}}}")
    result = date.fromisoformat(template.render({"d": day.isoformat()}))
    months = (result.year - day.year) * 12 + result.month - day.month
    assert months == amount
    assert result.day == day.day or (result + timedelta(days=1)).day == 1


@examples(60)
@given(st.text(max_size=30))
def test_no_text_makes_another_error_than_that_it_is_no_date(text: str) -> None:
    assert date_of(text) is None or text[:2].isdigit()
