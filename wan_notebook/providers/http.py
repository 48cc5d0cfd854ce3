"""``ServiceClient``: submit, status, cancel, list, download. ``ClientPool``: which service is asked, with which key.

Each call is one attempt; what to repeat is decided by the worker.
"""

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import SecretStr

from .. import errors
from .._version import __version__
from ..database import JobRow
from ..environment import Settings
from ..models import DASHSCOPE_REGIONS, GATEWAY_URL, MODEL, RESULT_MAX_BYTES
from ..request import ImageRequest
from ..settings import KEY_VARIABLE, SettingsLoader, check_key
from ..text import HIDDEN, KeyMask, one_line
from . import network
from .dialects import Call, DashScope, dialect_for
from .download import Downloader
from .network import Timeouts
from .replies import JSON_MAX_BYTES, Reply, TaskState, parse_json, raw_chunks, unpack

log = logging.getLogger(__name__)
_headers_log: Final = logging.getLogger("httpcore.http11")
"""Where httpcore writes the headers of replies, which may echo the key."""

USER_AGENT: Final = f"wan-notebook/{__version__} (+https://github.com/wan-notebook/wan-notebook)"
_DEFAULT_TIMEOUTS: Final = Timeouts()


@dataclass(repr=False)  # a proxy's address may hold a password
class EnvironmentTransport(httpx.AsyncBaseTransport):
    """httpx's own transport, with the proxy and the certificates that the environment sets when it is needed.

    Changes of the environment count from the next request on. The request extension ``is_direct`` says that no proxy
    is to be used.
    """

    limits: httpx.Limits
    transports: dict[tuple[str, str], httpx.AsyncHTTPTransport] = field(default_factory=dict)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises ``NotSentError`` if the certificates or the proxy cannot be used."""
        proxy = None if request.extensions.get("is_direct") else network.proxy_for(request.url)
        key = (proxy.url if proxy else "", os.environ.get("SSL_CERT_FILE", ""))
        if key not in self.transports:
            self.transports[key] = network.new_transport(proxy, self.limits)
        response = await self.transports[key].handle_async_request(request)
        response.extensions.pop("reason_phrase", None)  # httpx logs it, and it may echo the key
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in self.transports.values():
            await transport.aclose()


class ServiceClient:
    """Speaks to one service. Asynchronous, for one event loop; nothing is connected or built before the first call.

    Parameters
    ----------
    settings
        The provider, its address and key, and the envelope: ``auto``, ``flat`` or ``params`` (WAN_API §2). ``auto``
        keeps what worked.
    transport
        Replaces the network; for the simulator inside this process only as far as it is asked itself.
    resolver
        Returns the addresses of a host name, in place of the system's resolver.

    Raises
    ------
    SettingsError
        The base URL or the key cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        monotonic: Callable[[], float] = time.monotonic,
        resolver: network.Resolver | None = None,
    ) -> None:
        self.name = settings.provider
        self._dialect = dialect_for(settings.provider, settings.envelope)
        self._worked: dict[str, tuple[str, ...]] = {}
        self.base_url = self._dialect.base_url(settings.base_url)
        self._base = httpx.URL(self.base_url)
        self._host = self._base.netloc.decode("ascii")
        self.can_cancel = self.can_list = isinstance(self._dialect, DashScope)
        # The simulator's stand-in for a key is part of its address.
        self._mask = KeyMask(settings.key.get_secret_value() if settings.key and not settings.is_simulated else "")
        self._timeouts = timeouts
        self._permits = asyncio.Semaphore(network.CONNECTIONS_MAX)
        replaced = None if settings.in_process else transport
        guarded = network.GuardedTransport(
            inner=replaced or EnvironmentTransport(network.SEPARATE),
            service_host=self._base.host,
            resolver=resolver or (None if replaced else network.resolve),
        )
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        self._api = httpx.AsyncClient(
            transport=transport or EnvironmentTransport(network.POOLED),
            headers={**headers, "Accept": "application/json", "Content-Type": "application/json"},
        )
        check_key(settings.key)
        if settings.key is not None:
            # Into the headers at once, and into no variable: a repr shows no headers.
            self._api.headers["Authorization"] = f"Bearer {settings.key.get_secret_value()}"
        mounts = {f"all://{self._base.host}": transport} if settings.in_process else None
        files = httpx.AsyncClient(transport=guarded, mounts=mounts, headers=headers)
        self._downloader = Downloader(client=files, timeouts=timeouts, monotonic=monotonic)
        _headers_log.addFilter(self._masked)

    async def submit(self, request: ImageRequest) -> TaskState:
        """Start a task with one POST, never repeated.

        Only the envelope ``auto`` sends a second one, after HTTP 400 or 422, which create no task (WAN_API §2); what
        worked is remembered.

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
        refusals: list[errors.InvalidRequestError] = []
        for envelope in self._worked.get(request.model) or self._dialect.envelopes_for(request.model):
            try:
                reply = (await self._send(self._dialect.submit(request, envelope=envelope))).checked()
            except errors.InvalidRequestError as error:
                if error.http_status not in (400, 422):
                    raise
                refusals.append(error)
                continue
            found = self._dialect.read_submit(reply.body)
            if found is None or HIDDEN in found.task_id:  # an echoed key, which must not become the job's record
                raise reply.error_in_success() or reply.unreadable("task id")
            self._worked[request.model] = (envelope,)
            return found
        raise refusals[0]

    async def status(self, task_id: str) -> TaskState:
        """Ask once for a task's state. Raises like ``submit``; an unreadable reply says nothing about the task."""
        reply = (await self._send(self._dialect.poll(task_id))).checked()
        state = self._dialect.read_poll(reply.body, task_id=task_id)
        if state is None:
            raise self._query_error(reply, "state of the task")
        if leaking := next((file.url for file in state.files if HIDDEN in file.url), ""):
            what = f"sent a link that holds your key, so it is neither kept nor opened ({one_line(leaking, 100)})"
            raise reply.unexpected(what, "Replace the key: `%wan login`.")
        return state

    async def cancel(self, task_id: str) -> bool:
        """Ask the service to cancel a task; False if it is too late (WAN_API §3: only while the task is pending)."""
        try:
            reply = (await self._send(self._dialect.cancel(task_id))).checked()
        except errors.InvalidRequestError:
            return False
        if reply.cut or reply.body is None:
            raise reply.unreadable("answer to the cancel")
        return reply.error_in_success() is None

    async def list_tasks(self, *, start: datetime, end: datetime, model: str = MODEL) -> list[TaskState]:
        """Return a model's tasks submitted between two times, a day apart at most; each once, at most 5000.

        The times go out as they stand: the service's clock has no zone (WAN_API §3). Raises like ``status``, and
        ``InvalidRequestError`` where the service has no list.
        """
        if not isinstance(self._dialect, DashScope):
            raise errors.InvalidRequestError(f"The {self.name} has no list of tasks.")
        found: dict[str, TaskState] = {}
        for page in range(1, 101):
            reply = (await self._send(self._dialect.list_tasks(start=start, end=end, page=page, model=model))).checked()
            tasks = self._dialect.read_list(reply.body)
            if tasks is None and (page == 1 or reply.body is None):
                raise self._query_error(reply, "list of tasks")
            seen = len(found)
            found |= {task.task_id: task for task in tasks or () if task.task_id not in found}
            if len(found) == seen:  # a page shorter than asked proves nothing: the service may have a smaller limit
                break
        return list(found.values())

    async def download(self, url: str, *, part: Path, max_bytes: int = RESULT_MAX_BYTES) -> str:
        """Fetch a result into ``part`` in one attempt, without the key (WAN_API §4); the next attempt continues it.

        Returns its MIME type as the server states it.

        Raises
        ------
        DownloadError
            Its ``kind`` is one of those that ``Downloader`` lists.
        StoreError
            The file cannot be written.
        """
        if self._mask.is_in(url):  # recorded by an earlier version
            raise errors.DownloadError("The picture's link holds your key, so it is not opened.", kind="url")
        return await self._downloader.to_file(url, part=part, max_bytes=max_bytes)

    async def fetch_image(self, url: str) -> bytes:
        """Fetch a picture that a person names by its URL, without the key. Raises ``DownloadError``."""
        return await self._downloader.to_memory(url)

    async def aclose(self) -> None:
        """Close the connections."""
        _headers_log.removeFilter(self._masked)
        await self._downloader.client.aclose()
        await self._api.aclose()

    def _masked(self, record: logging.LogRecord) -> bool:
        """Take the key out of a log record."""
        record.msg, record.args = self._mask.mask(record.getMessage()), ()
        return True

    def _query_error(self, reply: Reply, wanted: str) -> errors.ServiceError:
        """Return the error of a query whose answer is not there; only one with a status of its own is the service's."""
        error = reply.error_in_success()
        return error if error and error.http_status else reply.unreadable(wanted)

    async def _send(self, call: Call) -> Reply:
        """Send one request with the key and read the reply as far as it comes; redirects are not followed.

        Raises ``NotSentError`` or ``ConnectionLostError`` if not even a status line came.
        """
        content = json.dumps(call.body, ensure_ascii=False, separators=(",", ":")).encode() if call.body else b""
        upload_s = self._timeouts.submit_s + len(content) / self._timeouts.upload_bytes_per_s
        response: httpx.Response | None = None
        data, cut, is_traced, is_sending = bytearray(), "", False, False

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            """Note whether the first byte may have left; a tunnel's CONNECT tells the service nothing."""
            nonlocal is_traced, is_sending
            is_traced = True  # transports that are not httpcore's report nothing: the exception's class decides
            if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
                is_sending = True

        async with self._permits:
            try:
                streamed = self._api.stream(
                    call.method,
                    f"{self.base_url}{call.path}",
                    headers=call.headers,
                    content=content,
                    # Writing has no timeout of its own: httpcore would count the whole body as one write.
                    timeout=httpx.Timeout(None, connect=self._timeouts.connect_s),
                    extensions={"trace": trace},
                )
                async with asyncio.timeout(upload_s if content else self._timeouts.status_s), streamed as response:
                    async for chunk in raw_chunks(response):
                        data += chunk
                        if len(data) > JSON_MAX_BYTES:
                            break
            except Exception as error:  # noqa: BLE001 - whatever broke, it may have arrived, and its frames hold the key
                proxy = network.proxy_for(self._base) if is_traced else None
                failure = network.explain(
                    error, self._host, proxy, is_unsent=is_traced and not is_sending, is_sent=is_sending
                )
                cut = failure.message
        if response is None:
            raise failure
        unpacked, problem = unpack(bytes(data), response.headers)
        text = unpacked.decode("utf-8-sig", "replace")
        body = None if cut or problem else parse_json(text, self._mask)
        shown = self._mask.mask(text) if body is None else ""
        return Reply(self._host, response.status_code, response.headers, body, shown, cut or problem)


@dataclass(eq=False)
class ClientPool:
    """Makes each client once, by provider, address, key and envelope.

    Parameters
    ----------
    loader
        Where settings come from.
    transport_for
        Replaces the network of a client by a transport; None for the real one.
    """

    loader: SettingsLoader
    transport_for: Callable[[Settings], httpx.AsyncBaseTransport | None] = lambda _: None
    timeouts: Timeouts = _DEFAULT_TIMEOUTS
    _clients: dict[tuple[str, ...], ServiceClient] = field(default_factory=dict, init=False)

    def client(self, settings: Settings) -> ServiceClient:
        """Return the client of these settings. Raises ``SettingsError`` for an address that cannot be used."""
        identity = (settings.provider, settings.base_url, settings.key_fingerprint, settings.envelope)
        if identity not in self._clients:
            self._clients[identity] = self._new(settings)
        return self._clients[identity]

    def client_for(self, row: JobRow) -> ServiceClient:
        """Return the client that may ask for an earlier job.

        A row can come from somebody else's folder, so its address alone never decides where a key goes: it must have
        exactly the configured scheme, host and port, or be an https address of the same provider's catalogue.

        Raises
        ------
        SettingsError
            The job was submitted somewhere else.
        """
        settings = self.loader.load(row.provider)
        if not row.base_url or row.base_url == settings.base_url:
            return self.client(settings)
        dialect = dialect_for(settings.provider)
        with suppress(errors.SettingsError):  # an address that is none is not trusted
            catalogue = {"gateway": [GATEWAY_URL], "dashscope": [*DASHSCOPE_REGIONS.values()]}
            urls = (row.base_url, settings.base_url, *catalogue.get(settings.provider, ()))
            recorded, configured, *known = [httpx.URL(dialect.base_url(url)) for url in urls]
            is_same_origin = recorded.copy_with(raw_path=b"/") == configured.copy_with(raw_path=b"/")
            if recorded in known or (is_same_origin and not settings.in_process):
                return self.client(settings.model_copy(update={"base_url": row.base_url}))
        where = one_line(row.base_url, 100)
        message = f"Job {row.id} was submitted to {where}, not to {settings.base_url}: no key is sent there."
        hint = f"If that address is yours, set WAN_BASE_URL={where} and run `%wan resume`."
        raise errors.SettingsError(message, hint=hint)

    def fetcher(self) -> ServiceClient:
        """Return a client that fetches a person's input pictures; it never holds a key."""
        return self.client(self.loader.load().model_copy(update={"key": None, "key_fingerprint": ""}))

    def new(self, *, provider: str, base_url: str, key: SecretStr | None) -> ServiceClient:
        """Return a new client that nobody else uses, to try a key; the caller closes it."""
        return self._new(self.loader.load(provider).model_copy(update={"base_url": base_url, "key": key}))

    def simulator_app(self) -> Any:
        """Return the simulator inside this process, made once; it follows the settings."""
        settings, simulator = self.loader.load("simulator"), self._app.state.simulator
        told = {name: getattr(settings, name) for name in ("queries_per_s", "submits_per_s", "in_flight")}
        told |= {"price": settings.simulator_price, "seconds": settings.simulator_seconds}
        simulator.config = replace(simulator.config, **{name: told[name] for name in told if told[name] is not None})
        return self._app

    def require_usable(self, settings: Settings, has_real_jobs: bool) -> None:
        """Refuse a call before there is a job: without a key where one is meant, or with one that cannot be sent.

        Raises
        ------
        MissingKeyError
            There is no key, and a simulated picture must not pass for a real one.
        SettingsError
            The key or the address cannot be used.
        """
        is_chosen = settings.provider != "simulator" or settings.is_provider_named
        reasons = {
            f"{settings.provider} needs one": settings.key is None,
            "WAN_BASE_URL names a service": not is_chosen and settings.is_url_named,
            "this folder holds real pictures": not is_chosen and has_real_jobs,
        }
        if reason := next((why for why, holds in reasons.items() if holds), ""):
            variables = KEY_VARIABLE.get(settings.provider, " or ".join(KEY_VARIABLE.values()))
            hint = f"Set {variables}, run `%wan login`, or name the simulator: `--provider simulator`."
            raise errors.MissingKeyError(f"There is no key, and {reason}.", hint=hint)
        if settings.in_process:
            self.simulator_app()
        self.client(settings)

    async def aclose(self) -> None:
        """Close every connection; call on the loop that uses them."""
        await asyncio.gather(*(client.aclose() for client in self._clients.values()), return_exceptions=True)

    def _new(self, settings: Settings) -> ServiceClient:
        transport = self.transport_for(settings)
        if transport is None and settings.in_process:
            transport = httpx.ASGITransport(app=self.simulator_app())
        return ServiceClient(settings, transport=transport, timeouts=self.timeouts)

    @cached_property
    def _app(self) -> Any:
        from ..simulator import SimulatorConfig, create_app

        path = self.loader.data_dir / "simulator.db"
        try:
            return create_app(SimulatorConfig(state_path=path))
        except (OSError, sqlite3.Error) as error:
            log.warning("Simulated jobs end with this kernel: %s cannot be used (%s).", path.parent, error)
            return create_app(SimulatorConfig())
