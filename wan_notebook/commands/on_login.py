"""Commands on keys: login and logout. Whatever is typed here may be a key, so nothing of it is echoed or repeated."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Final

from .. import catalog, settings
from ..client import Client
from ..errors import AuthError, CellError, SettingsError, WanError
from ..host import FrontEnd
from ..present.doctor import probe
from ..secret import EXPOSED, Secret, looks_like_key
from ..settings import Provider
from ..subcommands import SubCall
from .context import Context

SERVICES: Final = tuple(catalog.MODEL_NAME)
_TRIES: Final = 5
_WHICH: Final = "Service: g for gateway, d for dashscope (Enter: gateway{}): "
_UNSEEN: Final = "; not shown"


def do_login(call: SubCall, ctx: Context) -> None:
    """Choose the service, take the key without showing it, find the region that accepts it, remember both."""
    word = call.positionals[0] if call.positionals else ""
    named = _named(word) if word else ""
    ask = _prompt(ctx)
    provider, key = (named, None) if named else _ask_service(ask, ctx)
    key = key or _ask_key(ask, ctx, provider)
    asked = ctx.session.settings(provider).provider
    url, untried = find_region(provider, key, ctx)
    if untried and not _says_yes(ask(f"The key could not be tried ({untried}). Keep it untried? [y/N] (not shown): ")):
        message = f"the key could not be tried ({untried}); nothing was stored."
        raise SettingsError(message, hint="Run `%wan login` again when the service can be reached.")
    where = _remember(provider, key, url, asked, ctx)
    verdict = f"The key could not be tried ({untried})." if untried else f"The key works at {url}."
    ctx.say(f"{verdict} It is kept in {where}{_use(provider, key, url, ctx)}{_for_now(asked)}")


def do_logout(call: SubCall, ctx: Context) -> None:
    """Forget stored keys, of one service or of all, and that the service was chosen."""
    chosen = (_named(call.positionals[0]),) if call.positionals else SERVICES
    sources = ctx.session.sources
    lines = []
    for provider in chosen:
        held = sources.keys.read(provider)[0] is not None or provider in sources.session_keys
        sources.keys.forget(provider)
        sources.session_keys.pop(provider, None)
        left = " could not be removed from the keyring" if sources.keys.read(provider)[0] else " is removed"
        lines.append(f"The stored key of {provider}{left}." if held else f"No key of {provider} was stored.")
    _forget_choice(chosen, ctx)
    ctx.session.forget_clients()
    set_ones = [name for p in chosen if sources.env.get(name := settings.KEY_VARIABLE[p], "").strip()]
    lines += [f"{name} is still set in the environment: unset it and restart the kernel." for name in set_ones]
    now = ctx.session.settings().provider
    ctx.say("\n".join([*lines, f"%wan uses {now.name} from now on: {now.chosen_because}."]))


def find_region(provider: str, key: Secret, ctx: Context) -> tuple[str, str]:
    """Return the address that accepts a key, by a free status query, and why it could not be tried, if so.

    Raises ``AuthError`` if every address refuses it.
    """
    named = ctx.session.settings(provider).provider
    urls = [named.base_url]
    if not named.is_url_named:
        known = catalog.DASHSCOPE_REGIONS.values() if provider == "dashscope" else (catalog.GATEWAY_URL,)
        urls += [url for url in known if url not in urls]
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
        return url, ""
    if untold:
        url, reason = untold[0]
        return url, f"{url}: {reason.rstrip('.')}"
    message = f"the key was refused at {', '.join(urls)}."
    raise AuthError(message, http_status=401, hint="Check the key; a DashScope key belongs to one region.")


# What is typed -------------------------------------------------------------------------------------------------------


def _named(word: str) -> str:
    """Return the service of an argument. Raises ``CellError``, which repeats only what resembles a service's name."""
    if looks_like_key(word):
        raise CellError("that looks like a key; it was not used.", hint=EXPOSED)
    if word.lower() in SERVICES:
        return word.lower()
    near = difflib.get_close_matches(word.lower(), SERVICES, n=1, cutoff=0.6)
    what = f"{word!r} is no service" if near else "what stands after it is no service"
    raise CellError(f"{what}.", hint=f"Write %wan login {near[0] if near else ' or %wan login '.join(SERVICES)}")


def _ask_service(ask: Callable[[str], str], ctx: Context) -> tuple[str, Secret | None]:
    """Return the service, and the key if it was pasted first: then it is not asked for again."""
    key: Secret | None = None
    for _ in range(_TRIES):
        # Once the key is there, nothing secret is left to be typed by mistake.
        answer = (input(_WHICH.format("")) if key else ask(_WHICH.format(_UNSEEN))).strip()
        choice = answer.lower()
        if choice in ("", "1"):
            return "gateway", key
        if choice == "2":
            return "dashscope", key
        if found := [name for name in SERVICES if name.startswith(choice)]:
            return found[0], key
        if looks_like_key(answer):
            key = Secret(answer)
            ctx.say("That looks like a key: it is taken as the key, and not shown. Which service is it for?")
        else:
            ctx.say("That is no service: type g or d.")
    message = "no service was chosen."
    raise SettingsError(message, hint="Write `%wan login gateway` or `%wan login dashscope`.")


def _ask_key(ask: Callable[[str], str], ctx: Context, provider: str) -> Secret:
    for _ in range(_TRIES):
        answer = ask(f"Key for {provider} (not shown): ").strip()
        if answer.lower() in SERVICES:
            ctx.say(f"That is a service's name; now the key of {provider} is asked for.")
        elif answer:
            return Secret(answer)
        else:
            break
    message = "no key was given."
    raise SettingsError(message, hint="Run `%wan login` again.")


def _says_yes(answer: str) -> bool:
    return answer.strip().lower() in ("y", "yes")


def _prompt(ctx: Context) -> Callable[[str], str]:
    from getpass import getpass

    if ctx.front_end is FrontEnd.HEADLESS:
        message = "nobody is there to type a key."
        raise SettingsError(message, hint=f"Set {settings.KEY_VARIABLE['gateway']} in the environment instead.")
    return getpass


# What is kept --------------------------------------------------------------------------------------------------------


def _remember(provider: str, key: Secret, url: str, asked: Provider, ctx: Context) -> str:
    """Store key, service and address; an address of the environment is meant for now, and not stored."""
    sources = ctx.session.sources
    where = sources.keys.write(provider, key)
    changes: dict[str, object] = {"provider": provider, "provider_by": "login"}
    if not asked.is_url_named:
        changes["base_urls"] = {**_stored_urls(ctx), provider: url}
    sources.store(**changes)
    ctx.session.forget_clients()
    return where


def _forget_choice(chosen: tuple[str, ...], ctx: Context) -> None:
    stored = ctx.session.sources.stored()
    urls = {name: url for name, url in _stored_urls(ctx).items() if name not in chosen}
    changes: dict[str, object] = {"base_urls": urls or None}
    if stored.get("provider") in chosen:
        changes |= {"provider": None, "provider_by": None}
    if any(name in stored for name in changes):
        ctx.session.sources.store(**changes)


def _stored_urls(ctx: Context) -> dict[str, object]:
    stored = ctx.session.sources.stored().get("base_urls")
    return stored if isinstance(stored, dict) else {}


def _use(provider: str, key: Secret, url: str, ctx: Context) -> str:
    """Say what is used from now on: the environment comes before what is stored."""
    now = ctx.session.settings().provider
    if now.name != provider:
        return f", but {now.name} is used: {now.chosen_because}."
    if now.key != key:
        return f", but another one is used: {now.key_source} comes first."
    return f"; %wan uses {provider} at {url} from now on."


def _for_now(asked: Provider) -> str:
    return " WAN_BASE_URL holds while it is set; it is not stored." if asked.is_url_named else ""


async def _probe(client: Client) -> None:
    try:
        await probe(client)
    finally:
        await client.aclose()
