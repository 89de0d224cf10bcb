from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.config.dotenv import parse_dotenv
from aetherflow.errors import ConfigError

KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,12}", fullmatch=True).filter(lambda key: key != "export")
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("", {}),
        ("\n\n# only a comment", {}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("  export A = 1  ", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A= # nothing but a comment", {"A": ""}),
        ("A=#fff", {"A": "#fff"}),
        ("A=a b # why", {"A": "a b"}),
        ("A=a#b", {"A": "a#b"}),
        ("A=x=y", {"A": "x=y"}),
        ("A='${HOME}' \nB={} and {{x}}", {"A": "${HOME}", "B": "{} and {{x}}"}),
        ("A=first\nA=second", {"A": "second"}),
        ('A="a # b" # c', {"A": "a # b"}),
        ('A=""', {"A": ""}),
        ("A=''", {"A": ""}),
        (r'A="\n\t\r\"\\\$"', {"A": '\n\t\r"\\$'}),
        (r'A="\d \x"', {"A": r"\d \x"}),
        ('A="one\ntwo # not a comment\n"\nB=3', {"A": "one\ntwo # not a comment\n", "B": "3"}),
        (r"A='\n stays $X'", {"A": r"\n stays $X"}),
        (r"A='it\'s'", {"A": "it's"}),
        (r"A='\\host\share'", {"A": r"\\host\share"}),
        (r"A='C:\dir\'", {"A": "C:\\dir\\"}),
        ("A='C:\\dir\\'\nB='x'", {"A": "C:\\dir\\", "B": "x"}),
        (
            "A='-----BEGIN\na+b/c=\n # no comment\n' # why\nB='x'",
            {"A": "-----BEGIN\na+b/c=\n # no comment\n", "B": "x"},
        ),
        ("A='it\\'s\nmine'", {"A": "it's\nmine"}),
        ("A=it's", {"A": "it's"}),
        ("A=ü\u2028ü", {"A": "ü\u2028ü"}),
    ],
)
def test_a_text_is_read_as_its_author_meant_it(text: str, expected: dict[str, str]) -> None:
    assert parse_dotenv(text, ".env") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nhunter2hunter2", ".env:2:1: this line is not KEY=VALUE"),
        ("\n# c\n1A=hunter2", ".env:3:1: this line is not KEY=VALUE"),
        ("export A", ".env:1:1: this line is not KEY=VALUE"),
        ('A=1\nPW="hunter2\nB=2', ".env:2:4: the quote that opens the value of PW is not closed"),
        ("PW='hunter2\nB='2'", ".env:1:4: the quote that opens the value of PW is not closed"),
        ('PW="a"hunter2', ".env:1:7: there is text after the closing quote of PW"),
        ("A='1\n2'\nPW='a'hunter2\nB='2'", ".env:3:7: there is text after the closing quote of PW"),
        ('A=1\nPW="a\nb" hunter2"', ".env:3:4: there is text after the closing quote of PW"),
    ],
)
def test_a_malformed_line_is_named_and_not_shown(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_dotenv(text, ".env")
    assert raised.value.message == expected
    assert raised.value.code == "AF503"
    assert raised.value.hint
    assert "hunter2" not in raised.value.message + raised.value.hint


@given(variables=st.dictionaries(KEYS, VALUES, max_size=5), export=st.booleans())
def test_double_quoted_values_come_back_whatever_they_hold(
    variables: dict[str, str], *, export: bool
) -> None:
    lines = []
    for key, value in variables.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("$", "\\$")
        lines.append(f'{"export " * export}{key}="{escaped}" # {key}\n')
    assert parse_dotenv("".join(lines), ".env") == variables


@given(st.dictionaries(KEYS, VALUES.filter(lambda value: not set(value) & set("\r\n'")), max_size=5))
def test_single_quoted_values_come_back_unchanged(variables: dict[str, str]) -> None:
    text = "\n".join(f"{key}='{value}'" for key, value in variables.items())
    assert parse_dotenv(text, ".env") == variables


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    try:
        parse_dotenv(text, ".env")
    except ConfigError as error:
        line, column = map(int, error.message.split(":")[1:3])
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
