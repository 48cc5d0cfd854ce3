"""Collect open jobs without a notebook: at login, or from cron."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from .errors import SettingsError
from .folders import LEDGER_NAME
from .session import Session
from .settings import Sources
from .states import JobState


def run_fetch(folder: Path | None, *, timeout_s: float) -> int:
    """Follow every open job of a folder to its end; 0 if nothing is left open or in doubt."""
    env = dict(os.environ)
    if folder is not None:
        env["WAN_HOME"] = str(folder)
        if not (folder / LEDGER_NAME).is_file():
            message = f"{folder} holds no {LEDGER_NAME}."
            raise SettingsError(message, remedy="Name a folder such as wan-pictures.")
    session = Session(Sources(env=env))
    try:
        lives = session.resume()
        if not lives:
            print("Nothing is open.")  # noqa: T201 - a command line
            return 0
        end = time.monotonic() + timeout_s
        for live in lives:
            with suppress(TimeoutError):
                live.settled().result(max(0.0, end - time.monotonic()))
            saved = [picture.file for picture in live.row.pictures if picture.saved_at]
            print(f"{live.id}  {live.state}  {' '.join(saved)}  {live.note}".rstrip())  # noqa: T201
        return 0 if all(live.state is JobState.SAVED or live.row.is_final for live in lives) else 1
    finally:
        session.close()
