"""``Client``: submit, status, cancel, list, download. Each call is one attempt; what to repeat is decided above."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from wan_notebook import catalog as c
from wan_notebook.errors import InvalidRequestError, SettingsError
from wan_notebook.keys import check_key
from wan_notebook.request import ImageRequest
from wan_notebook.secret import Secret
from wan_notebook.wire import Call, ServiceFault, Submitted, TaskState, dialect_for, encode_body

from .download import Downloaded, Downloader
from .hosts import Hosts, Resolver, resolve
from .network import Network, Reply
from .replies import Reader, http_time, same_origin_target
from .sinks import DownloadProgress
from .timeouts import Timeouts

LIST_PAGE_SIZE: Final = 100
LIST_PAGES_MAX: Final = 50
LIST_WINDOW: Final = timedelta(hours=24)
"""DashScope answers for at most a day at a time; a longer time is asked for in pieces."""

QUERY_REDIRECTS_MAX: Final = 3
_CREATES_NO_TASK: Final = (400, 422)
_DEFAULT_TIMEOUTS: Final = Timeouts()


class Client:
    """Speaks to one service. Asynchronous, for one event loop; at most six connections, reused.

    ``envelope`` is ``auto``, ``flat`` or ``params`` (WAN_API §2); ``auto`` begins with ``first_envelope``, which worked
    here before, and tells ``on_envelope`` what works now. ``app`` is an ASGI application that stands in for the
    service at ``base_url``, in this process; ``transport`` replaces the network altogether. Errors never carry the key.
    """

    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        key: Secret | None,
        envelope: str = "auto",
        first_envelope: str = "",
        on_envelope: Callable[[str], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        app: Any | None = None,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        resolver: Resolver | None = None,
    ) -> None:
        self.provider = provider
        self.dialect = dialect_for(provider)
        self.base_url = self.dialect.base_url(base_url)
        self.envelope = _checked_envelope(envelope, self.dialect.envelopes)
        # A stable sort: the one that worked before comes first.
        self._envelopes = tuple(sorted(self.dialect.envelopes, key=lambda name: name != first_envelope))
        self._on_envelope = on_envelope
        self.clock_offset_s: float | None = None
        self._timeouts = timeouts
        self._wall_clock = wall_clock
        check_key(key)
        host = _host_of(self.base_url)
        self._reader = Reader(self.dialect, host, key.mask if key else str, wall_clock, key.source if key else "")
        self._network = Network(base_url=self.base_url, key=key, timeouts=timeouts, transport=transport, app=app)
        is_real = transport is None and app is None
        hosts = Hosts(resolver or (resolve if is_real else None), private=(host,) if app is not None else ())
        self._downloader = Downloader(
            self._network, hosts, base_host=host, timeouts=timeouts, wall_clock=wall_clock, monotonic=monotonic
        )

    def __repr__(self) -> str:
        return f"Client(provider={self.provider!r}, base_url={self.base_url!r})"

    @property
    def can_cancel(self) -> bool:
        """Whether the service has a cancel call."""
        return self.dialect.can_cancel

    @property
    def can_list(self) -> bool:
        """Whether the service has a task list."""
        return self.dialect.can_list

    @property
    def requests_sent(self) -> Counter[str]:
        """Count of requests by kind: submit, poll, cancel, list, download, fetch."""
        return self._network.requests_sent

    async def submit(self, request: ImageRequest) -> Submitted:
        """Start a task with one POST, never repeated.

        Only the envelope ``auto`` sends a second one, after HTTP 400 or 422, which create no task (WAN_API §2); what
        worked is remembered in ``envelope``. Raises ``NotSentError``, ``ConnectionLostError``,
        ``UnexpectedReplyError`` (with ``salvaged_task_id`` if the cut reply shows one) and the service's errors.
        """
        if self.envelope != "auto":
            return await self._submit_as(request, self.envelope)
        first, *others = self._envelopes
        try:
            submitted = await self._submit_as(request, first)
        except InvalidRequestError as error:
            if error.http_status not in _CREATES_NO_TASK or not others:
                raise
            refusal = error
        else:
            self._remember(first)
            return submitted
        return await self._submit_otherwise(request, others[0], refusal)

    async def status(self, task_id: str) -> TaskState:
        """Ask once for a task's state. Raises like ``submit``; an unreadable reply says nothing about the task."""
        reply = await self._send("poll", self.dialect.poll(task_id), self._timeouts.status_s)
        state = self.dialect.read_poll(self._reader.body_of(reply), task_id=task_id)
        if state is None:
            raise self._reader.unreadable(reply, wanted="state of the task")
        if self._reader.shows_key(reply):
            state = self._with_masked_texts(state, reply)
        return state if state.request_id else replace(state, request_id=self._reader.request_id_of(reply))

    async def cancel(self, task_id: str) -> bool:
        """Ask the service to cancel a task; False if it cannot, or can no longer (WAN_API §3: pending only)."""
        if not self.can_cancel:
            return False
        try:
            reply = await self._send("cancel", self.dialect.cancel(task_id), self._timeouts.status_s)
        except InvalidRequestError:
            return False
        if reply.cut:
            raise self._reader.unreadable(reply, wanted="answer to the cancel")
        return not self.dialect.read_error(self._reader.body_of(reply), reply.http_status).code

    async def list_tasks(self, *, start: datetime, end: datetime, status: str | None = None) -> list[TaskState]:
        """Return this model's tasks submitted between two times, each once, at most 5000 a day.

        The times go out as they stand: the service's clock has no zone (WAN_API §3). Raises like ``status``, and
        ``InvalidRequestError`` where the service has no list.
        """
        if not self.can_list:
            raise InvalidRequestError(f"The {self.dialect.name} has no list of tasks.")
        found: dict[str, TaskState] = {}
        while start < end:
            until = min(end, start + LIST_WINDOW)
            await self._list_window(found, start, until, status)
            start = until
        return list(found.values())

    async def download(
        self,
        url: str,
        *,
        part: Path,
        max_bytes: int = c.RESULT_MAX_BYTES,
        resume: DownloadProgress | None = None,
        keep_bytes: int = 0,
    ) -> Downloaded:
        """Fetch a result into ``part`` in one attempt, without the key (WAN_API §4).

        One of at most ``keep_bytes`` is returned as ``data`` instead, and no file is written. After a failure what came
        is in the part file; with the same ``resume`` object the next attempt continues it. Raises ``DownloadError``,
        its kinds as in ``Downloader``, and ``StoreError`` if the file cannot be written.
        """
        return await self._downloader.to_file(
            url, part=part, max_bytes=max_bytes, progress=resume or DownloadProgress(), keep_bytes=keep_bytes
        )

    async def download_bytes(self, url: str, *, max_bytes: int = c.RESULT_MAX_BYTES) -> bytes:
        """Fetch a result into memory, for when the disk is full. Raises ``DownloadError``."""
        return await self._downloader.to_memory(url, kind="download", max_bytes=max_bytes, is_typed=False)

    async def fetch_image(self, url: str) -> bytes:
        """Fetch a picture that a person names by its URL, 10 MB at most, without the key. Raises ``DownloadError``."""
        return await self._downloader.to_memory(url, kind="fetch", max_bytes=c.IMAGE_FILE_MAX_BYTES, is_typed=True)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._network.aclose()

    # One call ---------------------------------------------------------------------------------------------------------

    async def _submit_as(self, request: ImageRequest, envelope: str) -> Submitted:
        call = self.dialect.submit(request, envelope=envelope)
        body = encode_body(call)
        reply = await self._send("submit", call, self._timeouts.submit_deadline_s(len(body)), body)
        self._note_clock(reply)
        match self.dialect.read_submit(self._reader.body_of(reply)):
            case Submitted() as submitted if submitted.request_id:
                return replace(submitted, request_id=self._reader.mask(submitted.request_id))
            case Submitted() as submitted:
                return replace(submitted, request_id=self._reader.request_id_of(reply))
            case ServiceFault():
                raise self._reader.refused(reply)
            case None:
                raise self._reader.unreadable(reply, wanted="task id", salvage=True)

    async def _submit_otherwise(self, request: ImageRequest, envelope: str, refusal: InvalidRequestError) -> Submitted:
        """Try the other envelope; if that is refused as well, the first refusal is the one that counts."""
        try:
            submitted = await self._submit_as(request, envelope)
        except InvalidRequestError:
            pass  # any other error is raised: a task may exist, or the service wants to be asked later
        else:
            self._remember(envelope)
            return submitted
        said, forms = refusal.service_message.rstrip(". "), ", ".join(self._envelopes)
        raise InvalidRequestError(
            f"{said}. Both forms of the body were refused: {forms}.",
            code=refusal.code,
            request_id=refusal.request_id,
            http_status=refusal.http_status,
            hint=refusal.hint,
        )

    def _remember(self, envelope: str) -> None:
        self.envelope = envelope
        if self._on_envelope is not None:
            self._on_envelope(envelope)

    async def _send(self, kind: str, call: Call, deadline_s: float, body: bytes = b"") -> Reply:
        query = f"?{urlencode(call.params)}" if call.params else ""
        headers = {"Accept": "application/json", "Content-Type": "application/json", **call.headers}
        url = f"{self.base_url}{call.path}{query}"
        for _ in range(QUERY_REDIRECTS_MAX + 1):
            reply = await self._network.exchange(
                kind, call.method, url, headers=headers, content=body, deadline_s=deadline_s
            )
            # A submit or a cancel never follows: a redirected POST may be made twice, or turn into a GET.
            target = same_origin_target(reply, url) if call.method == "GET" else ""
            if not target:
                break
            url = target
        if error := self._reader.error_of(reply):
            raise error
        return reply

    async def _list_window(
        self, found: dict[str, TaskState], start: datetime, end: datetime, status: str | None
    ) -> None:
        count = 0
        for page in range(1, LIST_PAGES_MAX + 1):
            call = self.dialect.list_tasks(start=start, end=end, page=page, page_size=LIST_PAGE_SIZE, status=status)
            reply = await self._send("list", call, self._timeouts.status_s)
            listed = self.dialect.read_list(self._reader.body_of(reply))
            if not listed.is_list and (page == 1 or self._reader.body_of(reply) is None):
                raise self._reader.unreadable(reply, wanted="list of tasks")
            is_new = any(task.task_id not in found for task in listed.tasks)
            found |= {task.task_id: task for task in listed.tasks}
            count += len(listed.tasks)
            # A page shorter than asked proves nothing: the service may have a smaller limit of its own.
            is_last = count >= listed.total if listed.total is not None else listed.pages == page
            if not is_new or is_last:
                return

    def _with_masked_texts(self, state: TaskState, reply: Reply) -> TaskState:
        """Mask everything that is shown or recorded; addresses stay as they are, or the picture would be lost."""
        # Masked before it is cut to length: half a key is still a part of it.
        masked = self.dialect.read_poll(self._reader.masked_body_of(reply), task_id=state.task_id)
        if masked is None:
            return replace(state, error_code="", error_message="", usage={}, metadata={})
        pairs = zip(state.outputs, masked.outputs, strict=False)
        return replace(masked, outputs=tuple(replace(shown, url=found.url) for found, shown in pairs))

    def _note_clock(self, reply: Reply) -> None:
        if (server_s := http_time(reply.headers.get("date", ""))) is not None:
            self.clock_offset_s = server_s - self._wall_clock()


def _host_of(base_url: str) -> str:
    try:
        return httpx.URL(base_url).host
    except httpx.InvalidURL:
        pass
    raise SettingsError(f"The base URL {base_url[:100]!r} cannot be used.", hint="Set WAN_BASE_URL, or leave it out.")


def _checked_envelope(envelope: str, known: tuple[str, ...]) -> str:
    if len(known) == 1:
        return known[0]  # the service has one form only; the setting belongs to the gateway
    if envelope not in ("auto", *known):
        raise SettingsError(f"envelope = {envelope!r} is not known.", hint=f"Known: auto, {', '.join(known)}.")
    return envelope
