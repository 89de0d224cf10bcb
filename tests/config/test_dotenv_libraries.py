"""What the documentation of dotenv libraries promises about a file, as a table: one row for each promise.

The columns are python-dotenv, dotenv and dotenv-expand of Node, dotenv of Ruby, and Docker Compose. Where
they contradict each other, the row says what is done here; what none of it can be is an error with a place.
"""

from __future__ import annotations

import pytest

from aetherflow.config.dotenv import parse_dotenv
from aetherflow.errors import ConfigError

ENVIRONMENT = {"HOME": "/home/ann", "BASE": "/srv", "EMPTY": "", "USER": "ann"}


@pytest.mark.parametrize(
    ("promise", "text", "expected"),
    [
        # python-dotenv, Node, Ruby and Compose agree
        ("a value is text", "FOO=bar", {"FOO": "bar"}),
        ("a value may be empty", "FOO=", {"FOO": ""}),
        ("blanks around = are ignored", "FOO = bar ", {"FOO": "bar"}),
        ("tabs too", "FOO\t=\tbar\t", {"FOO": "bar"}),
        ("blanks before a name are ignored", "   FOO=bar", {"FOO": "bar"}),
        ("export is ignored", "export FOO=bar", {"FOO": "bar"}),
        ("export with several blanks", "export   FOO=bar", {"FOO": "bar"}),
        ("the last one wins", "FOO=a\nFOO=b", {"FOO": "b"}),
        ("a value may hold =", "FOO=a=b==", {"FOO": "a=b=="}),
        ("a URL is a value", "URL=postgres://u:p@h:5432/db?a=b#c", {"URL": "postgres://u:p@h:5432/db?a=b#c"}),
        ("JSON is a value", 'J={"a": "b"}', {"J": '{"a": "b"}'}),
        ("blanks inside stay", "FOO=some  spaced out string", {"FOO": "some  spaced out string"}),
        # quotes
        ("double quotes are removed", 'FOO="bar baz"', {"FOO": "bar baz"}),
        ("single quotes are removed", "FOO='bar baz'", {"FOO": "bar baz"}),
        ("blanks in quotes stay", "FOO='  bar  '", {"FOO": "  bar  "}),
        ("empty in quotes", "A=''\nB=\"\"", {"A": "", "B": ""}),
        ("the other quote is text", 'A="it\'s"\nB=\'say "x"\'', {"A": "it's", "B": 'say "x"'}),
        ("quotes inside a value are text", 'FOO=a"b"c', {"FOO": 'a"b"c'}),
        ("a new line in double quotes", r'FOO="a\nb"', {"FOO": "a\nb"}),
        ("none in single quotes", r"FOO='a\nb'", {"FOO": r"a\nb"}),
        ("none without quotes", r"FOO=a\nb", {"FOO": r"a\nb"}),
        ("an escaped quote", r'FOO="say \"x\""', {"FOO": 'say "x"'}),
        ("an escaped backslash", r'FOO="C:\\new"', {"FOO": r"C:\new"}),
        ("lines in double quotes", 'FOO="a\nb"\nBAR=c', {"FOO": "a\nb", "BAR": "c"}),
        ("lines in single quotes", "FOO='a\nb'\nBAR=c", {"FOO": "a\nb", "BAR": "c"}),
        # comments
        ("a line of comment", "# FOO=a\nBAR=b", {"BAR": "b"}),
        ("an indented one", "  # FOO=a\nBAR=b", {"BAR": "b"}),
        ("a comment after a value", "FOO=bar # why", {"FOO": "bar"}),
        ("after a tab", "FOO=bar\t# why", {"FOO": "bar"}),
        ("after a quoted value", "FOO='a' # why\nBAR=\"b\" # why", {"FOO": "a", "BAR": "b"}),
        ("a # in quotes is text", "FOO='a # b'\nBAR=\"a # b\"", {"FOO": "a # b", "BAR": "a # b"}),
        ("a # after no blank is text (not so in Node)", "FOO=bar#baz", {"FOO": "bar#baz"}),
        ("blank lines", "\n\n  \t\nFOO=bar\n\n", {"FOO": "bar"}),
        # line ends and marks
        ("line ends of Windows", "A=1\r\nB='2'\r\nC=\"3\"\r\n", {"A": "1", "B": "2", "C": "3"}),
        ("line ends of old Macs", "A=1\rB=2\r", {"A": "1", "B": "2"}),
        ("lines of Windows inside quotes", 'A="1\r\n2"\r\nB=3', {"A": "1\n2", "B": "3"}),
        # Node, Ruby and Compose
        ("a colon instead of =", "FOO: bar", {"FOO": "bar"}),
        ("a colon and quotes", "FOO: 'bar'", {"FOO": "bar"}),
        # Ruby and shells
        ("export of an earlier line", "FOO=a\nBAR=b\nexport FOO BAR # both", {"FOO": "a", "BAR": "b"}),
        # expansion: python-dotenv (in braces), dotenv-expand, Ruby and Compose
        ("in braces", "A=${BASE}/data", {"A": "/srv/data"}),
        ("without braces (not so in python-dotenv)", "A=$BASE/data", {"A": "/srv/data"}),
        ("in double quotes", 'A="${BASE} of $USER"', {"A": "/srv of ann"}),
        ("not in single quotes", "A='${BASE}'", {"A": "${BASE}"}),
        ("of an earlier line", "X=1\nY=${X}2", {"X": "1", "Y": "12"}),
        ("a later line is not known yet", "Y=${X:-none}\nX=1", {"Y": "none", "X": "1"}),
        ("the value of the line above, then of it", "X=a\nX=${X}b\nX=${X}c", {"X": "abc"}),
        ("one after the other", "A=$USER$BASE${USER}", {"A": "ann/srvann"}),
        ("a default", "A=${NONE:-some}", {"A": "some"}),
        ("a default for an empty one", "A=${EMPTY:-some}", {"A": "some"}),
        ("without the colon, for a missing one", "A=${EMPTY-some}\nB=${NONE-some}", {"A": "", "B": "some"}),
        ("an empty default", "A=${NONE:-}", {"A": ""}),
        ("a default that is not needed", "A=${BASE:-$NONE}", {"A": "/srv"}),
        ("a default with blanks", "A=${NONE:-a b}c", {"A": "a bc"}),
        ("a default within a default", "A=${NONE:-${NOT:-x}}y", {"A": "xy"}),
        ("a default that is a variable", "A=${NONE:-$BASE}", {"A": "/srv"}),
        ("an alternative", "A=${BASE:+set}\nB=${NONE:+set}\nC=${EMPTY:+set}", {"A": "set", "B": "", "C": ""}),
        ("a value that must be there", "A=${BASE:?where}", {"A": "/srv"}),
        ("an escaped dollar sign", r"A=\$BASE" + "\n" + r'B="\${BASE}"', {"A": "$BASE", "B": "${BASE}"}),
        ("a dollar sign before no name", "A=100$\nB=$1\nC=a$-b", {"A": "100$", "B": "$1", "C": "a$-b"}),
        ("what was inserted is not expanded again", "X='${BASE}'\nA=${X}", {"X": "${BASE}", "A": "${BASE}"}),
    ],
)
def test_a_file_is_read_as_its_libraries_promise(promise: str, text: str, expected: dict[str, str]) -> None:
    assert parse_dotenv(text, ".env", ENVIRONMENT) == expected, promise


@pytest.mark.parametrize(
    ("text", "message", "code"),
    [
        ("A=1\nPW=pa$word", ".env:2:6: the variable word is not set", "AF166"),
        ('A=1\n\nPW="x ${word}"', ".env:3:7: the variable word is not set", "AF166"),
        ("A=${NONE:-$NOT}", ".env:1:11: the variable NOT is not set", "AF166"),
        ("A=${EMPTY:?name it}", ".env:1:3: EMPTY must be set: name it", "AF166"),
        ("A=${NONE?}", ".env:1:3: NONE must be set", "AF166"),
        ("A=$(date)", ".env:1:3: '$(' would begin a command, and no command is run here", "AF165"),
        ("A=${BASE", ".env:1:3: this form of '${' is not supported, or its '}' is missing", "AF165"),
        ("A=${BASE/a/b}", ".env:1:3: this form of '${' is not supported, or its '}' is missing", "AF165"),
        ("A=${#BASE}", ".env:1:3: this form of '${' is not supported, or its '}' is missing", "AF165"),
        ("A=`date`", ".env:1:3: the value of A begins with a backtick, which is not supported", "AF165"),
        ("FOO", ".env:1:1: this line is not KEY=VALUE", "AF503"),
        ("export FOO", ".env:1:1: this line is not KEY=VALUE", "AF503"),
        ("A='1'\n  B b=2", ".env:2:3: this line is not KEY=VALUE", "AF503"),
        ("A='b' c", ".env:1:7: there is text after the closing quote of A", "AF503"),
        ('A="b', ".env:1:3: the quote that opens the value of A is not closed", "AF503"),
    ],
)
def test_what_is_not_supported_is_an_error_with_its_place(text: str, message: str, code: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_dotenv(text, ".env", ENVIRONMENT)
    assert (raised.value.message, raised.value.code) == (message, code)
    assert raised.value.hint


@pytest.mark.parametrize(("wins", "expected"), [(False, "/file/x"), (True, "/srv/x")])
def test_a_variable_that_the_environment_has_too_is_the_one_that_counts_in_the_end(
    expected: str, *, wins: bool
) -> None:
    text = "BASE=/file\nA=${BASE}/x"
    winning = ENVIRONMENT if wins else {}
    assert parse_dotenv(text, ".env", ENVIRONMENT, winning)["A"] == expected
