"""The redactor: every spelling of a secret goes, everything else stays."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import threading
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aetherflow.redaction import MASK, SHORTEST, Redactor, url_password

CANARY = "S3cr3t/+=&% \"x\" 'y' \\z ü"


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("postgresql://bob:pa55@db.example:5432/x", "pa55"),
        ("postgresql+psycopg://bob:p@ss@db/x", "p@ss"),
        ("redis://:pa55@cache", "pa55"),
        ("see https://u:p:q@host for more", "p:q"),
        ("https://host:8080/a@b", None),
        ("https://bob@host/", None),
        ("a:b@c", None),
    ],
)
def test_the_password_in_a_url(text: str, password: str | None) -> None:
    assert url_password(text) == password


@pytest.mark.parametrize(
    "spelling",
    [
        CANARY,
        base64.b64encode(CANARY.encode()).decode(),
        base64.b64encode(CANARY.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(CANARY.encode()).decode(),
        quote(CANARY),
        quote(CANARY, safe=""),
        quote_plus(CANARY),
        json.dumps(CANARY)[1:-1],
        json.dumps(CANARY, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(CANARY)[1:-1])[1:-1],
        re.sub("%..", lambda code: code[0].lower(), quote(CANARY, safe="")),
        repr(CANARY)[1:-1],
        repr(CANARY.encode())[2:-1],
        CANARY.encode().hex(),
        CANARY.encode().hex().upper(),
        CANARY.replace("'", "''"),
        shlex.quote(CANARY)[1:-1],
        CANARY.replace("'", "'\\''"),
        html.escape(CANARY),
        html.escape(CANARY, quote=False),
        escape(CANARY),
        quoteattr(CANARY)[1:-1],
        "\x1b[0m".join(CANARY),
        f"{CANARY[:3]}\x1b[1;31m\x1b[K{CANARY[3:]}",
    ],
)
def test_every_spelling_of_a_secret_is_masked_in_text_and_bytes(spelling: str) -> None:
    redactor = Redactor([CANARY])
    assert redactor.text(f"<{spelling}> {spelling}") == "<***> ***"
    assert redactor.bytes(f"<{spelling}>\n".encode()) == b"<***>\n"


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user"])
def test_a_secret_inside_of_more_base64_is_masked(before: str) -> None:
    redactor = Redactor(["canary-0123456789"])
    encoded = base64.b64encode(f"{before}canary-0123456789:and more".encode()).decode()
    masked = redactor.text(f"Basic {encoded}")
    assert MASK in masked
    for offset in range(3):
        inside = base64.b64encode(bytes(offset) + b"canary-0123456789").decode()[offset + 1 : -4]
        assert inside not in masked


@pytest.mark.parametrize("size", [57, 58, 90, 114, 300])
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("width", [76, 64])
def test_a_long_secret_in_lines_of_base64_is_masked(size: int, end: str, width: int) -> None:
    secret = "".join(chr(33 + 7 * number % 90) for number in range(size))
    coded = base64.b64encode(f"{secret}{end}".encode()).decode()
    lines = [coded[start : start + width] for start in range(0, len(coded), width)]
    redactor = Redactor([secret])

    shown = redactor.bytes("\n".join(lines).encode()).decode().splitlines()

    for line, masked in zip(lines, shown, strict=True):
        assert masked.startswith(MASK) or len(line) < 2 * SHORTEST
        assert len(masked.removeprefix(MASK)) < 2 * SHORTEST
    if width == 76:
        assert base64.encodebytes(f"{secret}{end}".encode()).decode().splitlines() == lines


def test_a_pem_in_lines_of_base64_is_masked() -> None:
    key = "\n".join(["-----BEGIN KEY-----", *(chr(97 + n) * 64 for n in range(9)), "-----END KEY-----", ""])
    text = base64.encodebytes(key.encode()).decode()
    assert {line.rstrip("=") for line in Redactor([key]).text(text).split()} == {MASK}


def as_bytes(text: str) -> bytes:
    """Return the bytes of a text as the system has them."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@given(st.text(min_size=SHORTEST).filter(str.strip), st.text(), st.text())
@example("\udcff\udcfe\udcfd!", "", "")
@example("\ud800abc", "x", "")
@example("0000", "", "0")
def test_no_secret_of_some_length_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret, "another-one"])
    masked = redactor.text(before + secret + after)
    assert secret not in masked.replace(MASK, "\0") or secret in MASK
    data = redactor.bytes(as_bytes(before) + as_bytes(secret) + as_bytes(after))
    assert as_bytes(secret) not in data.replace(MASK.encode(), b"\0") or secret in MASK


def test_a_variable_that_is_no_utf_8_is_masked_as_its_bytes() -> None:
    redactor = Redactor(["caf\udce9-secret"])
    assert redactor.bytes(b"is caf\xe9-secret!") == b"is ***!"
    assert redactor.text("is caf\udce9-secret!") == "is ***!"


def test_the_lines_of_a_secret_with_several_are_masked_one_by_one_but_not_the_short_ones() -> None:
    redactor = Redactor(["-----BEGIN KEY-----\n  MIIEabcdef  \nshort\n-----END KEY-----\n"])
    assert redactor.text("got MIIEabcdef") == "got ***"
    assert redactor.text("a short line") == "a short line"
    assert redactor.text("-----BEGIN KEY-----\n  MIIEabcdef  \nshort\n-----END KEY-----\n") == MASK


def test_a_short_secret_is_masked_only_where_it_stands_alone() -> None:
    redactor = Redactor(["7"])
    assert redactor.text("7") == MASK
    assert redactor.value(["7", {"n": "7"}]) == [MASK, {"n": MASK}]
    assert redactor.text("17 rows of 70") == "17 rows of 70"


def test_a_short_secret_is_masked_where_it_stands_alone_on_a_line() -> None:
    redactor = Redactor(["742", "ü\n"])
    assert redactor.text("pin:\n  742\r\n1742\n742 742\n742") == "pin:\n  ***\r\n1742\n742 742\n***"
    assert redactor.bytes("742\n7421\n\tü\n".encode()) == b"***\n7421\n\t***\n"


@pytest.mark.parametrize("nothing", ["", " ", "\n", MASK])
def test_what_is_no_secret_masks_nothing(nothing: str) -> None:
    redactor = Redactor([nothing])
    assert redactor.is_empty
    assert redactor.text(f"a {nothing} b") == f"a {nothing} b"
    assert redactor.bytes(b"a b") == b"a b"


def test_the_longest_secret_wins_where_one_contains_another() -> None:
    assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh abcd") == "*** ***"


def test_passwords_in_urls_are_masked_though_nobody_registered_them() -> None:
    redactor = Redactor()
    assert redactor.text("to sftp://bob:pa55@host/x and on") == "to sftp://bob:***@host/x and on"
    assert redactor.bytes(b"to sftp://bob:pa55@host/x\n") == b"to sftp://bob:***@host/x\n"


def test_a_tree_is_masked_in_texts_keys_and_whole_under_secret_names() -> None:
    redactor = Redactor(["canary"])
    tree = {
        "canary-key": 1,
        "list": ["a canary", ("canary", 2)],
        "password": {"deep": ["x"]},
        "token": 5,
        "secret": None,
        "api_key": "",
        "plain": {"number": 1.5, "none": None, "yes": True},
    }
    assert redactor.value(tree) == {
        "***-key": 1,
        "list": ["a ***", ["***", 2]],
        "password": MASK,
        "token": MASK,
        "secret": None,
        "api_key": "",
        "plain": {"number": 1.5, "none": None, "yes": True},
    }
    assert tree["password"] == {"deep": ["x"]}


def test_values_under_secret_names_and_in_urls_are_learned_from_a_tree() -> None:
    redactor = Redactor()
    redactor.add_named(
        {
            "db": [{"PGPASSWORD": "first-secret", "port": 5432}],
            "token": {"deep": ["second-secret", 123456]},
            "url": "postgresql://u:third-secret@h/d",
            "password": True,
            "note": "no-secret-here",
        }
    )
    text = redactor.text("first-secret second-secret 123456 third-secret no-secret-here 5432 True")
    assert text == "*** *** *** *** no-secret-here 5432 True"


def test_of_two_threads_that_add_secrets_and_mask_at_once_none_is_lost() -> None:
    redactor = Redactor()
    secrets = [[f"secret-{name}-{number:03}" for number in range(200)] for name in "abcd"]

    def add(own: list[str]) -> None:
        for secret in own:
            redactor.add(secret)
            assert redactor.text(f"<{secret}>") == "<***>"

    threads = [threading.Thread(target=add, args=(own,)) for own in secrets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = " ".join(secret for own in secrets for secret in own)
    assert set(redactor.text(text).split()) == {MASK}


def test_a_pin_in_any_type_is_masked_wherever_a_text_would_be() -> None:
    redactor = Redactor()
    redactor.add_named({"card_pin": 8675309, "token": 1234567.5})
    tree = {
        "n": 8675309,
        "f": 8675309.0,
        "text": "is 8675309!",
        "list": [1, 8675309, [1234567.5]],
        8675309: "key",
        "8675309": 1,
        "json": '{"n": 8675309}',
        "other": 86753,
        "yes": True,
        "none": None,
        "raw": b"8675309 rows",
    }
    assert redactor.value(tree) == {
        "n": MASK,
        "f": MASK,
        "text": "is ***!",
        "list": [1, MASK, [MASK]],
        MASK: "key",
        "*** (2)": 1,
        "json": '{"n": ***}',
        "other": 86753,
        "yes": True,
        "none": None,
        "raw": b"*** rows",
    }


def test_codes_of_colours_do_not_hide_a_secret_and_stay_around_it() -> None:
    redactor = Redactor(["canary-1", "77"])
    assert redactor.text("\x1b[31mred\x1b[0m can\x1b[32mary-1\x1b[0m!") == "\x1b[31mred\x1b[0m ***\x1b[0m!"
    assert redactor.bytes(b"a\n\x1b[1m77\x1b[0m\nb 77") == b"a\n\x1b[1m***\x1b[0m\nb 77"
    assert redactor.text("\x1b[31m") == "\x1b[31m"


@pytest.mark.parametrize(
    "value",
    [
        {"tokens": 1523},
        {"pass": 2, "fail": 0},
        {"pass_through": "x"},
        {"boarding_pass": "A1"},
        {"password_resets": 2},
    ],
)
def test_counts_are_shown_under_names_that_are_nearly_those_of_secrets(value: dict[str, object]) -> None:
    redactor = Redactor()
    redactor.add_named(value)
    assert redactor.is_empty
    assert redactor.value(value) == value


@pytest.mark.parametrize("value", [{"pass": 8675309}, {"db_pass": 12}, {"token": 1523}, {"tokens": ["x"]}])
def test_a_number_under_the_name_of_one_secret_is_masked(value: dict[str, object]) -> None:
    assert Redactor().value(value) == dict.fromkeys(value, MASK)


def test_a_number_that_a_step_makes_of_a_secret_text_is_masked() -> None:
    redactor = Redactor(["0048151", "12345678901234567890"])
    assert redactor.value([48151, 12345678901234567890, 1.2345678901234567e19, 48152]) == [
        MASK,
        MASK,
        MASK,
        48152,
    ]


@pytest.mark.parametrize(
    "value",
    [True, False, None, 12, 0.2, "12", "true", "No", "none", "default", "localhost", "postgres"],
)
def test_what_cannot_be_a_secret_is_masked_under_its_name_only(value: object) -> None:
    redactor = Redactor()
    redactor.add_named({"password": value, "token": [value]})
    assert redactor.is_empty
    assert redactor.value([value, {"count": value}]) == [value, {"count": value}]
    is_plain = isinstance(value, bool) or value is None
    assert redactor.value({"password": value}) == {"password": value if is_plain else MASK}


def test_what_was_declared_secret_is_masked_whatever_it_is() -> None:
    redactor = Redactor(["12", "true", "localhost"])
    assert redactor.value(["12", 12, "true", "on localhost", 121, True]) == [
        MASK,
        MASK,
        MASK,
        "on ***",
        121,
        True,
    ]


def test_what_forms_show_is_learned_and_masked_elsewhere() -> None:
    redactor = Redactor()
    redactor.add_named(
        {
            "query": "https://h/x?access_token=first-1&b=2",
            "dsn": "host=h password='second 2' user=u",
            "header": "curl -H 'Authorization: Basic YW5uOnRoaXJkLTM='",
            "words": ["tool", "--password", "fourth-4", "--user", "ann"],
            "url": "https://u:fifth%2F5@h/",
            "odbc": "UID=sa;PWD={sixth;6};Encrypt=yes",
            "harmless": "password=$PASSWORD token=args.token --password PASSWORD",
        }
    )
    text = "first-1|second 2|third-3|fourth-4|fifth/5|sixth;6|ann|args.token|$PASSWORD|PASSWORD|yes"
    assert redactor.text(text) == "***|***|***|***|***|***|ann|args.token|$PASSWORD|PASSWORD|yes"


def test_the_words_of_a_command_are_masked_in_a_list() -> None:
    words = ["curl", "-u", "bob:pa55-word", "--token", "abc-1", "https://h/?key=1"]
    assert Redactor().value(words) == ["curl", "-u", "bob:***", "--token", MASK, "https://h/?key=1"]


@pytest.mark.parametrize("value", [742, "742", 5432, "5432"])
def test_a_short_number_that_is_known_by_its_name_is_masked_where_it_stands_alone(value: object) -> None:
    redactor = Redactor()
    redactor.add_named({"password": value})
    text = f"{value}\n{value} rows, {value}7 bytes"
    assert redactor.text(text) == f"***\n{value} rows, {value}7 bytes"
    assert redactor.bytes(text.encode()) == f"***\n{value} rows, {value}7 bytes".encode()
    assert redactor.value([value, int(str(value)), 5433]) == [MASK, MASK, 5433]
    redactor.add("5432")
    assert redactor.text("port 5432") == "port ***"
