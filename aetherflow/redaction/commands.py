"""Find secrets in the words of a command: `--password X`, `curl -u user:X`, `mysql -pX`, `sshpass -p X`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from aetherflow.redaction.found import Found
from aetherflow.redaction.names import names_a_secret, words

_UNQUOTED = re.compile(r"'(?P<single>[^'\n]*)'|(?P<plain>[^\s'\"|;&<>`]+)|[|;&\n]+")
_WORD = re.compile(rf"\"(?P<double>(?:[^\"\\\n]|\\.)*+)(?:\"|(?P<open>))|{_UNQUOTED.pattern}")
_OPTION = re.compile(r"--?[A-Za-z][\w\-]*")
_PROSE = words(
    "a an and or the to is are was be of in on for from with without instead option options flag flags"
    " argument arguments value values if not must requires may can has have when then"
)
_PLACEHOLDER = re.compile(r"\$.*|\{\{.*|\{\w*\}|<.*|%\(?\w*\)?s|[A-Z_]+|\*+|-.*")

_NEXT = {
    "sshpass": ("-p",),
    "redis-cli": ("-a",),
    **dict.fromkeys(("ldapsearch", "ldapadd", "ldapmodify", "ldapwhoami"), ("-w",)),
    **dict.fromkeys(("sqlcmd", "bcp", "zip", "unzip"), ("-P",)),
    "openssl": ("-k", "-K"),
    "docker login": ("-p",),  # of `docker run` it is a port
}
"""Programs, and their options whose next word is a secret."""

_ATTACHED = dict.fromkeys(
    words("mysql mysqldump mysqladmin mysqlimport mariadb mariadb-dump mariadb-admin sshpass 7z 7za 7zz"),
    "-p",
)
"""Programs whose `-pX` is a password."""

_USER_OPTIONS = {"curl": ("-u", "--user", "-U", "--proxy-user"), "smbclient": ("-U", "--user")}
"""Programs, and their options whose next word is `user:password` (`user%password`)."""

_LOGINS = words("docker podman")
_PASS_SOURCES = {"openssl": ("-passin", "-passout", "-pass")}
"""Programs, and their options whose next word is `pass:password`, or where to read it."""

_PROGRAMS = frozenset({*_NEXT, *_ATTACHED, *_USER_OPTIONS, *_LOGINS, *_PASS_SOURCES})
_USER_PASSWORD = re.compile(r"[^:%\s]+[:%](?P<password>.+)", re.DOTALL)


def in_words(words: Sequence[str]) -> Iterator[tuple[int, Found]]:
    """Find the secrets in the words of a command; the number is that of the word."""
    program, option = "", ""
    for number, word in enumerate(words):
        if not word.strip("|;&\n"):
            program, option = "", ""
            continue
        name = word.rpartition("/")[2]
        if name in _PROGRAMS:
            program = name
        elif word == "login" and program in _LOGINS:
            program = "docker login"
        found = _after(option, program, word) or _attached(program, word)
        if found is not None:
            yield number, found
        option = word if _OPTION.fullmatch(word) else ""


def in_list(values: Sequence[Any]) -> Iterator[tuple[int, Found]]:
    """Find the secrets in a list of any values, if it is a command: all forms need an option."""
    if any(isinstance(value, str) and value[:1] == "-" for value in values):
        yield from in_words([value if isinstance(value, str) else "" for value in values])


def in_command(line: str) -> Iterator[Found]:
    """Find the secrets in a line that is a command, or has one."""
    matches = list(_split(line))
    groups = [match.lastgroup for match in matches]
    words = [match[group] if group else match[0] for match, group in zip(matches, groups, strict=True)]
    for number, found in in_words(words):
        match, group = matches[number], groups[number]
        start = match.start(group) if group else match.start()
        yield found._replace(start=start + found.start, end=start + found.end)


def _split(line: str) -> Iterator[re.Match[str]]:
    """Yield the words of a line; after a quote that is never closed, no other closes either."""
    for match in _WORD.finditer(line):
        if match.lastgroup == "open":
            yield from _UNQUOTED.finditer(line, match.start("double"))
        else:
            yield match


def _after(option: str, program: str, word: str) -> Found | None:
    """Return the secret in the word after an option."""
    if not option or not word:
        return None
    if option in _USER_OPTIONS.get(program, ()):
        return _user_password(word, 0)
    if option in _PASS_SOURCES.get(program, ()):
        is_written = word.startswith("pass:") and not _PLACEHOLDER.fullmatch(word, len("pass:"))
        return Found(len("pass:"), len(word)) if is_written else None
    is_named = names_a_secret(option.lstrip("-"))
    if not is_named and option not in _NEXT.get(program, ()):
        return None
    if _PLACEHOLDER.fullmatch(word) or word.lower().strip(".,:;)") in _PROSE:
        return None
    return Found(0, len(word))


def _attached(program: str, word: str) -> Found | None:
    """Return the secret that is attached to an option."""
    for user_option in _USER_OPTIONS.get(program, ()):
        prefix = f"{user_option}=" if user_option.startswith("--") else user_option
        if word.startswith(prefix):
            return _user_password(word, len(prefix))
    option = _ATTACHED.get(program, "")
    value = word.removeprefix(option)
    if not option or not value or value == word or _PLACEHOLDER.fullmatch(value):
        return None
    return Found(len(option), len(word))


def _user_password(word: str, start: int) -> Found | None:
    """Return the password in `user:password`, which begins at a place of a word."""
    match = _USER_PASSWORD.fullmatch(word, start)
    is_written = match is not None and not _PLACEHOLDER.fullmatch(match["password"])
    return Found(*match.span("password")) if match is not None and is_written else None
