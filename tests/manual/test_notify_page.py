"""The chats of the page about messages: each flow of it is run, and sends what that chat takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aetherflow.testing import run_flow
from tests.manual.documents import MANUAL, blocks
from tests.servers.http_server import Answer, HttpServer

FLOWS = {block.file: block.text for block in blocks((MANUAL / "notify.md").read_text("utf-8"), "yaml")}
HOOK = "/hooks/of/the/chat"
SUBJECT = "[FAILED] nightly: load.copy: AF732 "


def _slack(body: Any) -> object:
    """`text`, as Slack, Mattermost, Rocket.Chat and Google Chat take it; Google Chat at most 4,096 bytes."""
    return list(body) == ["text"] and body["text"].startswith(SUBJECT) and len(body["text"].encode()) <= 4096


def _teams(body: Any) -> object:
    """A message with one adaptive card, of at most 28 KB."""
    (attachment,) = body["attachments"]
    card = attachment["content"]
    return (
        body["type"] == "message"
        and attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        and (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        and [block["type"] for block in card["body"]] == ["TextBlock", "TextBlock"]
        and card["body"][0]["text"].startswith(SUBJECT)
        and "aetherflow runs retry" in card["body"][1]["text"]
    )


def _discord(body: Any) -> object:
    """`content` of 1 to 2,000 characters."""
    return body["username"] == "AetherFlow" and SUBJECT in body["content"][:2000] == body["content"]


def _ntfy(body: Any) -> object:
    """A topic, and a message of at most 4,096 bytes; the priority is a number from 1 to 5."""
    is_short = len(body["message"].encode()) <= 4096
    return (
        is_short and body["title"].startswith(SUBJECT) and (body["topic"], body["priority"]) == ("nights", 4)
    )


def _pagerduty(body: Any) -> object:
    """An event of version 2: what it does, for which incident, and a summary of at most 1,024 characters."""
    payload = body["payload"]
    return (
        set(body) == {"routing_key", "event_action", "dedup_key", "payload"}
        and body["event_action"] == "trigger"
        and body["dedup_key"] == "nightly/none"
        and payload["severity"] in {"critical", "error", "warning", "info"}
        and payload["summary"].startswith(SUBJECT)
        and len(payload["summary"]) <= 1024
        and payload["source"] != ""
    )


CHATS: dict[str, Callable[[Any], object]] = {
    "slack.yaml": _slack,
    "teams.yaml": _teams,
    "discord.yaml": _discord,
    "ntfy.yaml": _ntfy,
    "pagerduty.yaml": _pagerduty,
}


def test_every_chat_of_the_page_has_a_test() -> None:
    assert CHATS.keys() == {name for name, text in FLOWS.items() if "to: webhook" in text}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CHATS)
async def test_a_chat_of_the_page_gets_what_it_takes(name: str, tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on(HOOK, Answer(202, "Accepted"))
        env = {"CHAT_URL": server.url + HOOK, "ROUTING_KEY": "key-of-the-team"}
        run = await run_flow(FLOWS[name], tmp_path, env=env)

        assert run.status == "FAILED"
        (request,) = server.requests
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert CHATS[name](request.json), request.json


@pytest.mark.asyncio
async def test_a_recovery_closes_the_incident_that_a_failure_opened(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on(HOOK, Answer(202, "Accepted"))
        env = {"CHAT_URL": server.url + HOOK, "ROUTING_KEY": "key-of-the-team"}
        await run_flow(FLOWS["pagerduty.yaml"], tmp_path, env=env)
        await run_flow(FLOWS["pagerduty.yaml"].replace('["false"]', '["true"]'), tmp_path, env=env)

        events = [request.json for request in server.requests]
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert len({event["dedup_key"] for event in events}) == 1
