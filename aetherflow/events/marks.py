"""High-water marks: exact values that a step leaves for the next run of its flow. May import `errors` only.

A mark says up to where a step has read, such as the newest time or the highest id of a table. It is stored
as text beside its type, so that it is exact whatever the database makes of numbers and times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Self, get_args

import msgspec

from aetherflow.errors import StepError

MarkType = Literal["int", "decimal", "float", "text", "date", "datetime", "binary"]
MarkValue = int | Decimal | float | str | date | datetime | bytes

MARK_TYPES: tuple[MarkType, ...] = get_args(MarkType)
_READERS: Mapping[MarkType, Callable[[str], MarkValue]] = {
    "int": int,
    "decimal": Decimal,
    "float": float,
    "text": str,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "binary": bytes.fromhex,
}


class Mark(msgspec.Struct, frozen=True, gc=False):
    """One high-water mark: the type of its value, and the value exactly, as text.

    Attributes:
        type: the type of the value.
        text: the value.
    """

    type: MarkType
    text: str

    @classmethod
    def of(cls, value: object) -> Self:
        """Return the mark with this value.

        Raises:
            StepError: no mark can have such a value.
        """
        match value:
            case bool():
                pass
            case str():
                return cls("text", value)
            case int():
                return cls("int", str(int(value)))
            case Decimal() if value.is_finite():
                return cls("decimal", str(value))
            case float() if math.isfinite(value):
                return cls("float", repr(float(value)))
            case bytes() | bytearray():
                return cls("binary", value.hex())
            case datetime():
                return cls("datetime", value.isoformat())
            case date():
                return cls("date", value.isoformat())
        raise StepError(
            f"a mark cannot be {value!r} ({type(value).__name__})"[:300],
            hint="a mark is a whole number, a decimal, a finite float, a text, a date, a datetime or bytes",
            code="AF990",
        )

    @classmethod
    def read(cls, type_: MarkType, text: str) -> Self:
        """Return the mark of this type that a person has written.

        Raises:
            StepError: the text is no such value.
        """
        try:
            return cls.of(_READERS[type_](text.strip() if type_ != "text" else text))
        except (ValueError, InvalidOperation):
            raise StepError(f"{text!r} is no {type_}", hint=_WRITTEN[type_], code="AF990") from None

    @property
    def value(self) -> MarkValue:
        """The value, of its Python type."""
        return _READERS[self.type](self.text)

    def is_above(self, other: Mark) -> bool:
        """Whether the mark is above another: numbers by value, texts by code points, times by instant.

        Raises:
            StepError: the two cannot be compared, such as a number and a text.
        """
        mine: Any = self.value
        theirs: Any = other.value
        # A datetime is a date for Python, but the two do not compare.
        if "date" not in {self.type, other.type} or self.type == other.type:
            try:
                return bool(mine > theirs)
            except TypeError:
                pass
        raise StepError(
            f"the marks {self} ({self.type}) and {other} ({other.type}) cannot be compared",
            hint="the column has another type now, or one of two times has no offset; set the mark to a "
            "value of the new type: aetherflow state set NAME VALUE --type TYPE --flow FLOW",
            code="AF992",
        )

    def fits(self, other: Mark) -> bool:
        """Whether the mark can be compared with another one."""
        try:
            self.is_above(other)
        except StepError:
            return False
        return True

    @property
    def shown(self) -> str:
        """The value for a line of output: an empty text is seen."""
        return self.text or "''"

    def __str__(self) -> str:
        return self.text


_WRITTEN: Mapping[MarkType, str] = {
    "int": "write a whole number: 1200",
    "decimal": "write a number: 12.50",
    "float": "write a finite number: 12.5",
    "text": "write any text",
    "binary": "write hexadecimal digits: 00000000000007d1",
    "date": "write a date: 2026-01-31",
    "datetime": "write a date and a time: 2026-01-31T06:30:00, with an offset if the column has one: +00:00",
}


class MarkUse(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How a step used a mark.

    Attributes:
        before: what it read; None: there was no mark.
        after: what it moved the mark to; None: it did not move it.
        set_count: how often people had set the mark when the step read it.
    """

    before: Mark | None = None
    after: Mark | None = None
    set_count: int = 0

    def __str__(self) -> str:
        start = "none" if self.before is None else self.before.shown
        return f"{start}, not moved" if self.after is None else f"{start} -> {self.after.shown}"
