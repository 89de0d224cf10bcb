"""Find secrets beside their names: `?token=X`, `password = 'X'`, `"api_key": "X"`, `Authorization: Bearer X`.

These are the forms of queries, DSNs, ODBC strings, dotenv files, JSON, YAML, headers and options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aetherflow.redaction.found import Form, Found, looks_like_a_token
from aetherflow.redaction.names import counts, names_a_secret, words

_NAME = re.compile(r"[A-Za-z_][\w.\-]{0,200}+")
_PAIR = re.compile(
    r"(?P<name>[A-Za-z_][\w.\-]{0,200}+)(?P<close>\\*[\"'])?(?P<sep>[ \t]*(?:=>?(?!=)|:(?![:/]))[ \t]*)"
    r"(?:[bBrRuU]{1,2}(?=[\"']))?"
    r"(?P<rest>"
    r"\\{1,8}\"(?P<escaped>(?:(?!\\{1,8}\")[^\n])*)\\{1,8}\""
    r"|\"(?P<double>(?:[^\"\\\n]|\\.)*)\""
    r"|\\{1,8}'(?P<escaped_single>(?:(?!\\{1,8}')[^\n])*)\\{1,8}'"
    r"|'(?P<single>[^'\\\n]*(?:(?:\\.|'')[^'\\\n]*)*)'"
    r"|\\*[\"'](?P<cut>[^\s\"'\\]+)"
    r"|\{(?P<braced>[^{}\n]+)\}"
    r"|(?P<plain>[^\s&;\"'<>|]{1,1024}+))"
)
"""No repetition reads on past the place where the next pair begins, or else it is bounded: the time must not
grow with the square of the length of a line."""
_QUOTED = ("escaped", "double", "escaped_single", "single", "cut")
_DELIMITER = re.compile(r"[\s&;\"'<>|]|$")
_END_IN_A_URL = re.compile(r"[\s&;\"'<>|#]")
_BEFORE_A_QUERY = ("?", "&", "#")
_IN_A_QUERY = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature", "pwd", "auth", "sas"})
_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_HEADER = re.compile(
    r"[\\\"']*(?P<scheme>[A-Za-z][\w\-]*[ \t]+(?=[^\s\"']))?(?P<value>[^\r\n\"']{0,8192}[^\s\"'\\])"
)
_ODBC_VALUE = re.compile(r"[^;\n\"'{}]*[^;\s\"'{}]")
_PLACEHOLDER = re.compile(
    r"\$[A-Z_][A-Z0-9_]*|\$[({].*|%[A-Z_][A-Z0-9_]*%|\{\{.*|\{\w*\}?|%\(?\w*\)?[sdr]|<.*|\*+|\.\.\.|:\w+|\?|[=!~].*"
    r"|(?:env|file|command|keyring):.*"
)
_NOTHING = words(
    "true false yes no on off none null nil undefined ok changed unchanged updated refreshed expired valid"
    " invalid granted denied allowed forbidden accepted rejected required optional missing present absent"
    " set unset empty default found failed succeeded success enabled disabled loaded unknown string str text"
    " integer boolean"
)
"""Values, and words after a name, that say something about a secret."""
_HIDDEN = re.compile(r"[x.\-]+|\[?(?:redacted|hidden|masked|filtered)\]?", re.IGNORECASE)
"""What others write in the place of a secret."""
_ELEMENT = re.compile(
    r"<(?P<name>[A-Za-z_][\w.\-]{0,80})(?:[ \t][^<>\n]{0,200})?>"
    r"[ \t]*+(?P<value>[^<>\n]*[^<>\s])[ \t]*</(?P=name)>"
)
_SHORTEST = 3
_AROUND = 200
_CODE = re.compile(r"[()\[\]]")
_NO_WORD = re.compile(r"[ \t]{0,200}(?:$|[,;\"'&)}\]\r])", re.MULTILINE)
_COMPOUND = re.compile(r"[_\-.]|[a-z][A-Z]")
_MIXED = re.compile(r"(?=.*\d)(?=.*[^\W\d]).{6,}")


def in_pair(text: str, start: int) -> Iterator[Found]:
    """Find the value of the name that begins at a place of a text, if that name is one of a secret."""
    name, before = _NAME.match(text, start), text[start - 1 : start]
    if name is None or not _may_name_one(before, name[0]):
        return
    match = _PAIR.match(text, start)
    if match is None or text.endswith(("{{", "{{ "), 0, start):  # a template, which holds no value
        return
    if match["name"].lower() in _HEADERS:
        yield from _header(text, match)
    elif _names_one(before, match) and (found := _value(text, match, before)):
        yield found


def in_elements(text: str) -> Iterator[Found]:
    """Find the content of XML elements that are named like secrets: `<password>X</password>`."""
    if "</" in text:
        for match in _ELEMENT.finditer(text):
            value, name = match["value"], match["name"]
            if names_a_secret(name) and len(value) >= _SHORTEST and not _says_nothing(name, value):
                yield Found(*match.span("value"), "word", not _CODE.search(value))


def _may_name_one(before: str, name: str) -> bool:
    """Whether a name is one of a secret, at least beside some values: cheaper to decide than the value."""
    lowered = name.lower()
    is_of_query = before in _BEFORE_A_QUERY and (lowered == "key" or lowered in _IN_A_QUERY)
    return is_of_query or lowered == "pwd" or lowered in _HEADERS or names_a_secret(name)


def _names_one(before: str, match: re.Match[str]) -> bool:
    """Whether the name is one of a secret, here: after `?` and `;` more are than elsewhere."""
    if names_a_secret(match["name"]):
        return True
    name = match["name"].lower()
    if before in _BEFORE_A_QUERY:
        return name in _IN_A_QUERY or (name == "key" and looks_like_a_token(match["plain"] or ""))
    if name == "pwd":  # of ODBC; alone it is the working directory
        return before == ";" or not match["rest"].startswith(("/", "~", "\\"))
    return False


def _value(text: str, match: re.Match[str], before: str) -> Found | None:
    """Return the value beside a name, unless it is a placeholder, or prose."""
    kind = next(kind for kind in (*_QUOTED, "braced", "plain") if match[kind] is not None)
    start, end = match.span(kind)
    is_long = kind == "plain" and _DELIMITER.match(text, end) is None
    if kind == "plain" and not is_long:
        end = _trimmed(text, start, end)
    is_prose_like = ":" in match["sep"] and kind == "plain" and not match["close"]
    form: Form = "quoted" if kind in _QUOTED else "word"
    if kind == "plain" and before in _BEFORE_A_QUERY:
        form, end = "url", start + len(text[start:end].partition("#")[0])
    elif kind == "plain" and not is_prose_like and ";" in (before, text[end : end + 1]):
        of_odbc = _ODBC_VALUE.match(text, start)
        end = of_odbc.end() if of_odbc else end
    value = text[start:end]
    is_template = kind == "braced" and ":" in match["sep"]  # `password: {secret: ...}`
    if len(value) < _SHORTEST or is_template or _says_nothing(match["name"], value):
        return None
    is_certain = not _CODE.search(value)
    if is_prose_like and match["name"] == "PASS":  # of a test
        return None
    if is_prose_like and not is_long and "-" not in match["name"] and not _MIXED.fullmatch(value):
        is_certain = is_certain and _COMPOUND.search(match["name"]) is not None
        if not (_ends_there if is_certain else _is_alone)(text, match.start(), end):
            return None
    if is_long and end == match.end(kind):
        delimiter = (_END_IN_A_URL if form == "url" else _DELIMITER).search(text, end)
        end = _trimmed(text, start, delimiter.start() if delimiter else len(text))
    return Found(start, end, form, is_certain)


def _trimmed(text: str, start: int, end: int) -> int:
    """Return where a value without quotes ends, without the marks that belong to the text around it."""
    return start + max(len(text[start:end].rstrip(",.)]}\\")), 1)


def _says_nothing(name: str, value: str) -> bool:
    """Whether a value is no secret: a placeholder, a word about one, the name itself, or a count."""
    word = value.lower()
    if word in _NOTHING or _PLACEHOLDER.fullmatch(value) or _HIDDEN.fullmatch(value):
        return True
    is_itself = re.split(r"[.@]", word)[-1] == name.lower().rpartition(".")[2]  # `self.token = token`
    return is_itself or (value.isdecimal() and counts(name))


def _ends_there(text: str, _: int, end: int) -> bool:
    """Whether no other word follows on the line: a sentence that begins with a name is no secret."""
    return _NO_WORD.match(text, end) is not None


def _is_alone(text: str, start: int, end: int) -> bool:
    """Whether a name and its value, from `start` to `end`, are all of their line."""
    before = text[max(start - _AROUND, 0) : start].rpartition("\n")[2]
    after = text[end : end + _AROUND].partition("\n")[0]
    is_cut = _AROUND in (len(before), len(after))
    return not is_cut and not before.strip(" \t-\"'") and not after.strip(" \t\r\"',")


def _header(text: str, match: re.Match[str]) -> Iterator[Found]:
    """Yield the credentials of a header: all up to the end of the line or the quotes around it."""
    name, of_header = match["name"].lower(), _HEADER.match(text, match.start("rest"))
    if of_header is None or _PLACEHOLDER.fullmatch(of_header["value"]):
        return
    if (of_header["scheme"] or of_header["value"]).strip().lower() in _NOTHING:  # `Authorization: granted`
        return
    if name.endswith("cookie"):
        yield Found(of_header.start("scheme" if of_header["scheme"] else "value"), of_header.end(), "cookie")
        return
    is_basic = (of_header["scheme"] or "").strip().lower() == "basic"
    yield Found(*of_header.span("value"), "basic" if is_basic else "word")
