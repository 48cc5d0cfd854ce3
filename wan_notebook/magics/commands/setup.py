"""Commands that set things up: config, doctor, nest."""

import argparse
from importlib.metadata import version
from typing import Any, Final

from ...errors import CellError, Problem, RequestError
from ...models import PROVIDERS
from ...money import format_amount, read_amount
from ...session import Session
from ...text import EXPOSED_HINT, HIDDEN, did_you_mean, looks_like_key, shown
from ..options import CONFIG_KEYS, SERVICES
from ..parser import YES, LineError
from .context import Context

_CHOICES: Final = {
    "provider": (*PROVIDERS, "auto"),
    "wait": ("on", "off", "auto"),
    "embed": ("on", "off"),
    "replay": ("on", "only", "off"),
    "envelope": ("auto", "flat", "params"),
    "polling": ("prompt", "economical"),
}
_KEY_WORDS: Final = ("key", "token", "secret", "password")


def run_config(options: argparse.Namespace, context: Context) -> None:
    """Show the settings, or set some for all later sessions; all problems come together."""
    from ...display import config_table, publish, table_bundle

    loader = context.session.loader
    changes: dict[str, Any] = {}
    said: list[str] = []
    problems: list[Problem] = []
    for word in options.words:
        try:
            said.append(_change(word, changes, loader.stored(), context.session.settings().provider))
        except RequestError as error:
            problems += error.problems
    if problems:
        raise LineError(problems, consequence="nothing was changed")
    if changes:
        if "provider" in changes:
            changes["provider_by"] = "config" if changes["provider"] else None
        loader.store(**changes)
        context.session.forget_clients()
    publish(table_bundle(config_table(_rows(context.session), message="; ".join(said), place=str(loader.config_path))))


def _rows(session: Session) -> list[tuple[str, str, str]]:
    """Return the settings in force as name, value and where the value comes from."""
    now, stored = session.settings(), session.loader.stored()
    limits = {"queries per second": now.queries_per_s, "tasks at once": now.in_flight, "per second": now.submits_per_s}
    values = {
        "provider": now.provider,
        "base URL": now.base_url,
        "price": ", ".join(f"{name} {format_amount(*price)}" for name, price in now.prices.items()) or "not set",
        "wait": "as the front end needs" if now.wait is None else "on" if now.wait else "off",
        "embed": "on" if now.embed else "off",
        "replay": now.replay,
        "envelope": now.envelope,
        "polling": now.polling,
        **{name: f"{value:g}" if value else "no limit" for name, value in limits.items()},
    }
    sources = {name: "%wan config" for name in CONFIG_KEYS if f"{name}s" in stored or name in stored}
    sources |= {"provider": now.chosen_because}
    return [(name, value, sources.get(name, "")) for name, value in values.items()] + [
        ("note", note, "") for note in now.notes
    ]


def _change(word: str, changes: dict[str, Any], stored: dict[str, Any], provider: str) -> str:
    """Add one ``KEY=VALUE`` to the changes and return what it changes. Raise ``RequestError``."""
    key, equals, value = (part.strip() for part in word.partition("="))
    name, _, service = key.lower().partition(".")
    text = value.lower()
    if any(map(looks_like_key, (word, key, value))) or any(secret in name for secret in _KEY_WORDS):
        named = HIDDEN if looks_like_key(key) else key
        raise RequestError([Problem(named, "", "a key is never given in a cell.", EXPOSED_HINT)])
    if not equals:
        message, hint = f"{shown(word)} is not a setting.", 'Write KEY=VALUE without spaces, or "KEY=a b".'
        raise RequestError([Problem("config", "", message, hint)])
    if name == "price":
        return _change_price(service or provider, value, changes, stored)
    if name not in CONFIG_KEYS:
        hint = did_you_mean(name, CONFIG_KEYS) or f"Known: {', '.join(CONFIG_KEYS)}."
        raise RequestError([Problem(key, "", f"{key!r} is not a setting.", hint)])
    if name in changes:
        raise RequestError([Problem(key, "", "is given more than once.", "Keep one.")])
    is_switch = name in ("wait", "embed")
    if text not in _CHOICES[name] and not (is_switch and text in YES):
        hint = f"Use one of: {', '.join(_CHOICES[name])}."
        raise RequestError([Problem(key, "", f"{shown(value)} is not a valid value.", hint)])
    changes[name] = None if text == "auto" else YES[text] if is_switch else text
    before = stored.get(name, "not set")
    return f"{name}: {before if not isinstance(before, bool) else 'on' if before else 'off'} → {text}"


def _change_price(service: str, value: str, changes: dict[str, Any], stored: dict[str, Any]) -> str:
    price = read_amount(value)
    if service not in SERVICES:
        message = f"{shown(service)} is not a service that bills."
        hint = 'Name the service: `%wan config price.gateway=0.03`, or `%wan config "price.dashscope=0.2 CNY"`'
        raise RequestError([Problem("price", "", message, hint)])
    if value.lower() != "off" and price is None:
        hint = 'Write price=0.03, "price.dashscope=0.2 CNY", or price=off.'
        raise RequestError([Problem("price", "", f"{shown(value)} is not a price.", hint)])
    known = changes.get("prices", stored.get("prices"))
    prices = dict(known) if isinstance(known, dict) else {}
    before = prices.pop(service, None)
    if price is not None:
        prices[service] = [str(price[0]), price[1]]
    changes["prices"] = prices
    old, new = (" ".join(map(str, one)) if one else "not set" for one in (before, price and (format_amount(*price),)))
    return f"price.{service}: {old} → {new}"


def run_doctor(_options: argparse.Namespace, context: Context) -> None:
    """Check keys, service, folders, front end and versions."""
    from ...display import doctor_table, publish, table_bundle
    from .doctor import examine

    publish(table_bundle(doctor_table(examine(context.session, context.shell))))


def run_nest(_options: argparse.Namespace, context: Context) -> None:
    """Apply nest_asyncio where it does no harm: on ipykernel 6."""
    major = int(version("ipykernel").partition(".")[0]) if getattr(context.shell, "kernel", None) is not None else 0
    if major >= 7:
        message = "nest_asyncio makes Run All lose cells on ipykernel 7, so it is not applied."
        raise CellError(message, hint="Write `job = await main()` in place of asyncio.run(main()).")
    import nest_asyncio

    nest_asyncio.apply()
    context.say("nest_asyncio is applied: asyncio.run(main()) works in cells. %wan itself never needs it.")
