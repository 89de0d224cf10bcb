"""Render the text of a file with the templates of flows, for steps that take a template file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aetherflow.language.reference import MissingValue
from aetherflow.language.template import compile_template
from aetherflow.language.template_error import TemplateError


def render_template(text: str, values: Mapping[str, Any], *, file: str) -> str:
    """Return a text with each `{{NAME}}` replaced by its value, by the rules of flows.

    A value that is missing is an error, unless `{{NAME:DEFAULT}}` has a default. A mapping or list becomes
    JSON. Values are neither escaped nor rendered again.

    Args:
        text: the whole text.
        values: what the names mean; `{{report.rows}}` looks into a mapping.
        file: where the text comes from, for messages.

    Raises:
        AetherFlowError: the text has a mistake, or a value is missing; the message has its line. It is final.
    """
    template, problems = compile_template(text)
    if problems:
        first = problems[0]
        place = _place(file, text, first.offset)
        raise TemplateError(f"{place}: {first.message}", hint=first.hint, code=first.code)
    try:
        return template.render_text(values)
    except MissingValue as error:
        place = _place(file, text, error.reference.offset)
        raise TemplateError(f"{place}: {error.message}", hint=error.hint, code=error.code) from error
    except TemplateError as error:  # a value is no date; its message names the token
        raise TemplateError(f"{file}: {error.message}", hint=error.hint, code=error.code) from error


def _place(file: str, text: str, offset: int) -> str:
    """Return file, line and column, as diagnostics have them."""
    before = text[:offset]
    return f"{file}:{before.count(chr(10)) + 1}:{offset - before.rfind(chr(10))}"
