"""Follow the pages of a list: by link, by cursor or by number, and never in a circle. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urljoin

import msgspec
from msgspec import Meta

from aetherflow import StepError
from aetherflow_rest.dotted_path import NotThere, look_up

Kind = Literal["link", "cursor", "page"]
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_NEXT = re.compile(r"""(?:^|;)\s*rel\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,]+))""", re.IGNORECASE)


class Pagination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`paginate` as a mapping: how the next page is found, and where the items of a page are.

    Attributes:
        type: link (the answer names the address of the next page), cursor (it has a value that the next
            request sends back) or page (pages have numbers).
        items: the dotted path of the list in a page; empty: the page is the list.
        next: of link: the dotted path of the address; empty: the header Link with rel="next".
        cursor: of cursor: the dotted path of the value; the last page has none, or null, or an empty text.
        param: of cursor and page: the query parameter; default: `cursor`, `page`.
        first: of page: the number of the first page.
        step: of page: how much the number grows; for an offset, the size of a page.
        size: of page: how many items are requested; then a page that is shorter than one before it is the
            last. Without it an empty page is.
        size_param: of page: the query parameter that gets `size`.
        pages: of page: the dotted path of the number of pages.
        max_pages: more pages than this are an error, as an endless list would be.
    """

    type: Kind
    items: str = ""
    next: str = ""
    cursor: str = "next_cursor"
    param: Annotated[str, Meta(min_length=1)] | None = None
    first: Annotated[int, Meta(ge=0)] = 1
    step: Annotated[int, Meta(ge=1)] = 1
    size: Annotated[int, Meta(ge=1)] | None = None
    size_param: Annotated[str, Meta(min_length=1)] | None = None
    pages: str = ""
    max_pages: Annotated[int, Meta(ge=1)] = 1000


class PageRequest(NamedTuple):
    """What is sent for a page: the address, if it is another one, and the parameters to add."""

    url: str | None
    params: dict[str, str]


class Pages:
    """The pages of one list, as they are read."""

    def __init__(self, how: Pagination, what: str) -> None:
        """Begin with the first page; `what` names the request in errors."""
        self.count = 0
        self._how = how
        self._what = what
        self._number = how.first
        self._longest = 0
        self._seen: set[object] = set()

    def first(self) -> PageRequest:
        """Return the request for the first page."""
        return PageRequest(None, self._page_params() if self._how.type == "page" else {})

    def items_of(self, page: Any) -> list[Any]:
        """Return the items of a page.

        Raises:
            StepError: it has no list there (AF380).
        """
        try:
            items = look_up(page, self._how.items)
        except NotThere as error:
            raise self._error("AF380", f"page {self.count + 1}: {error}", "correct paginate.items") from None
        if not isinstance(items, list):
            place = f"at {self._how.items!r}" if self._how.items else "itself"
            message = f"page {self.count + 1} has no list {place}"
            raise self._error("AF380", message, "name the path of the list: paginate.items")
        return items

    def next_after(
        self, page: Any, items: list[Any], headers: Mapping[str, str], url: str
    ) -> PageRequest | None:
        """Return the request for the page after this one, or None if this was the last.

        Raises:
            StepError: the pages go round in a circle, or are too many (AF381).
        """
        self.count += 1
        found = self._next(page, items, headers, url)
        if found is not None and self.count >= self._how.max_pages:
            message = f"there are more than {self._how.max_pages} pages"
            raise self._error("AF381", message, "raise paginate.max_pages if that is right")
        return found

    def _next(self, page: Any, items: list[Any], headers: Mapping[str, str], url: str) -> PageRequest | None:
        match self._how.type:
            case "link":
                link = self._optional(page, self._how.next) if self._how.next else _next_link(headers)
                if not link:
                    return None
                address = urljoin(url, str(link))
                self._note(address, f"page {self.count} leads back to {address.partition('?')[0]}")
                return PageRequest(address, {})
            case "cursor":
                cursor = self._optional(page, self._how.cursor)
                if cursor is None or cursor in ("", False):
                    return None
                self._note(cursor, f"page {self.count} has the same cursor as a page before it")
                return PageRequest(None, {self._how.param or "cursor": str(cursor)})
            case "page":
                return self._next_number(page, items)

    def _next_number(self, page: Any, items: list[Any]) -> PageRequest | None:
        last = self._optional(page, self._how.pages) if self._how.pages else None
        if last is not None and self.count >= int(last):
            return None
        # A server may allow fewer items than `size`: a page is short only beside a longer one.
        is_short = self._how.size is not None and len(items) < self._longest
        self._longest = max(self._longest, len(items))
        if not items or is_short:
            return None
        message = f"page {self.count} has the same items as a page before it: the server ignores its number"
        self._note(msgspec.json.encode(items), message)
        self._number += self._how.step
        return PageRequest(None, self._page_params())

    def _page_params(self) -> dict[str, str]:
        size = {self._how.size_param: str(self._how.size)} if self._how.size_param and self._how.size else {}
        return {self._how.param or "page": str(self._number), **size}

    def _note(self, token: object, message: str) -> None:
        key = hash(token) if isinstance(token, bytes) else repr(token)
        if key in self._seen:
            raise self._error("AF381", message, "check the options of paginate, and what the server expects")
        self._seen.add(key)

    def _error(self, code: str, message: str, hint: str) -> StepError:
        return StepError(f"{self._what}: {message}", hint=hint, code=code)

    @staticmethod
    def _optional(page: Any, path: str) -> Any:
        try:
            return look_up(page, path)
        except NotThere:
            return None


def _next_link(headers: Mapping[str, str]) -> str:
    """Return the address with rel="next" of the header Link (RFC 8288)."""
    for address, parameters in _LINK.findall(headers.get("link", "")):
        relations = _NEXT.search(parameters)
        if relations and "next" in "".join(text or "" for text in relations.groups()).lower().split():
            return str(address)
    return ""
