"""Commands that set things up: login and logout, config, doctor, nest.

What is typed at login may be a key, so nothing of it is echoed or repeated.
"""

import argparse
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from ..._version import __version__
from ...display import FrontEnd, config_table, doctor_table, publish, table_bundle
from ...environment import Settings
from ...errors import AuthError, CellError, InvalidRequestError, Problem, RequestError, SettingsError, WanError
from ...models import DASHSCOPE_REGIONS, GATEWAY_URL, PROVIDERS
from ...money import format_amount, read_amount
from ...providers import ServiceClient
from ...session import Session
from ...settings import KEY_PLACES, KEY_VARIABLE, check_key
from ...storage import Storage
from ...text import EXPOSED_HINT, did_you_mean, looks_like_key
from ..frontend import front_end
from ..options import CONFIG_KEYS, SERVICES
from ..parser import YES, LineError
from ..runner import Runner

if TYPE_CHECKING:
    from pydantic import SecretStr

PROBE_TASK: Final = "00000000-0000-0000-0000-000000000000"
PROBE_TIMEOUT_S: Final = 60.0
_WHICH: Final = "Service: g for gateway, d for dashscope, Enter for gateway"
_VALUES: Final = {
    "provider": (*PROVIDERS, "auto"),
    "wait": ("on", "off", "auto"),
    "embed": ("on", "off"),
    "replay": ("on", "only", "off"),
    "envelope": ("auto", "flat", "params"),
    "polling": ("prompt", "economical"),
}
_KEY_WORDS: Final = ("key", "token", "secret", "password")
_PACKAGES: Final = (
    *("ipykernel", "ipython", "ipywidgets", "anywidget", "jupyterlab", "notebook"),
    *("httpx", "pillow", "SQLAlchemy", "pydantic"),
)
_CERTIFICATES: Final = {
    "SSL_CERT_FILE": True,
    "SSL_CERT_DIR": True,
    "REQUESTS_CA_BUNDLE": False,
    "CURL_CA_BUNDLE": False,
}
"""Variables that name certificates, and whether they are read."""


# Login ---------------------------------------------------------------------------------------------------------------


def run_login(options: argparse.Namespace, runner: Runner) -> None:
    """Choose the service, take the key unseen, find the region that accepts it, and remember both."""
    if runner.front_end is FrontEnd.HEADLESS:
        hint = f"Set {KEY_VARIABLE['gateway']} in the environment instead."
        raise SettingsError("nobody is there to type a key.", hint=hint)
    from getpass import getpass

    session, loader = runner.session, runner.session.loader
    try:
        provider, key = _ask(getpass, options.service, runner)
    except EOFError:
        raise SettingsError("no key was given.", hint="Run `%wan login` where a key can be typed.") from None
    asked = session.settings(provider)
    url, untried = _find_region(provider, key, session)
    question = f"The key could not be tried ({untried}). Keep it untried? [y/N] "
    if untried and not getpass(question).strip().lower().startswith("y"):
        message = f"the key could not be tried ({untried}); nothing was stored."
        raise SettingsError(message, hint="Run `%wan login` again when the service can be reached.")
    where = loader.keys.write(provider, key)
    changes: dict[str, Any] = {"provider": provider, "provider_by": "login"}
    if not asked.is_url_named:  # an address of the environment is meant for now
        changes["base_urls"] = {**_stored_urls(session), provider: url}
    loader.store(**changes)
    session.forget_clients()
    now = session.settings()
    use = f"%wan uses {provider} at {url} from now on."
    if now.provider != provider:  # the environment comes before what is stored
        use = f"But {now.provider} is used: {now.chosen_because}."
    elif now.key != key:
        use = f"But another key is used: {now.key_source} comes first."
    verdict = f"The key could not be tried ({untried})." if untried else f"The key works at {url}."
    note = " WAN_BASE_URL is used while it is set; it is not stored." if asked.is_url_named else ""
    runner.say(f"{verdict} It is kept in {where}. {use}{note}")


def run_logout(options: argparse.Namespace, runner: Runner) -> None:
    """Remove stored keys, of one service or of all, and the choice of that service."""
    chosen = (_service(options.service),) if options.service else SERVICES
    session, loader = runner.session, runner.session.loader
    lines = []
    for provider in chosen:
        held = loader.keys.read(provider)[0] is not None
        loader.keys.delete(provider)
        outcome = "could not be removed from the keyring" if loader.keys.read(provider)[0] else "was removed"
        lines.append(f"The stored key of {provider} {outcome}." if held else f"No key of {provider} was stored.")
    urls = {name: url for name, url in _stored_urls(session).items() if name not in chosen}
    changes: dict[str, Any] = {"base_urls": urls or None}
    if loader.stored().get("provider") in chosen:
        changes |= {"provider": None, "provider_by": None}
    if any(name in loader.stored() for name in changes):
        loader.store(**changes)
    session.forget_clients()
    still_set = [KEY_VARIABLE[p] for p in chosen if session.settings(p).key_source == KEY_VARIABLE[p]]
    lines += [f"{name} is still set in the environment: unset it and restart the kernel." for name in still_set]
    now = session.settings()
    runner.say(*lines, f"%wan uses {now.provider} from now on: {now.chosen_because}.")


def _ask(ask: Callable[[str], str], word: str | None, runner: Runner) -> "tuple[str, SecretStr]":
    """Return the service and the key that are typed; a key that is pasted first is not asked for again."""
    from pydantic import SecretStr

    answer = word if word else ask(f"{_WHICH} (not shown): ").strip()
    if not word and looks_like_key(answer):
        runner.say("That looks like a key: it is taken as the key, and not shown. Which service is it for?")
        key = SecretStr(answer)
        provider = _service(input(f"{_WHICH}: ").strip())  # nothing secret is left to be typed by mistake
    else:
        provider = _service(answer)
        key = SecretStr(ask(f"Key for {provider} (not shown): ").strip())
    if not key:
        raise SettingsError("no key was given.", hint="Run `%wan login` again.")
    check_key(key)
    return provider, key


def _service(word: str) -> str:
    """Return the service that a word or its beginning names. Raise ``CellError``, which repeats no key."""
    if found := [name for name in SERVICES if name.startswith(word.lower())]:
        return found[0]
    if looks_like_key(word):
        raise CellError("that looks like a key; it was not used.", hint=EXPOSED_HINT)
    near = did_you_mean(word.lower(), SERVICES)
    what = repr(word) if near else "that"
    raise CellError(f"{what} is not a service.", hint=near or f"Write `%wan login {SERVICES[0]}` or `{SERVICES[1]}`.")


def _find_region(provider: str, key: "SecretStr", session: Session) -> tuple[str, str]:
    """Return the address that accepts a key, by a free status query, and why it could not be tried, if so.

    Raises
    ------
    AuthError
        If every address refuses the key.
    """
    named = session.settings(provider)
    urls = [named.base_url]
    if not named.is_url_named:
        known = DASHSCOPE_REGIONS.values() if provider == "dashscope" else (GATEWAY_URL,)
        urls += [url for url in known if url not in urls]
    untried: list[tuple[str, str]] = []

    async def ask(url: str) -> None:
        client = session.clients.new(provider=provider, base_url=url, key=key)
        try:
            await _probe(client)
        finally:
            await client.aclose()

    for url in urls:
        try:
            session.background.submit(ask(url)).result(PROBE_TIMEOUT_S)
        except AuthError:
            pass
        except WanError as error:
            untried.append((url, f"{url}: {error.message.rstrip('.')}"))
        else:
            return url, ""
    if untried:
        return untried[0]
    message = f"the key was refused at {', '.join(urls)}."
    raise AuthError(message, http_status=401, hint="Check the key; a DashScope key belongs to one region.")


def _stored_urls(session: Session) -> dict[str, object]:
    stored = session.loader.stored().get("base_urls")
    return stored if isinstance(stored, dict) else {}


async def _probe(client: ServiceClient) -> None:
    """Ask for a task that does not exist: free, and it tells whether the service answers and takes the key.

    Raises
    ------
    AuthError
        If the service refuses the key.
    WanError
        If nobody can tell: a failure, or a web page that is not the service's.
    """
    try:
        await client.status(PROBE_TASK)
    except InvalidRequestError as error:
        if error.is_page:
            raise


# Config --------------------------------------------------------------------------------------------------------------


def run_config(options: argparse.Namespace, runner: Runner) -> None:
    """Show the settings, or set some for all later sessions; all problems come together."""
    loader = runner.session.loader
    changes: dict[str, Any] = {}
    said: list[str] = []
    problems: list[Problem] = []
    for word in options.words:
        try:
            said.append(_change(word, changes, loader.stored(), runner.session.settings().provider))
        except RequestError as error:
            problems += error.problems
    if problems:
        raise LineError(problems, consequence="nothing was changed")
    if changes:
        if "provider" in changes:
            changes["provider_by"] = "config" if changes["provider"] else None
        loader.store(**changes)
        runner.session.forget_clients()
    publish(table_bundle(config_table(_rows(runner.session), message="; ".join(said), place=str(loader.config_path))))


def _rows(session: Session) -> list[tuple[str, str, str]]:
    """Return the settings in force as name, value and where the value comes from."""
    now, stored = session.settings(), session.loader.stored()
    limits = {"queries per second": now.queries_per_s, "tasks at once": now.in_flight}
    limits |= {"submits per second": now.submits_per_s}
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
        raise _wrong("a key is never given in a cell.", EXPOSED_HINT)
    if not equals or name not in CONFIG_KEYS:
        hint = did_you_mean(name, CONFIG_KEYS) or f"Write KEY=VALUE; known: {', '.join(CONFIG_KEYS)}."
        raise _wrong(f"{key!r} is not a setting.", hint)
    if name == "price":
        return _change_price(service or provider, value, changes, stored)
    is_switch = name in ("wait", "embed")
    if text not in _VALUES[name] and not (is_switch and text in YES):
        raise _wrong(f"{value!r} is not a valid value of {name}.", f"Use one of: {', '.join(_VALUES[name])}.")
    changes[name] = None if text == "auto" else YES[text] if is_switch else text
    before = stored.get(name, "not set")
    return f"{name}: {before if not isinstance(before, bool) else 'on' if before else 'off'} → {text}"


def _change_price(service: str, value: str, changes: dict[str, Any], stored: dict[str, Any]) -> str:
    price = read_amount(value)
    if service not in SERVICES or (price is None and value.lower() != "off"):
        hint = 'Write price.gateway=0.03, "price.dashscope=0.2 CNY", or price.gateway=off.'
        raise _wrong(f"{value!r} is not a price of {service!r}.", hint)
    known = changes.get("prices", stored.get("prices"))
    prices = dict(known) if isinstance(known, dict) else {}
    before = prices.pop(service, None)
    if price is not None:
        prices[service] = [str(price[0]), price[1]]
    changes["prices"] = prices
    old, new = (" ".join(map(str, one)) if one else "not set" for one in (before, price and (format_amount(*price),)))
    return f"price.{service}: {old} → {new}"


def _wrong(message: str, hint: str) -> RequestError:
    return RequestError([Problem("config", "", message, hint)])


# Doctor and nest -----------------------------------------------------------------------------------------------------


def run_doctor(_options: argparse.Namespace, runner: Runner) -> None:
    """Check keys, service, folders, front end and versions."""
    publish(table_bundle(doctor_table(examine(runner.session, runner.shell))))


def run_nest(_options: argparse.Namespace, runner: Runner) -> None:
    """Apply nest_asyncio where it does no harm: on ipykernel 6."""
    major = int(version("ipykernel").partition(".")[0]) if getattr(runner.shell, "kernel", None) is not None else 0
    if major >= 7:
        message = "nest_asyncio makes Run All lose cells on ipykernel 7, so it is not applied."
        raise CellError(message, hint="Write `job = await main()` in place of asyncio.run(main()).")
    import nest_asyncio

    nest_asyncio.apply()
    runner.say("nest_asyncio is applied: asyncio.run(main()) works in cells. %wan itself never needs it.")


class Check(NamedTuple):
    """One result; ``level`` is ``ok``, ``info`` or ``problem``."""

    name: str
    level: str
    text: str
    hint: str = ""


def examine(session: Session, shell: Any) -> list[Check]:
    """Run every check; none costs anything, and nothing is changed but a probe file in the folder of pictures."""
    settings = session.settings()
    found = [*_checks_of_service(session, settings), *_network(), *_folders(session, settings)]
    front = front_end(shell) if shell is not None else "a Python script"
    found.append(Check("front end", "info", f"{front}, Python {platform.python_version()}"))
    found += [Check("settings", "info", note) for note in settings.notes]
    if settings.replay != "on":
        found.append(Check("replay", "info", f"replay={settings.replay}"))
    packages = {one.name.lower(): one.version for one in distributions() if one.name}
    versions = ", ".join(f"{name} {packages[name.lower()]}" for name in _PACKAGES if name.lower() in packages)
    return [*found, Check("versions", "info", f"wan-notebook {__version__}, {versions}")]


def _checks_of_service(session: Session, settings: Settings) -> Iterator[Check]:
    yield Check("service", "ok", f"{settings.provider}: {settings.chosen_because}")
    if settings.is_simulated:
        looked = "" if settings.is_provider_named else f" (looked in {KEY_PLACES})"
        yield Check("key", "info", f"none needed for practice pictures{looked}", "`%wan login` for real ones")
    elif settings.key is None:
        yield Check("key", "problem", "none found", "`%wan login`, or set it and restart the kernel")
        return
    else:
        yield Check("key", "ok", f"found in {settings.key_source} (hidden)")
    if exposed := session.loader.keys.exposure():
        yield Check("key file", "problem", exposed)
    try:
        session.background.submit(_probe(session.clients.client(settings))).result(PROBE_TIMEOUT_S)
    except WanError as error:
        hint = error.hint if "%wan doctor" not in error.hint else "Check the network, the proxy and the base URL."
        yield Check("base URL", "problem", f"{settings.base_url}: {error.message}", hint)
    else:
        yield Check("base URL", "ok", f"{settings.base_url} answers")


def _network() -> Iterator[Check]:
    """Name proxies (never with a password) and certificate variables, also those that are not read."""
    proxies = {name: urlsplit(url if "//" in url else f"//{url}") for name, url in getproxies().items() if name != "no"}
    if proxies:
        shown = ", ".join(f"{name}: {url.hostname}:{url.port or ''}" for name, url in proxies.items())
        yield Check("proxy", "info", shown)
    for name, is_read in _CERTIFICATES.items():
        path = os.environ.get(name)
        if path and not is_read:
            yield Check("certificates", "info", f"{name} is set, but not read", "set SSL_CERT_FILE to the same file")
        elif path and Path(path).exists():
            yield Check("certificates", "info", f"{name}={path}")
        elif path:
            yield Check("certificates", "problem", f"{name}={path} does not exist", f"correct or unset {name}")


def _folders(session: Session, settings: Settings) -> Iterator[Check]:
    folder, storage = settings.folder, Storage(settings.folder)
    if not folder.is_dir():
        level = "ok" if _is_writable(folder) else "problem"
        yield Check("pictures", level, f"{folder} will be made with the first picture")
    else:
        try:
            storage.check_writable()
        except WanError as error:
            yield Check("pictures", "problem", error.message, error.hint.replace("`%wan doctor` ", ""))
        else:
            yield Check("pictures", "ok", f"{folder} is writable")
    project = session.known_project()
    if project is not None and project.database.file_warning:
        yield Check("ledger", "problem", project.database.file_warning)
    lost = {
        session.loader.config_path.parent: "settings and keys cannot be stored",
        session.loader.data_dir: "other folders of pictures are not remembered",
    }
    for home, consequence in lost.items():
        if not _is_writable(home):
            yield Check("home folder", "problem", f"{home} is not writable: {consequence}; pictures are not affected")


def _is_writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
