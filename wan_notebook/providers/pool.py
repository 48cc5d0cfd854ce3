"""``ClientPool``: which service is asked, with which key, over the network or inside this process."""

import asyncio
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import httpx

from ..environment import Settings
from ..errors import MissingKeyError, SettingsError
from ..models import DASHSCOPE_REGIONS, GATEWAY_URL
from ..settings import KEY_PLACES, KEY_VARIABLE, SettingsLoader, check_key
from ..text import one_line
from .base import Timeouts
from .http import ServiceClient, dialect_for

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ..database import JobRow

log = logging.getLogger(__name__)
_CATALOGUE: Final[Mapping[str, tuple[str, ...]]] = {
    "gateway": (GATEWAY_URL,),
    "dashscope": tuple(DASHSCOPE_REGIONS.values()),
}
_DEFAULT_TIMEOUTS: Final = Timeouts()


class ClientPool:
    """Makes each client once, by provider, address, key and envelope.

    Parameters
    ----------
    loader
        Where settings come from, and where the envelope that works at an address is noted.
    transport_for
        Replaces the network of a client by a transport; None for the real one.
    """

    def __init__(
        self,
        loader: SettingsLoader,
        *,
        transport_for: Callable[[Settings], httpx.AsyncBaseTransport | None] = lambda _: None,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
    ) -> None:
        self._loader = loader
        self._transport_for = transport_for
        self._timeouts = timeouts
        self._clients: dict[tuple[str, ...], ServiceClient] = {}
        self._made: list[ServiceClient] = []

    def client(self, settings: Settings) -> ServiceClient:
        """Return the client of these settings. Raises ``SettingsError`` for an address that cannot be used."""
        identity = (settings.provider, settings.base_url, settings.key_fingerprint, settings.envelope)
        if identity not in self._clients:
            self._clients[identity] = self._new(settings, settings.key)
        return self._clients[identity]

    def client_for(self, row: "JobRow") -> ServiceClient:
        """Return the client that may ask for an earlier job.

        A row can come from somebody else's folder, so its address alone never decides where a key goes: it must have
        exactly the configured scheme, host and port, or be an https address of the same provider's catalogue.

        Raises
        ------
        SettingsError
            The job was submitted somewhere else.
        """
        settings = self._loader.load(row.provider)
        if not row.base_url or row.base_url == settings.base_url:
            return self.client(settings)
        if _is_trusted(row.base_url, settings):
            return self.client(settings.with_base_url(row.base_url))
        where = one_line(row.base_url, 100)
        message = f"Job {row.id} was submitted to {where}, not to {settings.base_url}: no key is sent there."
        hint = f"If that address is yours, set WAN_BASE_URL={where} and run `%wan resume`."
        raise SettingsError(message, hint=hint)

    def fetcher(self) -> ServiceClient:
        """Return a client that fetches a person's input pictures; it never holds a key."""
        settings = self._loader.load()
        identity = ("fetch", settings.base_url)
        if identity not in self._clients:
            self._clients[identity] = self._new(settings, None)
        return self._clients[identity]

    def new(self, *, provider: str, base_url: str, key: "SecretStr | None") -> ServiceClient:
        """Return a new client that nobody else uses, to try a key."""
        return self._new(self._loader.load(provider).with_base_url(base_url), key)

    def simulator_app(self) -> Any:
        """Return the simulator inside this process, made once; it follows the settings."""
        settings, simulator = self._loader.load("simulator"), self._app.state.simulator
        chosen = {"seconds": settings.simulator_seconds, "price": settings.simulator_price}
        simulator.config = replace(
            simulator.config,
            queries_per_s=settings.queries_per_s,
            submits_per_s=settings.submits_per_s,
            in_flight=settings.in_flight,
            **{name: value for name, value in chosen.items() if value is not None},
        )
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
        if settings.provider != "simulator" and settings.key is None:
            variable = KEY_VARIABLE[settings.provider]
            message = f"There is no key for {settings.provider} (looked in {variable} and in %wan login)."
            raise MissingKeyError(message, hint=f"Set {variable}, or run `%wan login`.")
        if settings.provider == "simulator" and not settings.is_provider_named:
            reason = "this folder holds real pictures" if has_real_jobs else ""
            reason = "WAN_BASE_URL names a service" if settings.is_url_named else reason
            if reason:
                message = f"No key was found (looked in {KEY_PLACES}), and {reason}."
                hint = "Set a key, run `%wan login`, or name the simulator: `--provider simulator`."
                raise MissingKeyError(message, hint=hint)
        if settings.in_process:
            self.simulator_app()
        check_key(settings.key)
        self.client(settings)

    def forget(self) -> None:
        """Make clients anew on next use; running jobs keep theirs."""
        self._clients.clear()

    async def aclose(self) -> None:
        """Close every connection; call on the loop that uses them."""
        await asyncio.gather(*(client.aclose() for client in self._made), return_exceptions=True)

    def _new(self, settings: Settings, key: "SecretStr | None") -> ServiceClient:
        transport, url = self._transport_for(settings), settings.base_url
        if transport is None and settings.in_process:
            transport = httpx.ASGITransport(app=self.simulator_app())
        client = ServiceClient(
            provider=settings.provider,
            base_url=url,
            key=key,
            key_source=settings.key_source,
            envelope=settings.envelope,
            first_envelope=self._loader.envelope(url),
            on_envelope=lambda worked: self._loader.remember_envelope(url, worked),
            transport=transport,
            timeouts=self._timeouts,
        )
        self._made.append(client)
        return client

    @cached_property
    def _app(self) -> Any:
        from ..simulator import SimulatorConfig, create_app

        folder = self._loader.data_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # SQLite tells only at the first write that it cannot
                return create_app(SimulatorConfig(state_path=folder / "simulator.db"))
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            log.warning("Simulated jobs end with this kernel: %s cannot be used (%s).", folder, reason)
            return create_app(SimulatorConfig())


def _is_trusted(recorded: str, settings: Settings) -> bool:
    """Say whether a recorded address is the configured one or the provider's own, rather than anybody's."""
    dialect = dialect_for(settings.provider)
    try:
        recorded = dialect.base_url(recorded)
        one, other = httpx.URL(recorded), httpx.URL(settings.base_url)
    except (SettingsError, httpx.InvalidURL):
        return False
    is_configured = (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
    is_configured = is_configured and not settings.in_process
    return is_configured or recorded in map(dialect.base_url, _CATALOGUE.get(settings.provider, ()))
