"""Login and logout. Anything typed here may be a key, so nothing of it is echoed or repeated."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...errors import AuthError, CellError, SettingsError, WanError
from ...models import DASHSCOPE_REGIONS, GATEWAY_URL
from ...settings import KEY_VARIABLE, check_key
from ...text import EXPOSED_HINT, did_you_mean, looks_like_key
from ..options import SERVICES
from .context import Context
from .doctor import PROBE_TIMEOUT_S, probe

if TYPE_CHECKING:
    from pydantic import SecretStr

_WHICH: Final = "Service: g for gateway, d for dashscope, Enter for gateway"


def run_login(options: argparse.Namespace, context: Context) -> None:
    """Choose the service, take the key unseen, find the region that accepts it, and remember both."""
    ask, session = _prompt(context), context.session
    provider, key = (_service(options.service), None) if options.service else _ask_service(ask, context)
    key = key or _ask_key(ask, context, provider)
    check_key(key)
    asked = session.settings(provider)
    url, untried = find_region(provider, key, context)
    if untried and ask(f"The key could not be tried ({untried}). Keep it untried? [y/N] ").strip().lower()[:1] != "y":
        message = f"the key could not be tried ({untried}); nothing was stored."
        raise SettingsError(message, hint="Run `%wan login` again when the service can be reached.")
    where = session.loader.keys.write(provider, key)
    changes: dict[str, Any] = {"provider": provider, "provider_by": "login"}
    if not asked.is_url_named:  # an address of the environment is meant for now
        changes["base_urls"] = {**_stored_urls(context), provider: url}
    session.loader.store(**changes)
    session.forget_clients()
    now = session.settings()
    use = f"%wan uses {provider} at {url} from now on."
    if now.provider != provider:  # the environment comes before what is stored
        use = f"But {now.provider} is used: {now.chosen_because}."
    elif now.key != key:
        use = f"But another key is used: {now.key_source} comes first."
    verdict = f"The key could not be tried ({untried})." if untried else f"The key works at {url}."
    note = " WAN_BASE_URL is used while it is set; it is not stored." if asked.is_url_named else ""
    context.say(f"{verdict} It is kept in {where}. {use}{note}")


def run_logout(options: argparse.Namespace, context: Context) -> None:
    """Remove stored keys, of one service or of all, and the choice of that service."""
    chosen = (_service(options.service),) if options.service else SERVICES
    session, loader = context.session, context.session.loader
    lines = []
    for provider in chosen:
        held = loader.keys.read(provider)[0] is not None or provider in loader.session_keys
        loader.keys.delete(provider)
        loader.session_keys.pop(provider, None)
        outcome = "could not be removed from the keyring" if loader.keys.read(provider)[0] else "was removed"
        lines.append(f"The stored key of {provider} {outcome}." if held else f"No key of {provider} was stored.")
    changes: dict[str, Any] = {"base_urls": {k: v for k, v in _stored_urls(context).items() if k not in chosen} or None}
    if loader.stored().get("provider") in chosen:
        changes |= {"provider": None, "provider_by": None}
    if any(name in loader.stored() for name in changes):
        loader.store(**changes)
    session.forget_clients()
    still_set = [KEY_VARIABLE[p] for p in chosen if session.settings(p).key_source == KEY_VARIABLE[p]]
    lines += [f"{name} is still set in the environment: unset it and restart the kernel." for name in still_set]
    now = session.settings()
    context.say(*lines, f"%wan uses {now.provider} from now on: {now.chosen_because}.")


def find_region(provider: str, key: "SecretStr", context: Context) -> tuple[str, str]:
    """Return the address that accepts a key, by a free status query, and why it could not be tried, if so.

    Raises
    ------
    AuthError
        If every address refuses the key.
    """
    session, named = context.session, context.session.settings(provider)
    urls = [named.base_url]
    if not named.is_url_named:
        known = DASHSCOPE_REGIONS.values() if provider == "dashscope" else (GATEWAY_URL,)
        urls += [url for url in known if url not in urls]
    untried: list[tuple[str, str]] = []

    async def ask(url: str) -> None:
        client = session.clients.new(provider=provider, base_url=url, key=key)
        try:
            await probe(client)
        finally:
            await client.aclose()

    for url in urls:
        try:
            session.background.submit(ask(url)).result(PROBE_TIMEOUT_S)
        except AuthError:
            continue
        except WanError as error:
            untried.append((url, f"{url}: {error.message.rstrip('.')}"))
            continue
        return url, ""
    if untried:
        return untried[0]
    message = f"the key was refused at {', '.join(urls)}."
    raise AuthError(message, http_status=401, hint="Check the key; a DashScope key belongs to one region.")


def _service(word: str) -> str:
    """Return the service that a word or its beginning names. Raise ``CellError``, which repeats no key."""
    choice = {"": "gateway", "1": "gateway", "2": "dashscope"}.get(word, word.lower())
    if found := [name for name in SERVICES if name.startswith(choice)]:
        return found[0]
    if looks_like_key(word):
        raise CellError("that looks like a key; it was not used.", hint=EXPOSED_HINT)
    near = did_you_mean(choice, SERVICES)
    what = repr(word) if near else "that"
    raise CellError(f"{what} is not a service.", hint=near or f"Write `%wan login {SERVICES[0]}` or `{SERVICES[1]}`.")


def _ask_service(ask: Callable[[str], str], context: Context) -> "tuple[str, SecretStr | None]":
    """Return the service, and the key if it was pasted first: then it is not asked for again."""
    from pydantic import SecretStr

    answer = ask(f"{_WHICH} (not shown): ").strip()
    if not looks_like_key(answer):
        return _service(answer), None
    context.say("That looks like a key: it is taken as the key, and not shown. Which service is it for?")
    # The key is there: nothing secret is left to be typed by mistake.
    return _service(input(f"{_WHICH}: ").strip()), SecretStr(answer)


def _ask_key(ask: Callable[[str], str], context: Context, provider: str) -> "SecretStr":
    from pydantic import SecretStr

    answer = ask(f"Key for {provider} (not shown): ").strip()
    if answer.lower() in SERVICES:
        context.say(f"That is the name of a service; now the key of {provider} is asked for.")
        answer = ask(f"Key for {provider} (not shown): ").strip()
    if not answer:
        raise SettingsError("no key was given.", hint="Run `%wan login` again.")
    return SecretStr(answer)


def _prompt(context: Context) -> Callable[[str], str]:
    from getpass import getpass

    from ...display import FrontEnd

    if context.front_end is FrontEnd.HEADLESS:
        hint = f"Set {KEY_VARIABLE['gateway']} in the environment instead."
        raise SettingsError("nobody is there to type a key.", hint=hint)
    return getpass


def _stored_urls(context: Context) -> dict[str, object]:
    stored = context.session.loader.stored().get("base_urls")
    return stored if isinstance(stored, dict) else {}
