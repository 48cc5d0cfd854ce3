"""What the database's tests share: new jobs, a clock that is set by hand, and a way through a job's statuses."""

import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.fakes.ledgers import open_really
from wan_notebook.database import Database, InputRow, JobRow, Owner, Status
from wan_notebook.errors import WanError
from wan_notebook.request import hash_of_canonical
from wan_notebook.settings import SettingsLoader

NOON = 1_795_608_000.0  # 2026-11-25 12:00 UTC
PATH = (Status.SENDING, Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED, Status.SAVED)
ACCOUNT = "gateway:key"
NO_LIMITS = {"account": ACCOUNT, "in_flight": 0, "submits_per_s": 0}
PICTURE = {"sha256": "2" * 64, "mime": "image/png", "saved_at": NOON}


class Clock:
    """Wall time that only a test moves."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def at_once(call: Callable[[int], object], count: int = 8) -> list[object]:
    """Call a function from several threads at the same moment; return the results, or the errors."""

    def caught(number: int) -> object:
        try:
            return call(number)
        except WanError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(caught, range(count)))


def owner(token: str = "me", **changes: Any) -> Owner:  # noqa: S107
    """Return a process."""
    return Owner(**{"host": "elsewhere", "pid": 4242, "token": token, **changes})


def canonical(prompt: str, n: int, seed: int | None, images: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a canonical request: editing if there are pictures."""
    parameters: dict[str, Any] = {"enable_interleave": not images, "watermark": False, "n": n}
    parameters |= {"prompt_extend": True} if images else {"n": 1, "max_images": n}
    parameters |= {} if seed is None else {"seed": seed}
    return {"model": "wan2.6-image", "prompt": prompt, "images": list(images), "parameters": parameters}


def new(prompt: str = "a fox", *, seed: int = 5, seedless: bool = False, price: str = "0.03", **columns: Any) -> JobRow:
    """Return a new job whose hashes are those of its request; its price is for each picture."""
    n = columns.setdefault("n", 1)
    images = tuple(given.identity for given in columns.get("inputs", ()))
    request = canonical(prompt, n, seed, images)
    with_seed = hash_of_canonical(request)
    usual: Mapping[str, Any] = {
        "provider": "gateway",
        "base_url": "https://example.test",
        "model": request["model"],
        "mode": "edit" if images else "text to image" if n == 1 else "illustrated text",
        "request": request,
        "parameters": request["parameters"],
        "request_hash": hash_of_canonical(canonical(prompt, n, None, images)) if seedless else with_seed,
        "request_hash_with_seed": with_seed,
        "reserved_amount": Decimal(price) * n if price else None,
        "reserved_currency": "USD" if price else "",
    }
    columns["inputs"] = list(columns.get("inputs", ()))
    return JobRow(**{**usual, "prompt": prompt, "seed": seed, **columns})


def given(position: int = 0, **changes: Any) -> InputRow:
    """Return an input picture."""
    usual = {"name": "photo", "identity": "bytes:sha256:1", "sha256": "1" * 64, "file": "inputs/abc.png"}
    return InputRow(**{**usual, "width_px": 640, "height_px": 480, "mime": "image/png", **changes}, position=position)


def create(database: Database, prompt: str = "a fox", *, by: Owner | None = None, **changes: Any) -> str:
    """Create one job, whatever is open already; return its id."""
    options = {"owner": by or owner(), "simulated_ok": True, "fresh": True}
    ((row, _),) = database.create_or_join([new(prompt, **changes)], **options)
    return row.id


def move(database: Database, job_id: str, *statuses: Status, **columns: Any) -> JobRow:
    """Move a job through statuses; the columns go with the last one."""
    row = database.get(job_id)
    for status in statuses:
        row = database.transition(job_id, status, **(columns if status is statuses[-1] else {}))
    return row


def finish(database: Database, prompt: str = "a fox", *, pictures: int = 1, cost: Any = None, **changes: Any) -> str:
    """Create a job and bring it to ``saved`` with its pictures on disk."""
    with database.writing():
        job_id = create(database, prompt, **changes)
        saved = [{"index": k, "file": f"2026-11-25/{job_id}-{k}.png", **PICTURE} for k in range(pictures)]
        move(database, job_id, *PATH[:4], pictures=saved, **(cost or {}))
        move(database, job_id, Status.SAVED)
    return job_id


def reported(amount: str, currency: str = "USD", source: str = "reported") -> dict[str, Any]:
    """Return the columns of a cost."""
    return {"cost_amount": Decimal(amount), "cost_currency": currency, "cost_source": source}


def ledger(folder: Path, clock: Clock | None = None, **options: Any) -> Database:
    """Open the ledger of a folder."""
    return open_really(folder / "ledger.db", wall_clock=clock or Clock(), **options)


def sql(folder: Path, *statements: str) -> list[Any]:
    """Ask or change the ledger of a folder as SQLite's own shell would; return the last rows."""
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


class Desk:
    """A person with a folder, its ledger and their settings."""

    def __init__(self, tmp_path: Path, name: str = "one", **env: str) -> None:
        self.folder = tmp_path / name / "wan-pictures"
        self.folder.mkdir(parents=True)
        self.clock = Clock()
        self.env = {"WAN_HOME": str(self.folder), **env}
        self.loader = SettingsLoader(self.env, tmp_path, tmp_path / "config", tmp_path / "data", use_keyring=False)
        self.loader.remember_folder(self.folder)
        self.database = ledger(self.folder, self.clock)

    def close(self) -> None:
        """Close the ledger."""
        self.database.close()
