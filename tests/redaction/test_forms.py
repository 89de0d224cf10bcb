"""Passwords that a text shows by its form, and texts that only look like it."""

from __future__ import annotations

import time

import pytest

from aetherflow.redaction import Redactor

SHOWN = r"""
postgres://bob:pa/ss1@db/x
https://host/x?password=S3cr3tX&b=2
GET /cb?a=1&access_token=S3cr3tX#frag
https://h/#access_token=S3cr3tX&state=3
https://acct.blob.core.windows.net/c?sv=2020&sig=S3cr3tX%3D&se=2
https://b.s3.amazonaws.com/k?X-Amz-Credential=AKID&X-Amz-Signature=S3cr3tX
https://S3cr3tXabcdefgh12@github.com/a.git
https://ghp_S3cr3tX@github.com/a.git
host=h port=5432 user=u password=S3cr3tX dbname=d
host=h password='S3 cr3tX' dbname=d
Driver={ODBC};Server=s;UID=sa;PWD=S3cr3tX;Encrypt=yes
Server=s;User Id=sa;Password=S3 cr3tX;Database=d
Server=s;PWD={S3;cr3tX};Encrypt=yes
AccountName=a;AccountKey=S3cr3tX==;EndpointSuffix=core
curl -H 'Authorization: Bearer S3cr3tX' https://h
curl -H "Authorization: Basic dXNlcjpTM2NyM3RY" https://h
Proxy-Authorization: Basic dXNlcjpTM2NyM3RY
X-Api-Key: S3cr3tX
Cookie: session=S3cr3tX; theme=dark
Set-Cookie: sid=S3cr3tX; HttpOnly
mytool --password S3cr3tX --user bob
mytool --password=S3cr3tX --user bob
mytool --token 'S3 cr3tX' x
curl -s -u bob:S3cr3tX https://h
curl --user "bob:S3cr3tX" https://h
mysql -u root -pS3cr3tX db
sshpass -p S3cr3tX ssh h
PGPASSWORD=S3cr3tX psql -h x
export DB_PASSWORD="S3cr3tX"
{"password": "S3cr3tX", "user": "u"}
{\"password\": \"S3cr3tX\", \"user\": \"u\"}
{'api_key': 'S3cr3tX'}
{"token": 12345678, "n": 1}
password: S3cr3tX
  db_password: S3cr3tX
connect failed: Authorization: token S3cr3tX
jdbc:oracle:thin:scott/S3cr3tX@//h:1521/x
jdbc:mysql://h/d?user=u&password=S3cr3tX
CREATE USER x IDENTIFIED BY 'S3cr3tX'
ALTER ROLE x WITH PASSWORD 'S3cr3tX'
redis://:S3cr3tX@cache:6379/0
amqp://u:S3cr3tX@a,amqp://u:S3cr3tX@b
error: fetch 'https://u:S3cr3tX@h/x' failed (token=S3cr3tX)
connect(host="h", password="S3cr3tX", port=1)
password => "S3cr3tX"
docker login --username x --password S3cr3tX reg
spark-submit --conf spark.hadoop.fs.s3a.secret.key=S3cr3tX job.py
"""
"""Texts with a secret, a line each."""

MASKED = r"""
postgres://bob:***@db/x
https://host/x?password=***&b=2
GET /cb?a=1&access_token=***#frag
https://h/#access_token=***&state=3
https://acct.blob.core.windows.net/c?sv=2020&sig=***&se=2
https://b.s3.amazonaws.com/k?X-Amz-Credential=***&X-Amz-Signature=***
https://***@github.com/a.git
https://***@github.com/a.git
host=h port=5432 user=u password=*** dbname=d
host=h password='***' dbname=d
Driver={ODBC};Server=s;UID=sa;PWD=***;Encrypt=yes
Server=s;User Id=sa;Password=***;Database=d
Server=s;PWD={***};Encrypt=yes
AccountName=a;AccountKey=***;EndpointSuffix=core
curl -H 'Authorization: Bearer ***' https://h
curl -H "Authorization: Basic ***" https://h
Proxy-Authorization: Basic ***
X-Api-Key: ***
Cookie: ***
Set-Cookie: ***
mytool --password *** --user bob
mytool --password=*** --user bob
mytool --token '***' x
curl -s -u bob:*** https://h
curl --user "bob:***" https://h
mysql -u root -p*** db
sshpass -p *** ssh h
PGPASSWORD=*** psql -h x
export DB_PASSWORD="***"
{"password": "***", "user": "u"}
{\"password\": \"***\", \"user\": \"u\"}
{'api_key': '***'}
{"token": ***, "n": 1}
password: ***
  db_password: ***
connect failed: Authorization: token ***
jdbc:oracle:thin:scott/***@//h:1521/x
jdbc:mysql://h/d?user=u&password=***
CREATE USER x IDENTIFIED BY '***'
ALTER ROLE x WITH PASSWORD '***'
redis://:***@cache:6379/0
amqp://u:***@a,amqp://u:***@b
error: fetch 'https://u:***@h/x' failed (token=***)
connect(host="h", password="***", port=1)
password => "***"
docker login --username x --password *** reg
spark-submit --conf spark.hadoop.fs.s3a.secret.key=*** job.py
"""

PLAIN = r"""
ssh://git@github.com/a/b.git
mailto:ann@example.com
https://bob@host/
https://ann.smith%40corp.com@dev.azure.com/x
git@github.com:a/b.git
PWD=/home/ann/x
cd $PWD && ls
wrong password for user bob
{"tokens": 1523, "cost": 0.3}
where token = @token and u.password = t.password
self.token = token
password: changed
token: valid
token: expired
Authorization: granted
authorization: allowed for role reader
Cookie: accepted
credential=default
password=[REDACTED]
password=xxxxx
PASS: test_login
api_key: string
client_secret: required
failed_password: 3 times
the token has expired, please log in again
Password: must contain a digit and a letter
validation of token failed: 3 errors
psql: FATAL: password authentication failed for user "x"
use the --password option to give one
rows: 12, key: id, primary_key=order_id
token_count=12 max_tokens: 500
password = $DB_PASSWORD
--password={{env.PW}}
--password {{ env.PW }}
{{env.MY_SECRET:1}} {{ env.DB_PASSWORD:none at all }}
config.password: cannot read the secret in /no/pin
require_password=true
INFO auth: user bob logged in from 10.0.0.1:2200
Author: Ann Smith <ann@x.org>
keys: a, b, c
if params.password == 'x'
<a accesskey="h" href="index.html">
password: {secret: "file:/run/secrets/db"}
secrets: none
sorted by key=date
http://127.0.0.1:8080/a@b
token=
2026-11-28T19:34:25Z INFO  key=abc loaded 12 rows
"""
"""Ordinary lines that must stay as they are."""


def lines(text: str) -> list[str]:
    """Return the lines of a list above."""
    return text.strip("\n").split("\n")


@pytest.mark.parametrize(("text", "masked"), [*zip(lines(SHOWN), lines(MASKED), strict=True)])
def test_a_secret_is_masked_by_its_form_in_text_and_bytes(text: str, masked: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == masked
    assert redactor.bytes(text.encode()) == masked.encode()
    assert redactor.text(masked) == masked


def test_forms_are_found_on_every_line_of_a_long_text() -> None:
    redactor = Redactor()
    assert lines(redactor.text(SHOWN)) == lines(MASKED)
    assert redactor.bytes(SHOWN.encode()) == MASKED.encode()


@pytest.mark.parametrize("text", lines(PLAIN))
def test_an_ordinary_line_stays_as_it_is(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == text
    assert redactor.bytes(text.encode()) == text.encode()
    redactor.add_named({"text": text})
    assert redactor.is_empty


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter-42\n",
        "PASSWORD=hunter-42 psql",
        "--api-key hunter-42",
        "a\nb\ntoken: hunter-42\nc",
        'İ "client_secret": "hunter-42"',
        "https://h/?x=1#access_token=hunter-42",
    ],
)
def test_the_place_of_a_secret_in_its_text_does_not_matter(text: str) -> None:
    for around in ("{}", "\n{}", "x = 1\n{}\ny = 2", "é {}"):
        shown = around.format(text)
        assert Redactor().text(shown) == shown.replace("hunter-42", "***")
        assert Redactor().bytes(shown.encode()) == shown.replace("hunter-42", "***").encode()


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "pass",
            "token: abc, ",
            "a://b:c,",
            "password='",
            'token="',
            "\\\\",
            'key\\\\"',
            "cookie: ",
            "curl -u ",
        ),
        *("--password x ", "Authorization: Basic ", "token=x;", "secret ", "://", "'a -p", "bearer "),
        *("x" * 100 + "_key ", "password: ", "://u:p@", "token=\n"),
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    Redactor().text(text)
    assert time.process_time() - started < 10, "the time must not grow with the square of the length"


LINES = [
    *("key:", "key=", "token:", "password=", "passwd=;", "auth:", "token ", "token: ", "pwd=", "PASS: "),
    *('"key":', '"key":"key":', "token=\\'", 'password=\\"', "password='", "password=''", "password={"),
    *("://", "a://b:c", "a://@", "jdbc:oracle:a:/", "a-", "pass", "--p ", "--p=", "--password ", "-token="),
    *("\\", "password=\\", "cookie: ", "Cookie:<", "cookie=a;", "?token=#", "&key=a", "token=$", "token=.)"),
    *("bearer ", "identified by 'a", "password 'a", "curl -u ", "curl -u a:", "'", '"', '\\"'),
    *("<password>", "<password>a", "<password ", "</", "<key> ", 'identified by "', "docker login -p "),
]
"""What a line may have again and again."""


@pytest.mark.parametrize("before", ["", 'curl --p "', "password="])
@pytest.mark.parametrize("piece", LINES)
def test_the_time_for_a_line_grows_with_its_length(piece: str, before: str) -> None:
    seconds = []
    for size in (30_000, 60_000):
        line = before + (piece * (size // len(piece)))
        started = time.process_time()
        Redactor().text(line)
        seconds.append(time.process_time() - started)
    assert seconds[1] < max(3 * seconds[0], 1.5), f"{seconds}: the square would be four times"
    assert seconds[1] < 8


@pytest.mark.parametrize("size", [1000, 1023, 1024, 1025, 5000])
def test_a_long_value_is_masked_to_its_end(size: int) -> None:
    value = "k9" * (size // 2) + "k" * (size % 2)
    for line in ("password={}", "password: {}", "f(token={})", "https://h/?token={}#top", "a;PWD={};b"):
        assert Redactor().text(line.format(value)) == line.format("***")


@pytest.mark.parametrize(
    "text",
    [
        "<password>S3cr3tX</password>",
        '<a><apiKey type="x"> S3 cr3tX </apiKey><b>1</b></a>',
        "docker login -u ann -p S3cr3tX registry",
        "podman login reg -p 'S3 cr3tX'",
        "curl --user=ann:S3cr3tX https://h",
        "curl -uann:S3cr3tX https://h",
        'CREATE USER x IDENTIFIED BY "S3cr3tX"',
        "openssl rsa -passin pass:S3cr3tX -in a",
        "openssl enc -aes-256-cbc -k S3cr3tX -in a",
        "{'token': b'S3cr3tX', 'n': 1}",
        'token=b"S3cr3tX"',
        "{'Authorization': b'Bearer S3cr3tX'}",
    ],
)
def test_a_secret_of_a_rarer_form_is_masked(text: str) -> None:
    masked = text.replace("S3cr3tX", "***").replace("S3 cr3tX", "***").replace("S3 ***", "***")
    assert Redactor().text(text) == masked
    assert Redactor().text(masked) == masked
    assert Redactor().bytes(text.encode()) == masked.encode()


@pytest.mark.parametrize(
    "text",
    [
        "docker run -p 8080:80 image",
        "docker ps -a",
        "openssl rsa -passin env:PASSPHRASE -in a",
        "openssl enc -aes-256-cbc -kfile S3cr3tX -in a",
        "curl -uann https://h",
        "curl --user=ann:$PASSWORD https://h",
        "usage: login <password> <token>",
        "<password></password>",
        "<password>{{ x }}</password>",
        "<tokenLimit>4096</tokenLimit>",
    ],
)
def test_what_is_nearly_a_rarer_form_stays_as_it_is(text: str) -> None:
    assert Redactor().text(text) == text


def test_an_escaped_apostrophe_closes_a_value() -> None:
    text = r"{\'password\': \'S3 cr3tX\', \'user\': \'u\'}"
    assert Redactor().text(text) == text.replace("S3 cr3tX", "***")


def test_a_line_is_read_once_however_many_options_it_has() -> None:
    text = "x\ntool --password abc-1 --token abc-2\ny\n\ntool --password abc-3"
    assert Redactor().text(text) == "x\ntool --password *** --token ***\ny\n\ntool --password ***"


def test_a_quote_that_is_not_closed_hides_no_other_line() -> None:
    assert Redactor().text("token='abc\nok\nit's") == "token='***\nok\nit's"


def test_what_a_long_text_shows_is_masked_as_in_a_short_one() -> None:
    lines = [line for line in (SHOWN + PLAIN).splitlines() if line]
    filler = "row 17 of 20 is done\n" * 300
    for line, masked in zip(lines, map(Redactor().text, lines), strict=True):
        for before, after in (
            ("", f"\n{filler}"),
            (filler, ""),
            (filler, f"\n{filler}"),
            (filler, f"\r\n{filler}"),
        ):
            assert Redactor().text(before + line + after) == before + masked + after
    whole = filler + f"\n{filler}".join(lines)
    assert Redactor().text(whole) == filler + f"\n{filler}".join(map(Redactor().text, lines))
    assert Redactor().bytes(whole.encode()).decode() == Redactor().text(whole)
