"""Convert one value of a run parameter to its declared type, and check it against the declaration."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.config.param_pattern import MAX_TEXT, matches, pattern_problem
from aetherflow.config.settings import TRUTH
from aetherflow.errors import ConfigError
from aetherflow.language.dates import TIGHT_STEP, Calculation, DateError, calculated, parse_steps
from aetherflow.redaction import names_a_secret
from aetherflow.spec.duration import ACCEPTED, duration_text, parse_duration
from aetherflow.spec.flow import TEN_YEARS, ParamSpec, ParamType
from aetherflow.spec.yaml_scalars import scalar_value
from aetherflow.written_path import written_path

COUNTED: dict[ParamType, str] = {"string": "character", "path": "character", "list": "item"}
"""The types whose length `min` and `max` limit, and what it counts."""

_RELATIVE = re.compile(rf"(?P<day>today|yesterday|tomorrow)(?P<steps>(?:\s*{TIGHT_STEP})*)")
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}


class Reading(msgspec.Struct, frozen=True):
    """What the values of a run are read with.

    Attributes:
        today: the date of the run, for `yesterday` and the like.
        folder: where a relative path that was given starts; None: the working directory.
        flow_folder: where one in the flow file starts.
    """

    today: date
    folder: Path | None = None
    flow_folder: Path | None = None

    def of_flow(self) -> Reading:
        """Return how the values are read that the flow file has."""
        return msgspec.structs.replace(self, folder=self.flow_folder)


class UnfitValue(ValueError):
    """A value is not what its parameter is declared as.

    Attributes:
        wanted: what it must be; the message also says what it is, if that is short.
    """

    def __init__(self, wanted: str, shown: str = "") -> None:
        super().__init__(f"{wanted}, not {shown}" if shown else wanted)
        self.wanted = wanted


def described(name: str, error: UnfitValue) -> str:
    """Return what a parameter must be, and what it is unless it is named like a secret."""
    return error.wanted if names_a_secret(name) else str(error)


def convert(spec: ParamSpec, value: Any, reading: Reading | None = None) -> Any:
    """Return the value as the declared type; without a `reading`, a relative path stays as it is.

    Raises:
        UnfitValue: it has another type, or the declaration forbids it; the message says what is needed.
    """
    converted = typed(spec.type, value, reading)
    try:
        msgspec.json.encode(converted)  # stored as UTF-8: other text would come back changed
    except UnicodeEncodeError:
        raise UnfitValue("text in UTF-8", repr(value)) from None
    if spec.enum:
        converted = _chosen(spec, converted, value, reading)
    if spec.pattern is not None:
        _check_pattern(spec.pattern, converted)
    check_bounds(spec, converted, repr(value), reading)
    return converted


def typed(kind: ParamType, value: Any, reading: Reading | None = None) -> Any:
    """Return the value as a type, whatever else the declaration says.

    Raises:
        UnfitValue: it has another type.
    """
    return _CONVERSIONS[kind](value, reading)


def check_bounds(spec: ParamSpec, value: Any, shown: str, reading: Reading | None = None) -> None:
    """Check a converted value against `min` and `max`.

    Raises:
        UnfitValue: it is less or more.
    """
    bounds: tuple[tuple[Any, str, Callable[[Any, Any], bool]], ...] = (
        (spec.min, "at least", operator.lt),
        (spec.max, "at most", operator.gt),
    )
    for bound, words, is_beyond in bounds:
        if bound is None:
            continue
        limit = bound_of(spec.type, bound, reading)
        try:
            beyond = is_beyond(measure(spec.type, value), measure_of_bound(spec.type, limit))
        except TypeError:
            raise UnfitValue("a time with an offset if its limits have one, else without", shown) from None
        if beyond:
            raise UnfitValue(f"{words} {_limit_text(spec.type, limit)}", shown)


def bound_of(kind: ParamType, bound: Any, reading: Reading | None = None) -> Any:
    """Return `min` or `max` as the type that it limits, or as a length.

    Raises:
        UnfitValue: it is none.
    """
    if kind not in COUNTED:
        return typed(kind, bound, reading)
    length = typed("int", bound)
    if length < 0:
        raise UnfitValue("a length, which is 0 or more", repr(bound))
    return length


def measure(kind: ParamType, value: Any) -> Any:
    """Return what the limits of a converted value are compared with."""
    return len(value) if kind in COUNTED else measure_of_bound(kind, value)


def measure_of_bound(kind: ParamType, value: Any) -> Any:
    """Return a converted limit as what has an order: dates and times are not compared as texts."""
    match kind:
        case "date":
            return date.fromisoformat(value)
        case "datetime":
            return datetime.fromisoformat(value)
        case _:
            return value


def _limit_text(kind: ParamType, limit: Any) -> str:
    if word := COUNTED.get(kind):
        return f"{limit} {word}" if limit == 1 else f"{limit} {word}s"
    return duration_text(limit) if kind == "duration" else str(limit)


def _chosen(spec: ParamSpec, converted: Any, value: Any, reading: Reading | None) -> Any:
    """Return the value if `enum` has it; each item of a list must be in it."""
    if spec.type == "list":
        for item in converted:
            if item not in map(text_of, spec.enum):
                raise UnfitValue(f"a list of {', '.join(map(text_of, spec.enum))}", repr(item))
        return converted
    of_flow = reading.of_flow() if reading else None
    for option in spec.enum:
        if text_of(option) == text_of(converted):  # the command line gives texts, the file may hold numbers
            return option if spec.type == "enum" else converted
        try:
            if typed(spec.type, option, of_flow) == converted:
                return converted
        except UnfitValue:
            continue  # `validate` reports the entry
    raise UnfitValue(f"one of {', '.join(map(text_of, spec.enum))}", repr(value))


def _check_pattern(pattern: str, converted: Any) -> None:
    if problem := pattern_problem(pattern):  # `validate` reports it with its place
        raise UnfitValue(f"given to a flow whose pattern {problem}")
    for text in converted if isinstance(converted, list) else [converted]:
        if len(text) > MAX_TEXT:
            raise UnfitValue(f"at most {MAX_TEXT} characters, as it has a pattern", f"{len(text)}")
        if not matches(pattern, text):
            raise UnfitValue(f"text that is {pattern} from its beginning to its end", repr(text))


def text_of(value: Any) -> str:
    """Return a value as text: texts as they are, all else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def list_of(value: Any) -> list[str]:
    """Return a list of texts, from a list, a text that is a JSON list, or a text with commas.

    Raises:
        UnfitValue: it is none of these, or an item is no text or number.
    """
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [item for part in value.split(",") if (item := part.strip())]
        value = _json(value, None)
    items = value if isinstance(value, Sequence) else [value]
    if None in items and value is not None:
        where = f"and item {list(items).index(None) + 1} is null"
        raise UnfitValue(f'a list of texts, {where}: put it in quotes, "~" or "null", or remove it')
    if any(item is None or not isinstance(item, str | int | float) for item in items):
        raise UnfitValue('a list such as a,b or ["a", "b"]', repr(value))
    return [text_of(item) for item in items]


def _scalar(text: str) -> Any:
    """Return what YAML reads a text as: a number such as 0x1F, which Python spells otherwise."""
    try:
        return scalar_value(text.strip())
    except ValueError:
        return text


def _whole(text: str) -> int:
    number = _scalar(text)
    return number if type(number) is int else int(text)


def _finite(text: str) -> float:
    number = _scalar(text)
    number = float(number if type(number) in (int, float) else text)
    if not math.isfinite(number):  # runs are stored as JSON, which has neither infinity nor NaN
        raise ValueError(text)
    return number


def _parsed(parse: Callable[[str], Any], wanted: str) -> Callable[[Any, Reading | None], Any]:
    """Return a conversion by way of the text of a value: `True` is no whole number here."""

    def convert_text(value: Any, _reading: Reading | None) -> Any:
        try:
            return parse(str(value))
        except (ValueError, KeyError):
            raise UnfitValue(wanted, repr(value)) from None

    return convert_text


def _json(value: Any, _reading: Reading | None) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        scalar = _scalar(value)  # a number or truth that a file spells otherwise than JSON: 007, True
        if isinstance(scalar, bool) or (isinstance(scalar, int | float) and math.isfinite(scalar)):
            return scalar
        raise UnfitValue(f"JSON ({error})") from None


def _date(value: Any, reading: Reading | None) -> str:
    text = str(value)
    if relative := _RELATIVE.fullmatch(text.strip()):
        today = reading.today if reading else datetime.now(UTC).date()
        steps = parse_steps(f"{_DAYS[relative['day']]:+}d{relative['steps']}")
        try:
            return calculated(Calculation(steps, "", relative["steps"]), today.isoformat(), "the date")
        except DateError as error:
            raise UnfitValue(f"a date: {error.message}") from None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UnfitValue("a date such as 2026-01-31, or today-1d", repr(value)) from None


def _duration(value: Any, _reading: Reading | None) -> float:
    try:
        seconds = parse_duration(value if isinstance(value, str) else repr(value))
    except ValueError:
        raise UnfitValue(f"a duration: {ACCEPTED}", repr(value)) from None
    if seconds > TEN_YEARS:
        raise UnfitValue("a duration of at most 3650d", repr(value))
    return int(seconds) if seconds == int(seconds) else seconds


def _path(value: Any, reading: Reading | None) -> str:
    if not isinstance(value, str) or not value:
        raise UnfitValue("a path", repr(value))
    if reading is None:
        return value
    try:
        return str(written_path(value, reading.folder))
    except ConfigError as error:
        raise UnfitValue(f"a path ({error.message}; {error.hint})") from None


_CONVERSIONS: dict[ParamType, Callable[[Any, Reading | None], Any]] = {
    "string": lambda value, _: text_of(value),
    "int": _parsed(_whole, "a whole number"),
    "float": _parsed(_finite, "a number"),
    "bool": _parsed(lambda text: TRUTH[text.lower()], "true or false"),
    "date": _date,
    "datetime": _parsed(
        lambda text: datetime.fromisoformat(text).isoformat(), "a time such as 2026-01-31T22:00:00+01:00"
    ),
    "duration": _duration,
    "path": _path,
    "list": lambda value, _: list_of(value),
    "json": _json,
    "enum": lambda value, _: value,
}
