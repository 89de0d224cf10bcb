"""Pages of a list: by link, cursor or number, and never without an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aetherflow import StepError
from aetherflow.testing import FakeRun
from tests.plugins.rest_parts import opened, requested
from tests.servers.http_server import Answer, HttpServer, Request

pytestmark = pytest.mark.asyncio

Inputs = dict[str, Any]
ITEMS = list(range(7))


def by_header(request: Request) -> Answer:
    at = int(request.query.get("from", "0"))
    more = f'<?from={at + 3}>; rel="next", </v1/items>; rel=first' if at + 3 < len(ITEMS) else ""
    return Answer(json=ITEMS[at : at + 3], headers={"Link": f"</v1/items?from=0>; rel=prev, {more}"})


def by_next(request: Request) -> Answer:
    at = int(request.query.get("$skip", "0"))
    more = {"@odata.nextLink": f"items?$skip={at + 3}"} if at + 3 < len(ITEMS) else {}
    return Answer(json={"value": ITEMS[at : at + 3], **more})


def by_cursor(request: Request) -> Answer:
    at = int(request.query.get("after", "0"))
    cursor = str(at + 3) if at + 3 < len(ITEMS) else None
    return Answer(json={"data": ITEMS[at : at + 3], "meta": {"next": cursor}})


def by_number(request: Request) -> Answer:
    size = int(request.query.get("per_page", "3"))
    at = (int(request.query["page"]) - 1) * size
    return Answer(json={"items": ITEMS[at : at + size], "pages": -(-len(ITEMS) // size)})


def by_small_pages(request: Request) -> Answer:
    """A server that gives three items, however many are requested."""
    at = (int(request.query["page"]) - 1) * 3
    return Answer(json=ITEMS[at : at + 3])


def by_offset(request: Request) -> Answer:
    at = int(request.query["offset"])
    return Answer(json=ITEMS[at : at + 3])


@pytest.mark.parametrize(
    ("program", "paginate", "pages"),
    [
        (by_header, "link", 3),
        (by_next, {"type": "link", "next": "@odata.nextLink", "items": "value"}, 3),
        (by_cursor, {"type": "cursor", "cursor": "meta.next", "param": "after", "items": "data"}, 3),
        (by_number, {"type": "page", "items": "items"}, 4),
        (by_number, {"type": "page", "items": "items", "pages": "pages"}, 3),
        (by_number, {"type": "page", "items": "items", "size": 5, "size_param": "per_page"}, 2),
        (by_small_pages, {"type": "page", "size": 500, "size_param": "per_page"}, 3),
        (by_offset, {"type": "page", "param": "offset", "first": 0, "step": 3, "size": 3}, 3),
    ],
)
async def test_all_pages_are_read(
    tmp_path: Path, program: Callable[[Request], Answer], paginate: Any, pages: int
) -> None:
    with HttpServer() as server:
        server.on("/v1/items", program)
        async with opened(f"{server.url}/v1") as api:
            run = FakeRun(tmp_path, connectors={"api": api})
            inputs = {"path": "items", "params": {"filter": "x"}, "paginate": paginate}
            outputs = await requested(run, **inputs, extract={"last": "-1"})
            assert outputs["json"] == ITEMS
            assert (outputs["pages"], outputs["count"], outputs["last"]) == (pages, 7, 6)
            assert server.requests[0].query["filter"] == "x"

            saved = await requested(run, **inputs, save_to="items.jsonl")
        assert (saved["json"], saved["count"], saved["pages"]) == (None, 7, pages)
        lines = (run.context().artifacts / "items.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == ITEMS


@pytest.mark.parametrize(
    ("answer", "inputs", "code", "message"),
    [
        (
            Answer(json=[1], headers={"Link": '</v1/items>; rel="next"'}),
            {"paginate": "link"},
            "AF381",
            "page 2 leads back to",
        ),
        (
            Answer(json={"data": [1], "next_cursor": "same"}),
            {"paginate": {"type": "cursor", "items": "data"}},
            "AF381",
            "page 2 has the same cursor as a page before it",
        ),
        (Answer(json=[1]), {"paginate": "page"}, "AF381", "page 2 has the same items as a page before it"),
        (
            lambda request: Answer(json=[int(request.query["page"])]),
            {"paginate": {"type": "page", "max_pages": 5}},
            "AF381",
            "there are more than 5 pages",
        ),
        (
            lambda request: Answer(json=[request.query["page"] * 500]),
            {"paginate": "page", "max_json_kb": 2},
            "AF379",
            "the pages together are larger than 2,048 bytes",
        ),
        (Answer(json={"a": 1}), {"paginate": "page"}, "AF380", "page 1 has no list itself"),
        (
            Answer(json={"a": 1}),
            {"paginate": {"type": "page", "items": "data"}},
            "AF380",
            "page 1: there is no 'data' at its top, but a mapping with a",
        ),
    ],
)
async def test_a_list_without_an_end_or_without_items_is_an_error(
    tmp_path: Path, answer: Any, inputs: Inputs, code: str, message: str
) -> None:
    with HttpServer() as server:
        server.on("/v1/items", answer)
        async with opened(f"{server.url}/v1") as api:
            run = FakeRun(tmp_path, connectors={"api": api})
            with pytest.raises(StepError) as caught:
                await requested(run, path="items", **inputs)
    assert message in caught.value.message
    assert caught.value.code == code
    assert caught.value.hint
    assert len(server.requests) <= 5


async def test_a_page_on_another_server_gets_no_credentials(tmp_path: Path) -> None:
    with HttpServer() as server, HttpServer() as other:
        server.on("/items", Answer(json=[1], headers={"Link": f'<{other.url}/more>; rel="next"'}))
        other.on("/more", Answer(json=[2]))
        async with opened(server.url, headers={"X-Api-Key": "k3y"}) as api:
            run = FakeRun(tmp_path, connectors={"api": api})
            outputs = await requested(run, path="items", paginate="link", headers={"X-Step": "own"})
        assert outputs["json"] == [1, 2]
        assert not {"x-api-key", "x-step"} & other.requests[0].headers.keys()
