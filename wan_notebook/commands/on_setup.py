"""Commands that set things up: config, doctor, nest."""

from __future__ import annotations

import difflib
from importlib.metadata import version
from typing import Any, Final

from .. import catalog
from ..errors import CellError, Problem
from ..line import line_error
from ..money import read_amount
from ..present.doctor import examine
from ..secret import EXPOSED, looks_like_key, shown
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
_KNOWN: Final = ("price", "provider", "wait", "embed", "replay", "envelope", "polling")
_OF_KEYS: Final = ("key", "token", "secret", "password")


def do_config(call: SubCall, ctx: Context) -> None:
    """Show the settings, or set some for all later sessions. All problems come together."""
    given = dict(call.options.get("settings", {}))
    changes: dict[str, Any] = {}
    problems = [p for key, value in given.items() if (p := _read_setting(key, value, changes, ctx)) is not None]
    if problems:
        raise line_error(problems, spared="nothing was changed")
    if changes:
        if "provider" in changes:
            changes["provider_by"] = "config" if changes["provider"] else None
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
        hint = EXPOSED if looks_like_key(value) else f"Use one of: {known}."
        return Problem(key, shown(value), "is not known.", hint)
    else:
        return _no_setting(key, value)
    return None


def _no_setting(key: str, value: str) -> Problem:
    """Word an unknown setting without its value, which may be a key."""
    if looks_like_key(value) or looks_like_key(key) or any(word in key.lower() for word in _OF_KEYS):
        named = "•••" if looks_like_key(key) else key
        return Problem(named, "", "is no setting: a key is never given in a cell.", EXPOSED)
    near = difflib.get_close_matches(key.lower(), _KNOWN, n=2, cutoff=0.6)
    hint = f"Nearest: {', '.join(near)}." if near else f"Known: {', '.join(_KNOWN)}."
    return Problem(key, "", "is no setting.", hint)


def _read_price(provider: str, value: str, changes: dict[str, Any], ctx: Context) -> Problem | None:
    price = read_amount(value)
    if provider not in catalog.MODEL_NAME:
        text = "is no service that bills; without a key there are practice pictures, which cost nothing."
        hint = 'Name the service: %wan config price.gateway=0.03, or %wan config "price.dashscope=0.2 CNY"'
        return Problem("price", "" if looks_like_key(provider) else provider, text, hint)
    if value.strip().lower() != "off" and price is None:
        return Problem(
            "price", repr(value), "is no price.", 'Write price=0.03, "price.dashscope=0.2 CNY", or price=off.'
        )
    stored = ctx.session.sources.stored().get("prices")
    prices = dict(stored) if isinstance(stored, dict) else {}
    if price is None:
        prices.pop(provider, None)
    else:
        prices[provider] = [str(price[0]), price[1]]
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


def do_doctor(_call: SubCall, ctx: Context) -> None:
    """Check keys, service, folder, front end and versions."""
    ctx.publish(doctor_bundle(examine(ctx.session, ctx.shell)))


def do_nest(_call: SubCall, ctx: Context) -> None:
    """Apply nest_asyncio where it does no harm: ipykernel 6. Refused on 7, with what to write instead."""
    kernel = getattr(ctx.shell, "kernel", None)
    major = int(version("ipykernel").partition(".")[0]) if kernel is not None else 0
    if major >= 7:
        message = "nest_asyncio makes Run All lose cells on ipykernel 7, so it is not applied."
        raise CellError(message, hint="Instead of asyncio.run(main()) write:\n      job = await main()\n      job")
    import nest_asyncio

    nest_asyncio.apply()
    ctx.say("nest_asyncio is applied: asyncio.run(main()) works in cells. %wan itself never needs it.")
