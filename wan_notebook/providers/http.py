"""``ServiceClient``: submit, status, cancel, list, download.

Each call is one attempt; what to repeat is decided by the worker.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
from pydantic import SecretStr

from .._version import __version__
from ..errors import ConnectionFailedError, InvalidRequestError, ServiceError, SettingsError
from ..models import DASHSCOPE_REGIONS, RESULT_MAX_BYTES
from ..request import ImageRequest
from ..settings import IN_PROCESS_URL, check_key
from ..text import HIDDEN, KeyMask
from .base import Call, Submitted, TaskState, Timeouts, change_texts
from .dashscope import DashScope
from .download import Downloaded, Downloader
from .gateway import Gateway
from .network import (
    CONNECTIONS_MAX,
    POOLED,
    SEPARATE,
    EnvironmentTransport,
    GuardedTransport,
    Resolver,
    SendTrace,
    explain,
    is_loopback,
    proxy_for,
    resolve,
)
from .replies import JSON_MAX_BYTES, Reply, error_in_success, error_of, raw_chunks, unpack, unreadable

USER_AGENT: Final = f"wan-notebook/{__version__} (+https://github.com/wan-notebook/wan-notebook)"
LIST_PAGE_SIZE: Final = 50
LIST_PAGES_MAX: Final = 100
LIST_WINDOW: Final = timedelta(hours=24)
"""DashScope answers for at most a day at a time; a longer time is asked for in pieces."""

_CREATES_NO_TASK: Final = (400, 422)
_DEFAULT_TIMEOUTS: Final = Timeouts()


def dialect_for(provider: str) -> Gateway | DashScope:
    """Return how a provider is spoken to; the simulator speaks the gateway's dialect. Raises ``SettingsError``."""
    match provider:
        case "gateway" | "simulator":
            return Gateway()
        case "dashscope":
            return DashScope()
    hint = "Known: gateway, dashscope, simulator (WAN_PROVIDER)."
    raise SettingsError(f"{provider!r} is not a known provider.", hint=hint)


class ServiceClient:
    """Speaks to one service. Asynchronous, for one event loop; nothing is connected or built before the first call.

    Parameters
    ----------
    provider
        ``gateway``, ``dashscope`` or ``simulator``.
    base_url
        With or without the API's own path and a trailing slash.
    key
        None: no key is sent.
    key_source
        Where the key was found, for the hint about one that is refused.
    envelope
        ``auto``, ``flat`` or ``params`` (WAN_API §2). ``auto`` begins with ``first_envelope``, which worked at this
        address before, and tells ``on_envelope`` what works now.
    transport
        Replaces the network; for the simulator inside this process only as far as it is asked itself.
    resolver
        Returns the addresses of a host name, in place of the system's resolver.

    Raises
    ------
    SettingsError
        The provider, the base URL or the envelope cannot be used.
    """

    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        key: SecretStr | None,
        key_source: str = "",
        envelope: str = "auto",
        first_envelope: str = "",
        on_envelope: Callable[[str], None] = lambda _: None,
        transport: httpx.AsyncBaseTransport | None = None,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        monotonic: Callable[[], float] = time.monotonic,
        resolver: Resolver | None = None,
    ) -> None:
        self.name = provider
        self._dialect = dialect_for(provider)
        self.base_url = self._dialect.base_url(base_url)
        self._base = httpx.URL(self.base_url)
        self.can_cancel = self.can_list = isinstance(self._dialect, DashScope)
        known = self._dialect.envelopes
        if envelope not in ("auto", *known) and len(known) > 1:  # else the setting belongs to another service
            raise SettingsError(f"envelope = {envelope!r} is not known.", hint=f"Known: auto, {', '.join(known)}.")
        self.envelope = envelope if len(known) > 1 else known[0]
        # A stable sort: the one that worked before comes first.
        self._envelopes = sorted(known, key=lambda name: name != first_envelope)
        self._on_envelope = on_envelope
        self._key, self._key_source = key, key_source
        self._mask = KeyMask(key.get_secret_value() if key else "")
        self._timeouts = timeouts
        self._permits = asyncio.Semaphore(CONNECTIONS_MAX)
        in_process = self.base_url == IN_PROCESS_URL
        is_replaced = transport is not None and not in_process
        guarded = GuardedTransport(
            inner=transport if is_replaced and transport else EnvironmentTransport(SEPARATE),
            service_host=self._base.host,
            allows_loopback=is_loopback(self._base.host),
            resolver=resolver or (None if is_replaced else resolve),
        )
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        mounts = {f"all://{self._base.host}": transport} if in_process else None
        self._files = httpx.AsyncClient(transport=guarded, mounts=mounts, headers=headers)
        self._api = httpx.AsyncClient(transport=transport or EnvironmentTransport(POOLED), headers=headers)
        self._downloader = Downloader(client=self._files, timeouts=timeouts, monotonic=monotonic)

    def __repr__(self) -> str:
        return f"ServiceClient(provider={self.name!r}, base_url={self.base_url!r})"

    @property
    def host(self) -> str:
        """Host of the service, with its port if that is not the usual one."""
        return self._base.netloc.decode("ascii")

    async def submit(self, request: ImageRequest) -> Submitted:
        """Start a task with one POST, never repeated.

        Only the envelope ``auto`` sends a second one, after HTTP 400 or 422, which create no task (WAN_API §2); what
        worked is remembered in ``envelope``.

        Raises
        ------
        NotSentError
            No byte of the request can have left.
        ConnectionLostError
            The request may have arrived.
        UnexpectedReplyError
            The reply cannot be read; ``salvaged_task_id`` is there if a cut reply shows one.
        ServiceError
            The service answered with an error.
        """
        if self.envelope != "auto":
            return await self._submit_as(request, self.envelope)
        refusals: list[InvalidRequestError] = []
        for envelope in self._envelopes:
            try:
                submitted = await self._submit_as(request, envelope)
            except InvalidRequestError as error:
                if error.http_status not in _CREATES_NO_TASK:
                    raise
                refusals.append(error)
            else:
                self.envelope = envelope
                self._on_envelope(envelope)
                return submitted
        raise refusals[0]

    async def status(self, task_id: str) -> TaskState:
        """Ask once for a task's state. Raises like ``submit``; an unreadable reply says nothing about the task."""
        reply = await self._send(self._dialect.poll(task_id), self._timeouts.status_s)
        state = self._dialect.read_poll(reply.body, task_id=task_id)
        if state is None:
            raise self._query_error(reply, "state of the task")
        kept = {name: change_texts(getattr(state, name), self._mask.mask) for name in ("usage", "metadata")}
        return replace(state, request_id=state.request_id or reply.request_id, **kept)

    async def cancel(self, task_id: str) -> bool:
        """Ask the service to cancel a task; False if it cannot, or no longer (WAN_API §3: only while pending)."""
        if not isinstance(self._dialect, DashScope):
            return False
        try:
            reply = await self._send(self._dialect.cancel(task_id), self._timeouts.status_s)
        except InvalidRequestError:
            return False
        if reply.cut:
            raise unreadable(reply, wanted="answer to the cancel")
        return error_in_success(reply, "") is None

    async def list_tasks(self, *, start: datetime, end: datetime) -> list[TaskState]:
        """Return the tasks submitted between two times, each once, at most 5000 a day.

        The times go out as they stand: the service's clock has no zone (WAN_API §3). Raises like ``status``, and
        ``InvalidRequestError`` where the service has no list.
        """
        if not isinstance(self._dialect, DashScope):
            raise InvalidRequestError(f"The {self.name} has no list of tasks.")
        found: dict[str, TaskState] = {}
        while start < end:
            until = min(end, start + LIST_WINDOW)
            for page in range(1, LIST_PAGES_MAX + 1):
                call = self._dialect.list_tasks(start=start, end=until, page=page, page_size=LIST_PAGE_SIZE)
                reply = await self._send(call, self._timeouts.status_s)
                tasks = self._dialect.read_list(reply.body)
                if tasks is None and (page == 1 or reply.body is None):
                    raise self._query_error(reply, "list of tasks")
                new = {task.task_id: task for task in tasks or () if task.task_id not in found}
                found |= new
                if not new:  # a page shorter than asked proves nothing: the service may have a smaller limit
                    break
            start = until
        return list(found.values())

    async def download(self, url: str, *, part: Path, max_bytes: int = RESULT_MAX_BYTES) -> Downloaded:
        """Fetch a result into ``part`` in one attempt, without the key (WAN_API §4); the next attempt continues it.

        Raises
        ------
        DownloadError
            Its ``kind`` is one of those that ``Downloader`` lists.
        StoreError
            The file cannot be written.
        """
        return await self._downloader.to_file(url, part=part, max_bytes=max_bytes)

    async def fetch_image(self, url: str) -> bytes:
        """Fetch a picture that a person names by its URL, without the key. Raises ``DownloadError``."""
        return await self._downloader.to_memory(url)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._files.aclose()
        await self._api.aclose()

    async def _submit_as(self, request: ImageRequest, envelope: str) -> Submitted:
        call = self._dialect.submit(request, envelope=envelope)
        body = json.dumps(call.body, ensure_ascii=False, separators=(",", ":")).encode()
        deadline_s = self._timeouts.submit_s + len(body) / self._timeouts.upload_bytes_per_s
        reply = await self._send(call, deadline_s, body)
        found = self._dialect.read_submit(reply.body)
        if found is None or HIDDEN in found.task_id:  # an echoed key, which must not become the job's record
            error = error_in_success(reply, self._key_hint())
            raise error or unreadable(reply, wanted="task id", id_names=self._dialect.id_names)
        return replace(found, request_id=found.request_id or reply.request_id)

    def _query_error(self, reply: Reply, wanted: str) -> ServiceError:
        """Return the error of a query whose answer is not there; only one with a status of its own is the service's."""
        error = error_in_success(reply, self._key_hint())
        return error if error and error.http_status else unreadable(reply, wanted=wanted)

    async def _send(self, call: Call, deadline_s: float, body: bytes = b"") -> Reply:
        """Make an API call, and raise the error that the reply's status means."""
        reply = await self._exchange(call, deadline_s, body)  # holds the unmasked bytes in a frame of its own
        if error := error_of(reply, self._key_hint()):
            raise error
        return reply

    async def _exchange(self, call: Call, deadline_s: float, body: bytes) -> Reply:
        """Send one request with the key and read the reply as far as it comes; redirects are not followed.

        Raises ``NotSentError`` or ``ConnectionLostError`` if not even a status line came.
        """
        failure: ConnectionFailedError
        response: httpx.Response | None = None
        trace, data, cut = SendTrace(), bytearray(), ""
        async with self._permits:
            try:
                request = self._api.build_request(
                    call.method,
                    httpx.URL(f"{self.base_url}{call.path}", params=call.params or None),
                    headers={"Accept": "application/json", "Content-Type": "application/json", **call.headers},
                    content=body,
                    # Writing has no timeout of its own: httpcore would count the whole body as one write.
                    timeout=httpx.Timeout(None, connect=self._timeouts.connect_s),
                    extensions={"trace": trace},
                )
                if self._key is not None:
                    check_key(self._key)
                    # Into the headers at once, and into no variable: a repr shows no headers.
                    request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
                async with asyncio.timeout(deadline_s):
                    response = await self._api.send(request, stream=True)
                    async for chunk in raw_chunks(response):
                        data += chunk
                        if len(data) > JSON_MAX_BYTES:
                            break
            except Exception as error:  # noqa: BLE001 - whatever broke, it may have arrived, and its frames hold the key
                failure = explain(error, self.host, proxy_for(self._base) if trace.is_traced else None, trace)
                cut = failure.message
            finally:
                if response is not None:
                    await response.aclose()
        if response is None:
            raise failure
        unpacked, problem = unpack(bytes(data), response.headers)
        return Reply(
            host=self.host,
            http_status=response.status_code,
            headers=response.headers,
            data=unpacked,
            cut=cut or problem,
            mask=self._mask,
        )

    def _key_hint(self) -> str:
        """Say what to do about a key that is refused."""
        regions = f" ({', '.join(DASHSCOPE_REGIONS)})" if isinstance(self._dialect, DashScope) else ""
        is_variable = self._key_source.isupper()  # a variable comes before what is stored
        source = f"The key came from {self._key_source}. " if self._key_source else ""
        then = f", once {self._key_source} is unset" if is_variable else ""
        return f"{source}A key belongs to one service and region{regions}: `%wan login` stores another{then}."
