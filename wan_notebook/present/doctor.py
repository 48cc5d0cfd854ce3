"""Checks of everything that has to be right: key, service, folder, front end, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import host
from .._version import __version__
from ..client import Client
from ..errors import InvalidRequestError, StoreError, WanError
from ..session import Session
from ..settings import Settings
from ..store import Store
from ..text import count_of
from ..views.model import DoctorLine, DoctorView

PROBE_TASK = "00000000-0000-0000-0000-000000000000"
PACKAGES = (
    "ipykernel",
    "ipython",
    "ipywidgets",
    "anywidget",
    "jupyterlab",
    "notebook",
    "httpx",
    "pillow",
    "SQLAlchemy",
)


def examine(session: Session, shell: Any) -> DoctorView:
    """Run every check; none of them costs anything or changes anything but a probe file."""
    settings = session.settings()
    lines = [
        *_service(session, settings),
        *_folder(settings),
        *_surroundings(shell),
        DoctorLine(name="versions", level="info", text=_versions()),
    ]
    return DoctorView(lines=tuple(lines))


def _service(session: Session, settings: Settings) -> Iterator[DoctorLine]:
    provider = settings.provider
    yield DoctorLine(name="service", level="ok", text=f"{provider.name}: {provider.chosen_because}")
    if provider.name == "simulator":
        looked = f" (looked in {', '.join(provider.looked_in)})" if provider.looked_in else ""
        yield DoctorLine(
            name="key",
            level="info",
            text=f"none needed for practice pictures{looked}",
            hint="`%wan login` for real ones",
        )
    elif provider.key is None:
        yield DoctorLine(name="key", level="problem", text="none found", hint="`%wan login`, or set it and restart")
        return
    else:
        yield DoctorLine(name="key", level="ok", text=f"from {provider.key_source}, shown to nobody")
    yield _reach(session, settings)


def _reach(session: Session, settings: Settings) -> DoctorLine:
    """Ask for a task that does not exist: free, and it tells whether key and address work."""
    url = settings.provider.base_url
    try:
        session.runtime.submit(probe(session.client(settings))).result(timeout=60)
    except WanError as error:
        return DoctorLine(name="base URL", level="problem", text=f"{url}: {error.message}", hint=error.hint)
    return DoctorLine(name="base URL", level="ok", text=f"{url} answers")


async def probe(client: Client) -> None:
    """Ask for a task that does not exist; return if the service itself answers, and accepts the key.

    Raises ``AuthError`` if it refuses the key, another ``WanError`` if nobody can tell: a failure, a portal's page.
    """
    try:
        await client.status(PROBE_TASK)
    except InvalidRequestError as error:
        if error.is_page:
            raise


def _folder(settings: Settings) -> Iterator[DoctorLine]:
    folder = settings.folder
    if not folder.is_dir():
        text = f"{folder} will be made with the first picture"
        level = "ok" if os.access(_existing(folder), os.W_OK) else "problem"
        yield DoctorLine(name="pictures", level=level, text=text)
        return
    store = Store(folder)
    usage = store.usage()
    text = f"{folder}: {count_of(usage.files, 'file')}, {usage.size_bytes / 1e6:.1f} MB"
    try:
        store.check_writable()
    except StoreError as error:
        yield DoctorLine(name="pictures", level="problem", text=f"{text}; {error.message}", hint=error.hint)
    else:
        yield DoctorLine(name="pictures", level="ok", text=f"{text}, writable")


def _existing(folder: Any) -> Any:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _surroundings(shell: Any) -> Iterator[DoctorLine]:
    front = host.front_end(shell) if shell is not None else "a Python script"
    yield DoctorLine(name="front end", level="info", text=f"{front}, Python {platform.python_version()}")
    if os.environ.get("WAN_REPLAY"):
        text = f"WAN_REPLAY={os.environ['WAN_REPLAY']}"
        yield DoctorLine(name="replay", level="info", text=text)


def _versions() -> str:
    found = [f"wan-notebook {__version__}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
