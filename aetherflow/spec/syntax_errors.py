"""Explain why a text is no YAML: the parser's complaint in plain words, its place, and what to do."""

from __future__ import annotations

import re

import yaml

_PARTS = (
    ("flow sequence", "the list"),
    ("block collection", "the list"),
    ("mapping", "the mapping"),
    ("quoted", "the quoted text"),
)
_FIT = "check the indentation and the quotes of this line and the one above"
_QUOTE = "put the text in quotes"
_SAVE = "save the file as UTF-8"
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SYNTAX = (
    # what the parsers say (libyaml or the pure one), what we say, what to do
    ("tab character", "a tab cannot indent a line", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a key cannot be here",
        f"a text that holds ': ' needs quotes; or {_FIT}",
    ),
    (
        "sequence entries are not allowed",
        "a list item cannot be here",
        "begin the list on the line below its key",
    ),
    ("alphabetic or numeric", "'*' or '&' begins an alias, and no name follows", _QUOTE),
    ("unexpected end of stream", "a quote opens here and is never closed", "close it"),
    ("unexpected document", "a quoted text is not closed before the document ends", "close the quote"),
    (
        "',' or ']'",
        "a ',' or the closing ']' of a list is missing",
        f"{_QUOTE} if it holds brackets or commas",
    ),
    (
        "',' or '}'",
        "a ',' or the closing '}' of a mapping is missing",
        'a text that holds braces needs quotes, a template too: "{{...}}"',
    ),
    ("'-' indicator", "an item of the list above is expected here", _FIT),
    ("found '?'", "an item of the list above is expected here", _FIT),
    ("expected key", "this does not fit the mapping around it", _FIT),
    ("<block end>", "this does not fit the mapping around it", _FIT),
    (
        "expected ':'",
        "this line is no 'key: value'",
        "write a ': ' after the key, or indent a continued text",
    ),
    (
        "node content",
        "a value is expected here",
        "a text that begins with a bracket, brace or comma needs quotes",
    ),
    (
        "unknown escape",
        "this escape is not known in double quotes",
        "write \\\\ for a backslash, or use single quotes",
    ),
    ("Unicode character escape", "this escape is no character", "write the character itself"),
    ("chomping", "the text after '|' or '>' begins on the line below", "start a new line, indented"),
    (
        "comment or line break",
        "the text after '|' or '>' begins on the line below",
        "start a new line, indented",
    ),
    (
        "nesting depth",
        "mappings and lists are nested too deeply",
        "is a bracket not closed? otherwise flatten the data",
    ),
    ("tag handle", "this tag is not declared", "put a text that begins with '!' in quotes"),
    ("incompatible YAML", "only YAML 1.1 and 1.2 can be read", "remove the line that begins with %YAML"),
    ("<document start>", "text follows the end of the document", "remove the line '...' or what follows it"),
)


def explain_syntax(error: yaml.MarkedYAMLError, text: str) -> tuple[int, int, str, str]:
    """Return line, column, sentence and hint for the complaint of a YAML parser about a text."""
    problem = error.problem or error.context or "this is no YAML"
    place, began = error.problem_mark or error.context_mark, error.context_mark
    if place is None:
        return 1, 1, problem, ""
    message, hint = _advice(problem, text[place.index or 0 :][:1])
    if began is not None and "unexpected end of stream" in problem:
        place = began  # the end of the file helps nobody: the quote that opened does
    elif began is not None and began.line != place.line:
        part = next((words for said, words in _PARTS if said in (error.context or "")), "")
        message += f" ({part} begins on line {began.line + 1})" if part else ""
    return place.line + 1, place.column + 1, message, hint


def _advice(problem: str, found: str) -> tuple[str, str]:
    """Return a sentence and a hint; `found` is the character that the parser points at."""
    if "cannot start any token" in problem:
        if found == "\t":
            return "a tab cannot indent a line", "indent with spaces"
        return f"a text cannot begin with {found!r}", _QUOTE
    for said, message, hint in _SYNTAX:
        if said in problem:
            return message, hint
    return problem, "see yaml.org for the rules of YAML"


def explain_encoding(error: UnicodeError) -> tuple[int, int, str, str]:
    """Return line, column, sentence and hint for text that cannot be decoded, or encoded."""
    if isinstance(error, UnicodeEncodeError):
        line, column = _place_in(error.object, error.start)
        return line, column, "half of a surrogate pair is no character", "write the character itself"
    if not isinstance(error, UnicodeDecodeError):
        return 1, 1, str(error), _SAVE
    raw, start = error.object, error.start
    before = raw[:start].decode()
    is_utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    message = "this looks like UTF-16" if is_utf16 else f"the byte 0x{raw[start]:02x} is not UTF-8"
    return *_place_in(before, len(before)), message, _SAVE


def explain_control_character(error: yaml.reader.ReaderError, text: str) -> tuple[int, int, str, str]:
    """Return line, column, sentence and hint for the first character that YAML does not allow in a file."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return 1, 1, str(error.reason), _SAVE
    message = f"the control character U+{ord(found[0]):04X} is not allowed"
    hint = f'remove it, or write it as an escape in double quotes: "\\u{ord(found[0]):04x}"'
    return *_place_in(text, found.start()), message, hint


def _place_in(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
