"""Commands that set things up: config, login, doctor, nest."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from .. import catalog, settings
from ..client import Client
from ..errors import AuthError, CellError, Problem, RequestError, SettingsError, WanError
from ..money import SYMBOLS, to_decimal
from ..present.doctor import examine, probe
from ..secret import Secret
from ..subcommands import SubCall
from ..views.tables import doctor_bundle
from .context import Context

_FLAGS: Final = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}
_CHOICES: Final = {
    "replay": ("on", "only", "off"),
    "envelope": ("auto", "flat", "params"),
    "polling": ("prompt", "economical"),
    "provider": (*catalog.PROVIDERS, "auto"),
}
_KNOWN: Final = "price, provider, wait, embed, replay, envelope, polling"


def do_config(call: SubCall, ctx: Context) -> None:
    """Show the settings, or set some for all later sessions. All problems come together."""
    given = dict(call.options.get("settings", {}))
    changes: dict[str, Any] = {}
    problems = [p for key, value in given.items() if (p := _read_setting(key, value, changes, ctx)) is not None]
    if problems:
        raise RequestError(problems)
    if changes:
        ctx.session.sources.store(**changes)
        ctx.session.forget_clients()
    ctx.say("\n".join(_setting_lines(ctx)))


def _read_setting(key: str, value: str, changes: dict[str, Any], ctx: Context) -> Problem | None:
    name, _, provider = key.partition(".")
    text = value.strip().lower()
    if name in ("wait", "embed") and text in (*_FLAGS, "auto"):
        changes[name] = _FLAGS.get(text)  # auto: as the front end, or the default, says
    elif name in _CHOICES and text in _CHOICES[name]:
        changes[name] = None if text == "auto" else text
    elif name == "price":
        return _read_price(provider or ctx.session.settings().provider.name, value, changes, ctx)
    elif name in _CHOICES or name in ("wait", "embed"):
        known = ", ".join(_CHOICES.get(name, ("on", "off", "auto")))
        return Problem(key, repr(value), "is not known.", f"Use one of: {known}.")
    else:
        return Problem(key, repr(value), "is no setting.", f"Known: {_KNOWN}.")
    return None


def _read_price(provider: str, value: str, changes: dict[str, Any], ctx: Context) -> Problem | None:
    number, _, currency = value.strip().partition(" ")
    symbols = {symbol: code for code, symbol in SYMBOLS.items()}
    if number[:1] in symbols:
        number, currency = number[1:], currency or symbols[number[:1]]
    currency = currency.strip().upper() or "USD"
    amount = to_decimal(number)
    if provider not in catalog.MODEL_NAME:
        text = "has no price; a price belongs to gateway or dashscope."
        return Problem("price", provider, text, "Write price.gateway=0.03 or price.dashscope=0.2 with a currency.")
    if (value.strip().lower() != "off" and amount is None) or len(currency) != 3:
        return Problem(
            "price", repr(value), "is no price.", 'Write price=0.03, "price.dashscope=0.2 CNY", or price=off.'
        )
    stored = ctx.session.sources.stored().get("prices")
    prices = dict(stored) if isinstance(stored, dict) else {}
    if amount is None:
        prices.pop(provider, None)
    else:
        prices[provider] = [str(amount), currency]
    changes["prices"] = prices
    return None


def _setting_lines(ctx: Context) -> list[str]:
    now = ctx.session.settings()
    prices = ", ".join(f"{name} {amount} {currency}" for name, (amount, currency) in now.prices.items())
    shown = {
        "provider": f"{now.provider.name} ({now.provider.chosen_because})",
        "base URL": now.provider.base_url,
        "price": prices or "not set",
        "wait": "as the front end says" if now.wait is None else ("on" if now.wait else "off"),
        "embed": "on" if now.embed else "off",
        "replay": now.replay,
        "envelope": now.envelope,
        "polling": now.polling,
        "queries per second": f"{now.queries_per_s:g}" if now.queries_per_s else "no limit",
        "stored in": str(ctx.session.sources.config_path),
    }
    return [f"{name:20}{value}" for name, value in shown.items()]


def do_login(_call: SubCall, ctx: Context) -> None:
    """Choose the service, take the key without showing it, find the region that accepts it, remember both."""
    ask, ask_hidden = _prompts(ctx)
    provider = ask("Service (gateway or dashscope) [gateway]: ").strip().lower() or "gateway"
    if provider not in catalog.MODEL_NAME:
        message = f"service = {provider!r} is not known."
        raise SettingsError(message, remedy="Use gateway or dashscope.")
    key = Secret(ask_hidden(f"Key for {provider} (not shown): ").strip())
    if not key:
        message = "no key was given."
        raise SettingsError(message, remedy="Run `%wan login` again.")
    url, verdict = find_region(provider, key, ctx)
    where = ctx.session.sources.keys.write(provider, key)
    stored = ctx.session.sources.stored().get("base_urls")
    urls = {**(stored if isinstance(stored, dict) else {}), provider: url}
    ctx.session.sources.store(provider=provider, base_urls=urls)
    ctx.session.forget_clients()
    ctx.say(f"{verdict} The key is kept in {where}{_use(provider, key, url, ctx)}")


def _use(provider: str, key: Secret, url: str, ctx: Context) -> str:
    """Say what is used from now on: the environment comes before what is stored."""
    now = ctx.session.settings().provider
    if now.name != provider:
        return f", but {now.name} is used: {now.chosen_because}."
    if now.key != key:
        return f", but another one is used: {now.key_source} comes first."
    return f"; %wan uses {provider} at {url} from now on."


def find_region(provider: str, key: Secret, ctx: Context) -> tuple[str, str]:
    """Return the address that accepts a key, by a free status query. Raises ``AuthError`` if none does."""
    named = ctx.session.settings(provider).provider
    urls = [named.base_url]
    if provider == "dashscope" and not named.is_url_named:
        urls += [url for url in catalog.DASHSCOPE_REGIONS.values() if url not in urls]
    untold: list[tuple[str, str]] = []
    for url in urls:
        client = ctx.session.providers.make(provider=provider, base_url=url, key=key)
        try:
            ctx.session.runtime.submit(_probe(client)).result(timeout=60)
        except AuthError:
            continue
        except WanError as error:
            untold.append((url, error.message))
            continue
        return url, f"The key works at {url}."
    if untold:
        url, reason = untold[0]
        return url, f"The key could not be tried ({url}: {reason.rstrip('.')})."
    message = f"the key was refused at {', '.join(urls)}."
    raise AuthError(message, http_status=401, remedy="Check the key; a DashScope key belongs to one region.")


async def _probe(client: Client) -> None:
    try:
        await probe(client)
    finally:
        await client.aclose()


def _prompts(ctx: Context) -> tuple[Callable[[str], str], Callable[[str], str]]:
    from getpass import getpass

    from ..host import FrontEnd

    if ctx.front_end is FrontEnd.HEADLESS:
        message = "nobody is there to type a key."
        raise SettingsError(message, remedy=f"Set {settings.KEY_VARIABLE['gateway']} in the environment instead.")
    return input, getpass


def do_doctor(_call: SubCall, ctx: Context) -> None:
    """Check keys, service, folder, front end and versions."""
    ctx.publish(doctor_bundle(examine(ctx.session, ctx.shell)))


def do_nest(_call: SubCall, ctx: Context) -> None:
    """Apply nest_asyncio where it does no harm: ipykernel 6. Refused on 7, with what to write instead."""
    kernel = getattr(ctx.shell, "kernel", None)
    major = int(version("ipykernel").partition(".")[0]) if kernel is not None else 0
    if major >= 7:
        message = "nest_asyncio makes Run All lose cells on ipykernel 7, so it is not applied."
        raise CellError(message, remedy="Instead of asyncio.run(main()) write:\n      job = await main()\n      job")
    import nest_asyncio

    nest_asyncio.apply()
    ctx.say("nest_asyncio is applied: asyncio.run(main()) works in cells. %wan itself never needs it.")
