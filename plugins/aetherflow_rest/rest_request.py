"""The step `rest_request`: send a request to an HTTP server and take its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aetherflow import NOT_DONE, Duration, OutputNames, PathText, StepContext, StepResult, step
from aetherflow_rest.pagination import Kind, Pagination

if TYPE_CHECKING:
    from aetherflow_rest.requester import Requester

Text = Annotated[str, Meta(min_length=1)]
Method = Annotated[str, Meta(pattern="^[A-Za-z]+$")]
Fields = dict[str, str | list[str] | None]

_STATUS = re.compile("[1-5]([0-9][0-9]|xx)", re.IGNORECASE)
_YES, _NO = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})  # as templates write them
IDEMPOTENCY_HEADER = "Idempotency-Key"


class SentFileInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`file` as a mapping: a file in a multipart form.

    Attributes:
        path: the file; a relative path is below the artifacts of the job.
        field: the name of its field.
        name: the name of the file that the server sees; default: that of the path.
        content_type: default: what the name says.
    """

    path: Annotated[PathText, Meta(min_length=1)]
    field: Text = "file"
    name: Text | None = None
    content_type: Text | None = None


class RestRequestInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `rest_request`.

    Attributes:
        resource: a resource of kind rest.
        method: GET, POST, PUT, PATCH, DELETE, HEAD ...
        path: below the resource's base_url, or a whole address; another server gets no credentials.
        params: the query: texts, lists of texts; null is left out.
        headers: sent besides those of the resource.
        json: a body as JSON.
        form: a body as the fields of a form.
        body: a body as a text.
        file: a body that is this file; with `form`, or as {path, field, name, content_type}: a file in a
            multipart form.
        save_to: write the answer to this file, relative to the artifacts of the job; for large answers.
        expect_status: the statuses that are a success, such as 200, [200, 404] or 2xx; default: 2xx.
        extract: outputs from the JSON of the answer: {name: dotted path}, such as {user: data.0.id}.
        paginate: link, cursor or page, or a mapping: read all pages of a list; `json` is then all items.
        idempotency_header: true or the name of a header: it gets a key by which the server recognises a
            repeated request; then every method may be repeated. true: Idempotency-Key.
        timeout: how long the server may be silent, instead of the resource's.
        max_json_kb: the largest answer that is read into memory.
    """

    resource: Text
    method: Method = "GET"
    path: str = ""
    params: Fields | None = None
    headers: dict[str, str] | None = None
    json: Any = None
    form: Fields | None = None
    body: str | None = None
    file: PathText | SentFileInput | None = None
    save_to: Annotated[PathText, Meta(min_length=1)] | None = None
    expect_status: Text | list[Text] | None = None
    extract: dict[str, str] | None = None
    paginate: Kind | Pagination | None = None
    idempotency_header: bool | Text | None = None
    timeout: Annotated[Duration, Meta(gt=0)] | None = None
    max_json_kb: Annotated[int, Meta(ge=1)] = 10 * 1024

    def __post_init__(self) -> None:
        bodies = [name for name in ("json", "form", "body", "file") if getattr(self, name) is not None]
        if len(bodies) > 1 and set(bodies) != {"form", "file"}:
            raise ValueError(
                f"{' and '.join(bodies)} are several bodies: keep one (form and file go together)"
            )
        if bodies and self.method.upper() in {"GET", "HEAD"}:
            raise ValueError(f"a {self.method.upper()} has no {bodies[0]}: add method: POST, or use params")
        if self.paginate is not None and self.method.upper() != "GET":
            raise ValueError(f"paginate reads pages by GET, not by {self.method.upper()}")
        if self.extract and self.save_to:
            raise ValueError("extract needs the answer in memory: leave out save_to")
        # no pattern in its type: msgspec 0.22 crashes for a text with a pattern beside a list
        wrong = [status for status in self._statuses if not _STATUS.fullmatch(status)]
        if wrong:
            raise ValueError(f"expect_status {wrong[0]!r} is no status: write 404, or 4xx")
        taken = sorted(set(self.extract or {}) & set(RestRequestOutput.__struct_fields__))
        if taken:
            raise ValueError(f"extract cannot have the name {taken[0]!r}, which is an output already")

    def is_expected(self, status: int) -> bool:
        """Whether a status is a success."""
        if self.expect_status is None:
            return 200 <= status < 300  # noqa: PLR2004 - HTTP's successes
        return self.is_named(status)

    def is_named(self, status: int) -> bool:
        """Whether expect_status names a status, so that it is neither repeated nor followed."""
        patterns = (wanted.lower().replace("x", "[0-9]") for wanted in self._statuses)
        return any(re.fullmatch(pattern, str(status)) for pattern in patterns)

    @property
    def _statuses(self) -> list[str]:
        wanted = self.expect_status or []
        return wanted if isinstance(wanted, list) else [wanted]

    @property
    def pagination(self) -> Pagination | None:
        """How pages are read; None: there is one answer."""
        return self.paginate if isinstance(self.paginate, Pagination | None) else Pagination(self.paginate)

    @property
    def key_header(self) -> str:
        """The header for the idempotency key; empty: none is sent."""
        match self.idempotency_header:
            case str() as word if word.lower() in _YES:
                return IDEMPOTENCY_HEADER
            case str() as word:
                return "" if word.lower() in _NO else word
            case wanted:
                return IDEMPOTENCY_HEADER if wanted else ""


class RestRequestOutput(msgspec.Struct, frozen=True):
    """The outputs of `rest_request`, besides those that `extract` names.

    Attributes:
        status: of the answer.
        json: the answer, if it is JSON and was not saved; with `paginate` the items of all pages.
        text: the answer, if it is another text and was not saved.
        headers: of the answer, by their names in lower case.
        path: the absolute path of the file, with `save_to`.
        size: of the answer in bytes.
        sha256: of the answer.
        pages: how many pages were read; 1 without `paginate`.
        count: how many items the JSON has, if it is a list, or the file of all pages.
    """

    status: int
    json: Any = None
    text: str | None = None
    headers: dict[str, str] = {}
    path: str = ""
    size: int = 0
    sha256: str = ""
    pages: int = 1
    count: int | None = None


def _names_outputs(inputs: Mapping[str, Any]) -> OutputNames:
    """Return the outputs of a step with these inputs."""
    extract = inputs.get("extract")
    names = frozenset(RestRequestOutput.__struct_fields__)
    if isinstance(extract, Mapping):
        return OutputNames(names | frozenset(map(str, extract)))
    return OutputNames(names, is_open=extract is not None)


@step("rest_request", output=RestRequestOutput, names_outputs=_names_outputs)
async def rest_request(ctx: StepContext, inputs: RestRequestInput) -> StepResult:
    """Send a request to an HTTP server; the answer becomes outputs or a file.

    Raises:
        StepError: there is no answer, or none that is expected.
        MissingExtra: httpx2 is not installed.
    """
    from aetherflow_rest.httpx_connector import rest_connector  # noqa: PLC0415 - `validate` needs only the inputs

    await rest_connector(ctx, inputs.resource)  # which names the extra, if httpx2 is missing
    from aetherflow_rest.requester import requester  # noqa: PLC0415 - it imports httpx2

    ready = await requester(ctx, inputs)
    if ready.is_reading:
        return StepResult(outputs=ready.extracted(await ready.perform()))
    return StepResult(outputs=ready.extracted(await _once(ctx, ready)))


async def _once(ctx: StepContext, ready: Requester) -> dict[str, Any]:
    """Send a request that changes something: its intent is stored before, and its answer after it."""
    from aetherflow_rest.failures import NotDone  # noqa: PLC0415 - imports httpx2, see above

    interrupted = False

    async def cannot_be_verified() -> Literal[False]:
        nonlocal interrupted
        interrupted = True
        return False

    effect, number = ctx.effect(ready.what, verify=cannot_be_verified, detail=ready.detail), 1
    while NOT_DONE in effect.result:  # of an earlier attempt, which reached no server, or was refused
        number += 1
        key = f"{ready.what} ({number})"
        effect = ctx.effect(key, verify=cannot_be_verified, detail=ready.detail)
    failure = None
    async with effect:
        if effect.done:
            ctx.log(f"{ready.what} was answered before; it is not sent again")
            return effect.result
        if interrupted:
            level: Literal["info", "warning"] = "info" if ready.why_again else "warning"
            ctx.log(f"{ready.what} may have been sent before; it is sent again{ready.why_again}", level)
        try:
            effect.result = await ready.perform(is_repeated=interrupted)
        except NotDone as error:
            if interrupted:
                raise
            effect.result, failure = {NOT_DONE: error.message}, error
    if failure is not None:
        raise failure
    return effect.result
