"""Checks of everything that has to be right: key, service, network settings, folders, front end, versions."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from ..._version import __version__
from ...environment import Settings
from ...errors import InvalidRequestError, WanError
from ...providers import ServiceClient
from ...session import Session
from ...storage import Storage
from ...text import file_size, pluralize
from ..frontend import front_end

PROBE_TASK: Final = "00000000-0000-0000-0000-000000000000"
PROBE_TIMEOUT_S: Final = 60.0
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


class Check(NamedTuple):
    """One result; ``level`` is ``ok``, ``info`` or ``problem``."""

    name: str
    level: str
    text: str
    hint: str = ""


def examine(session: Session, shell: Any) -> list[Check]:
    """Run every check; none costs anything, and nothing is changed but a probe file in the folder of pictures."""
    settings = session.settings()
    found = [*_service(session, settings), *_network(), *_folders(session, settings)]
    front = front_end(shell) if shell is not None else "a Python script"
    found.append(Check("front end", "info", f"{front}, Python {platform.python_version()}"))
    found += [Check("settings", "info", note) for note in settings.notes]
    if settings.replay != "on":
        found.append(Check("replay", "info", f"replay={settings.replay}"))
    return [*found, Check("versions", "info", _versions())]


async def probe(client: ServiceClient) -> None:
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


def _service(session: Session, settings: Settings) -> Iterator[Check]:
    yield Check("service", "ok", f"{settings.provider}: {settings.chosen_because}")
    if settings.is_simulated:
        looked = f" (looked in {', '.join(settings.looked_in)})" if settings.looked_in else ""
        yield Check("key", "info", f"none needed for practice pictures{looked}", "`%wan login` for real ones")
    elif settings.key is None:
        yield Check("key", "problem", "none found", "`%wan login`, or set it and restart the kernel")
        return
    else:
        yield Check("key", "ok", f"found in {settings.key_source} (hidden)")
    if exposed := session.loader.keys.exposure():
        yield Check("key file", "problem", exposed)
    try:
        session.background.submit(probe(session.clients.client(settings))).result(PROBE_TIMEOUT_S)
    except WanError as error:
        hint = error.hint if "%wan doctor" not in error.hint else "Check the network, the proxy and the base URL."
        yield Check("base URL", "problem", f"{settings.base_url}: {error.message}", hint)
    except TimeoutError:
        yield Check("base URL", "problem", f"{settings.base_url}: no answer in {PROBE_TIMEOUT_S:.0f} s")
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
    usage = storage.usage()
    text = f"{folder}: {pluralize(usage.files, 'file')}, {file_size(usage.size_bytes)}"
    if not folder.is_dir():
        level = "ok" if _is_writable(folder) else "problem"
        yield Check("pictures", level, f"{folder} will be made with the first picture")
    else:
        try:
            storage.check_writable()
        except WanError as error:
            yield Check("pictures", "problem", f"{text}; {error.message}", error.hint.replace("`%wan doctor` ", ""))
        else:
            yield Check("pictures", "ok", f"{text}, writable")
    project = session.project(create=False)
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


def _versions() -> str:
    found = [f"wan-notebook {__version__}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
