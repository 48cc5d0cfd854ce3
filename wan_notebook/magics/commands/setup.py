"""Commands that set things up: login and logout, config, doctor, nest.

What is typed at login may be a key, so nothing of it is echoed or repeated.
"""

import argparse
import os
import platform
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from pydantic import SecretStr

from ..._version import __version__
from ...display import Column, FrontEnd, Table, doctor_table, publish, table_bundle
from ...errors import AuthError, CellError, InvalidRequestError, SettingsError, WanError
from ...models import DASHSCOPE_REGIONS, GATEWAY_URL, PROVIDERS, WORKSPACE_HOST, WORKSPACE_REGIONS
from ...money import format_amount, read_amount
from ...providers import ServiceClient
from ...session import Session
from ...settings import BY_LIST, check_key
from ...template import refuse
from ...text import EXPOSED_HINT, looks_like_key
from ..frontend import front_end
from ..options import CONFIG_KEYS, SERVICES
from ..runner import Runner

PROBE_TIMEOUT_S: Final = 60.0
_VALUES: Final[dict[str, dict[str, str | bool | None]]] = {  # what is typed, and what is stored
    "provider": {**dict(zip(PROVIDERS, PROVIDERS, strict=True)), "auto": None},
    "wait": {"on": True, "off": False, "auto": None},
    "embed": {"on": True, "off": False},
    "replay": {"on": "on", "only": "only", "off": "off"},
    "envelope": {"auto": "auto", "flat": "flat", "params": "params"},
    "polling": {"prompt": "prompt", "economical": "economical"},
}
_SHOWN: Final = (
    *("provider", "base_url", "price", "wait", "embed", "replay", "envelope", "polling"),
    *("queries_per_s", "in_flight", "submits_per_s"),
)


# Login ---------------------------------------------------------------------------------------------------------------


def run_login(options: argparse.Namespace, runner: Runner) -> None:
    """Choose the service, take the key unseen, find the region that accepts it, and remember both."""
    if runner.front_end is FrontEnd.HEADLESS:
        raise SettingsError("nobody is there to type a key.", hint="Set WAN_API_KEY in the environment instead.")
    session, loader = runner.session, runner.session.loader
    places = _workspace_urls(options.workspace)
    if places and _service(options.service) != "dashscope":
        raise CellError("only DashScope has workspaces.", hint="Write `%wan login dashscope WORKSPACE`.")
    provider, key = _ask(options.service)
    url = _find_address(provider, key, session, places)
    where = loader.keys.write(provider, key)
    changes: dict[str, Any] = {"provider": provider, "provider_by": "login"}
    # An address of the environment is meant for now: it is not stored.
    if places or not session.settings(provider).is_url_named:
        changes["base_urls"] = {**loader.stored().get("base_urls", {}), provider: url}
    loader.store(**changes)
    session.forget_clients()
    # The environment comes before what is stored, and may name another service or key.
    now = session.settings()
    use = f"{now.provider} ({now.chosen_because}) at {now.base_url}, with the key of {now.key_source}"
    runner.say(f"The key works at {url}. It is kept in {where}. From now on %wan uses {use}.")


def run_logout(options: argparse.Namespace, runner: Runner) -> None:
    """Remove stored keys, of one service or of all, and the choice of that service."""
    chosen = (_service(options.service),) if options.service else SERVICES
    session, loader = runner.session, runner.session.loader
    for provider in chosen:
        loader.keys.delete(provider)
    urls = {name: url for name, url in loader.stored().get("base_urls", {}).items() if name not in chosen}
    if stored := loader.stored():
        is_chosen = stored.get("provider") in chosen
        loader.store(base_urls=urls or None, **({"provider": None, "provider_by": None} if is_chosen else {}))
    session.forget_clients()
    now, found = session.settings(), {name: session.settings(name).key_source or "none" for name in chosen}
    left = ", ".join(f"{name}: {place}" for name, place in found.items())
    runner.say(f"Keys that are still found: {left}. From now on %wan uses {now.provider}: {now.chosen_because}.")


def _ask(service: str | None) -> tuple[str, SecretStr]:
    """Return the service and the key that are typed, both unseen: many paste their key first."""
    from getpass import getpass

    try:
        provider = _service(
            service or getpass("Service: g or Enter for gateway, d for dashscope (not shown): ").strip()
        )
        key = SecretStr(getpass(f"Key for {provider} (not shown): ").strip())
    except EOFError:  # Ctrl+D
        key = SecretStr("")
    if not key:
        raise SettingsError("no key was given.", hint="Run `%wan login` again.")
    check_key(key)
    return provider, key


def _service(word: str) -> str:
    """Return the service that a word or its beginning names. Raise ``CellError``, which repeats no key."""
    if found := [name for name in SERVICES if name.startswith(word.lower())]:
        return found[0]
    hint = EXPOSED_HINT if looks_like_key(word) else f"Write `{SERVICES[0]}` or `{SERVICES[1]}`."
    raise CellError("that is not a service.", hint=hint)


def _workspace_urls(word: str | None) -> list[str]:
    """Return where a workspace of DashScope may be, by its id or host. Raise ``CellError``, which repeats no key."""
    if not word:
        return []
    name = re.sub(r"\Ahttps://|(/api/v1)?/?\Z", "", word.lower())
    if re.fullmatch(rf"[a-z0-9-]+\.[a-z0-9-]+\.{re.escape(WORKSPACE_HOST)}", name):
        return [f"https://{name}/api/v1"]
    if not re.fullmatch(r"(llm|ws)-[a-z0-9-]{1,60}", name):  # a key must not become part of an address
        hint = EXPOSED_HINT if looks_like_key(word) else f"Write its id (llm-… or ws-…), or ID.REGION.{WORKSPACE_HOST}."
        raise CellError("that is not a workspace.", hint=hint)
    return [f"https://{name}.{region}.{WORKSPACE_HOST}/api/v1" for region in WORKSPACE_REGIONS.values()]


def _find_address(provider: str, key: SecretStr, session: Session, places: Sequence[str] = ()) -> str:
    """Return the address that accepts a key, by a free status query: a key belongs to one region.

    ``places`` are the addresses of a workspace, in place of the known ones.

    Raises
    ------
    AuthError
        If no address accepts it; it says which could not be asked.
    """
    named = session.settings(provider)
    known = DASHSCOPE_REGIONS.values() if provider == "dashscope" else (GATEWAY_URL,)
    urls: dict[str, None] = dict.fromkeys(places or [named.base_url, *(() if named.is_url_named else known)])
    answers = []
    for url in urls:
        client = session.clients.new(provider=provider, base_url=url, key=key)
        try:
            session.background.submit(_probe(client)).result(PROBE_TIMEOUT_S)
        except WanError as error:
            answers.append(f"{url}: {'refused' if isinstance(error, AuthError) else error.message.rstrip('.')}")
        else:
            return url
    message = f"the key was not accepted ({'; '.join(answers)}); nothing was stored."
    raise AuthError(message, hint="Check the network and the key; a DashScope key belongs to one region.")


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
        await client.status("00000000-0000-0000-0000-000000000000")
    except InvalidRequestError as error:
        if error.is_page:
            raise


# Config --------------------------------------------------------------------------------------------------------------


def run_config(options: argparse.Namespace, runner: Runner) -> None:
    """Show the settings, or set some for all later sessions: all of them, or none if one is wrong."""
    loader, session = runner.session.loader, runner.session
    changes: dict[str, Any] = {}
    said = [_change(word, changes, session) for word in options.words]
    if changes:
        if "provider" in changes:
            changes["provider_by"] = changes["provider"] and "config"
        loader.store(**changes)
        session.forget_clients()
    now, stored = session.settings(), loader.stored()
    values = {name: getattr(now, name, "") for name in _SHOWN}
    prices = [f"{name} {format_amount(*price)}" for name, price in now.prices.items()]
    values["price"] = ", ".join([*prices, *(f"{name} as listed" for name in now.by_list)]) or "not set"
    sources = {name: "%wan config" for name in CONFIG_KEYS if f"{name}s" in stored or name in stored}
    sources["provider"] = now.chosen_because
    words = {"None": "auto", "True": "on", "False": "off"}
    rows = [
        *((n.replace("_", " "), words.get(str(v), str(v)), sources.get(n, "")) for n, v in values.items()),
        *(("note", note, "") for note in now.notes),
    ]
    columns = (Column(title="Setting"), Column(title="Value", is_wide=True, is_whole=True), Column(title="From"))
    notes = [f"Stored in {loader.config_path}"]
    publish(table_bundle(Table(title="Settings", facts=["; ".join(said)], columns=columns, rows=rows, notes=notes)))


def _change(word: str, changes: dict[str, Any], session: Session) -> str:
    """Add one ``KEY=VALUE`` to the changes and return what it changes. Raise ``RequestError``."""
    key, equals, value = (part.strip() for part in word.partition("="))
    name, _, service = key.lower().partition(".")
    if any(map(looks_like_key, (word, key, value))):
        refuse("config", "a key is never given in a cell.", EXPOSED_HINT)
    if not equals or name not in CONFIG_KEYS:
        refuse("config", f"{word!r} is not a setting with a value.", f"Write KEY=VALUE: {', '.join(CONFIG_KEYS)}.")
    if name == "price":
        return _change_price(service or session.settings().provider, value, changes, session)
    known, before = _VALUES[name], session.loader.stored().get(name)
    if value.lower() not in known:
        refuse("config", f"{value!r} is not a valid value of {name}.", f"Use one of: {', '.join(known)}.")
    changes[name] = known[value.lower()]
    return f"{name}: {next((text for text, kept in known.items() if kept == before), 'not set')} → {value.lower()}"


def _change_price(service: str, value: str, changes: dict[str, Any], session: Session) -> str:
    price, word = read_amount(value), value.lower()
    if service not in SERVICES or (price is None and word not in ("off", BY_LIST)):
        hint = 'Write price.gateway=0.03, "price.dashscope=0.2 CNY", price.gateway=list, or price.gateway=off.'
        refuse("config", f"{value!r} is not a price of {service!r}.", hint)
    prices = dict(changes.get("prices", session.loader.stored().get("prices", {})))
    before = prices.pop(service, ["not set"])
    if price is not None or word == BY_LIST:
        prices[service] = [str(price[0]), price[1]] if price else BY_LIST
    changes["prices"] = prices
    old = None if before == BY_LIST else read_amount(" ".join(map(str, before)))
    is_lower = old is not None and (price is None or (price[1] == old[1] and price < old))
    later = " after a restart; this kernel keeps the higher price" if is_lower else ""
    told = (BY_LIST if before == BY_LIST else "not set", BY_LIST if word == BY_LIST else "not set")
    before_text, after_text = (
        format_amount(*amount) if amount else name for amount, name in zip((old, price), told, strict=True)
    )
    return f"price.{service}: {before_text} → {after_text}{later}"


# Doctor and nest -----------------------------------------------------------------------------------------------------


def run_doctor(_options: argparse.Namespace, runner: Runner) -> None:
    """Check keys, service, folders, front end and versions."""
    publish(table_bundle(doctor_table(list(_checks(runner.session, runner.shell)))))


def run_nest(_options: argparse.Namespace, runner: Runner) -> None:
    """Apply nest_asyncio where it does no harm: on ipykernel 6."""
    major = int(version("ipykernel").partition(".")[0]) if getattr(runner.shell, "kernel", None) is not None else 0
    if major >= 7:
        message = "nest_asyncio makes Run All lose cells on ipykernel 7, so it is not applied."
        raise CellError(message, hint="Write `job = await main()` in place of asyncio.run(main()).")
    import nest_asyncio

    nest_asyncio.apply()
    runner.say("nest_asyncio is applied: asyncio.run(main()) works in cells. %wan itself never needs it.")


Check = tuple[str, str, str, str]
"""A result of the doctor: name, level (``ok``, ``info`` or ``problem``), text and hint."""


def _checks(session: Session, shell: Any) -> Iterator[Check]:
    """Run every check; none costs anything, and nothing is changed."""
    now, loader = session.settings(), session.loader
    yield "service", "ok", f"{now.provider}: {now.chosen_because}", ""
    if now.key is None:
        yield "key", "problem", "none found", "`%wan login`, or set it and restart the kernel"
    else:
        yield "key", "ok", now.key_source, "`%wan login` for real pictures" if now.is_simulated else ""
    if exposed := loader.keys.exposure():
        yield "key file", "problem", exposed, ""
    try:
        session.background.submit(_probe(session.clients.client(now))).result(PROBE_TIMEOUT_S)
        yield "base URL", "ok", f"{now.base_url} answers", ""
    except WanError as error:
        where = "an address with a user name or password" if "@" in now.base_url else now.base_url
        hint = error.hint if "%wan doctor" not in error.hint else "Check the network, the proxy and the base URL."
        yield "base URL", "problem", f"{where}: {error.message}", hint
    for name, address in getproxies().items():  # never with a password
        url = urlsplit(address if "//" in address else f"//{address}")
        if name != "no":
            yield "proxy", "info", f"{name}: {url.hostname}:{url.port or ''}", ""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            is_read = name.startswith("SSL") or path == os.environ.get("SSL_CERT_FILE")
            hint = "" if is_read else "it is not read: set SSL_CERT_FILE to the same file"
            fault = " is missing" if is_read and not Path(path).exists() else ""
            yield "certificates", "problem" if fault else "info", f"{name}={path}{fault}", hint
    needs = {
        now.folder: "no picture can be saved: set WAN_HOME to another folder",
        loader.config_path.parent: "settings and keys cannot be stored: set XDG_CONFIG_HOME to another folder",
        loader.data_dir: "budgets cannot count all folders: set XDG_DATA_HOME to another folder",
    }
    for folder, need in needs.items():
        place = next(filter(os.path.exists, (folder, *folder.parents)))  # no error in somebody else's home
        if os.access(place, os.W_OK):
            yield "folder", "ok", f"{folder} is writable", ""
        else:
            yield "folder", "problem", f"{folder} is not writable", need
    project = session.known_project()
    if project is not None and project.database.file_warning:
        yield "ledger", "problem", project.database.file_warning, ""
    yield "front end", "info", f"{front_end(shell)}, Python {platform.python_version()}, replay {now.replay}", ""
    yield "version", "info", f"wan-notebook {__version__}", ""
    yield from (("settings", "info", note, "") for note in now.notes)
