"""Clients: which service is asked, with which key, over the network or inside this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from .. import catalog
from ..client import Client
from ..errors import MissingKeyError, SettingsError
from ..folders import data_dir
from ..ledger import JobRow, Ledger
from ..secret import Secret
from ..settings import KEY_VARIABLE, Provider, Settings, with_base_url
from . import envelopes

IN_PROCESS_URL = "http://simulator.invalid"
Factory = Callable[..., Client]


class Providers:
    """Makes each client once. ``factory`` and ``simulator`` can be replaced by tests."""

    def __init__(self, *, factory: Factory = Client, simulator: Callable[[], Any] | None = None) -> None:
        self._factory = factory
        self._make_simulator = simulator or _simulator_app
        self._app: Any = None
        self._clients: dict[tuple[str, str, str, str], Client] = {}
        self._made: list[Client] = []

    @property
    def clients(self) -> tuple[Client, ...]:
        """Every client made so far."""
        return tuple(self._clients.values())

    def located(self, settings: Settings) -> Settings:
        """Give the built-in simulator its address."""
        if settings.provider.name == "simulator" and not settings.provider.base_url:
            return replace(settings, provider=with_base_url(settings.provider, IN_PROCESS_URL))
        return settings

    def _new(self, **options: Any) -> Client:
        client = self._factory(**options)
        self._made.append(client)
        return client

    def client(self, settings: Settings) -> Client:
        """Return the client of the settings' provider."""
        provider = settings.provider
        fingerprint = provider.key.fingerprint if provider.key else ""
        key = (provider.name, provider.base_url, fingerprint, settings.envelope)
        if key not in self._clients:
            in_process = provider.base_url == IN_PROCESS_URL
            self._clients[key] = self._new(
                provider=provider.name,
                base_url=provider.base_url,
                key=provider.key,
                **self._form(provider.name, provider.base_url, settings.envelope),
                **({"app": self.app()} if in_process else {}),
            )
        return self._clients[key]

    def envelope(self, settings: Settings) -> str:
        """Return the form in which a submit's body would go out now, empty for a service's own."""
        if settings.envelope != "auto":
            return settings.envelope
        return envelopes.recall(settings.provider.base_url) if settings.provider.name == "gateway" else ""

    def _form(self, name: str, base_url: str, envelope: str) -> dict[str, Any]:
        if name != "gateway" or envelope != "auto":
            return {"envelope": envelope}
        return {
            "envelope": envelope,
            "first_envelope": envelopes.recall(base_url),
            "on_envelope": lambda worked: envelopes.remember(base_url, worked),
        }

    def make(self, *, provider: str, base_url: str, key: Secret | None) -> Client:
        """Return a new client that nobody else uses: to try a key."""
        return self._factory(provider=provider, base_url=base_url, key=key)

    def fetcher(self, settings: Settings) -> Client:
        """Return a client that fetches a person's input pictures; it never uses a key."""
        key = ("fetch", "", "", "")
        if key not in self._clients:
            self._clients[key] = self._new(
                provider="gateway", base_url=settings.provider.base_url or catalog.GATEWAY_URL, key=None
            )
        return self._clients[key]

    def practice_price(self, provider: Provider) -> Decimal | None:
        """Return the price of one picture that the simulator inside this process pretends; None for other services."""
        from ..simulator import SimulatorConfig

        if provider.name != "simulator" or provider.base_url != IN_PROCESS_URL:
            return None
        try:
            known: SimulatorConfig = self._app.state.simulator.config if self._app else SimulatorConfig.from_env()
        except (ValueError, AttributeError):  # a setting that it refuses, another app in a test
            return None
        return known.price

    def app(self) -> Any:
        """Return the simulator inside this process."""
        if self._app is None:
            self._app = self._make_simulator()
        return self._app

    def durations_s(self, row: JobRow) -> tuple[float, ...]:
        """Return how long the simulator inside this process says that its tasks take."""
        if row.base_url != IN_PROCESS_URL:
            return ()
        return (self.app().state.simulator.config.seconds,) * 4

    def client_of_row(self, settings_for: Callable[..., Settings], row: JobRow) -> Client:
        """Return the client that can ask for an earlier job: at the address where it was submitted, if it is safe.

        A row may come from somebody else's folder: its address alone never decides where a key goes.
        """
        settings = self.located(settings_for(row.provider))
        if row.base_url != settings.provider.base_url and _is_trusted(row.base_url, settings.provider.base_url):
            settings = replace(settings, provider=with_base_url(settings.provider, row.base_url))
        return self.client(settings)

    def key_fingerprint(self, settings_for: Callable[..., Settings], row: JobRow) -> str:
        """Return the fingerprint of the key that is in force for a row's provider."""
        key = settings_for(row.provider).provider.key
        return key.fingerprint if key else ""

    def require_usable(self, settings: Settings, ledger: Ledger | None) -> None:
        """Refuse to order without a key where one is meant, or with a key or an address that cannot be sent.

        Raises ``MissingKeyError`` or ``SettingsError``: before there is a job, which would wait for ever.
        """
        self._require_key(settings, ledger)
        if settings.provider.base_url != IN_PROCESS_URL:
            self.client(settings)
        elif self._make_simulator is _simulator_app and self._app is not None:
            simulator = self._app.state.simulator
            simulator.config = _simulator_config()  # WAN_SIMULATOR_SECONDS and _PRICE may change between two calls

    def _require_key(self, settings: Settings, ledger: Ledger | None) -> None:
        """Refuse to order without a key where one is meant: a practice picture must not pass for a real one."""
        provider = settings.provider
        if provider.name != "simulator":
            if provider.key is None:
                message = f"no key for {provider.name} (looked in {KEY_VARIABLE[provider.name]} and in %wan login)."
                raise MissingKeyError(message, hint=f"Set {KEY_VARIABLE[provider.name]}, or run `%wan login`.")
            return
        if provider.is_named:
            return
        reason = ""
        if provider.is_url_named:
            reason = "WAN_BASE_URL names a service"
        elif ledger is not None and ledger.has_real():
            reason = "this folder holds real pictures"
        if reason:
            looked = ", ".join(provider.looked_in)
            message = f"no key was found (looked in {looked}), and {reason}."
            hint = "Set a key, run `%wan login`, or name the simulator: `--provider simulator`."
            raise MissingKeyError(message, hint=hint)

    async def aclose(self) -> None:
        """Close every connection; call on the loop that uses them."""
        await asyncio.gather(*(client.aclose() for client in self._made), return_exceptions=True)

    def forget(self) -> None:
        """Make clients anew on next use; jobs that run keep theirs."""
        self._clients.clear()


def _is_trusted(recorded: str, current: str) -> bool:
    """Whether a recorded address is one of the service's own, rather than anybody's."""
    if not recorded or recorded == IN_PROCESS_URL:
        return False
    host = urlsplit(recorded).hostname or ""
    known = {urlsplit(url).hostname for url in (catalog.GATEWAY_URL, *catalog.DASHSCOPE_REGIONS.values())}
    is_secure = urlsplit(recorded).scheme == "https"
    same = host == urlsplit(current).hostname and urlsplit(recorded).port == urlsplit(current).port
    return same or (is_secure and (host in known or host.endswith(".maas.aliyuncs.com")))


def _simulator_app() -> Any:
    from ..simulator import create_app

    return create_app(_simulator_config())


def _simulator_config() -> Any:
    from ..simulator import SimulatorConfig

    try:
        return SimulatorConfig.from_env(state_path=data_dir() / "simulator.db")
    except ValueError as error:
        raise SettingsError(f"{error}.", hint="Set it to a number such as 3, or leave it out.") from None


__all__ = ["IN_PROCESS_URL", "Providers"]
