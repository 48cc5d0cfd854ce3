"""Time the history of a large ledger: ``python benchmarks/history.py [ROWS]``, 100,000 by default.

Prints milliseconds for a first page with its totals, for each filter and sort that people use; the aim is 100.
"""
# ruff: noqa: S311, S608 - chance makes test data, and the names in its SQL stand in this file

from __future__ import annotations

import functools
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wan_notebook.ledger import DurationKey, HistoryQuery, Ledger
from wan_notebook.states import JobState

WORDS = ["red", "fox", "in", "deep", "snow", "at", "dusk", "with", "soft", "light", "old", "mountains", "水彩", "狐"]
BEGIN = 1_700_000_000.0
STEP_S = 300.0


def fill(path: Path, rows: int, seed: int = 7) -> None:
    """Write a ledger as years of work leave it: mostly saved, some failed, two pictures a job, costs in few amounts."""
    with Ledger.open(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    for table, columns, make in _tables(random.Random(seed)):
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        connection.executemany(sql, (row for at in range(1, rows + 1) for row in make(at)))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


Rows = Callable[[int], Iterator[tuple[Any, ...]]]


def _tables(chance: random.Random) -> list[tuple[str, tuple[str, ...], Rows]]:
    def jobs(at: int) -> Iterator[tuple[Any, ...]]:
        state = chance.choices(["saved", "failed", "cancelled"], [95, 4, 1])[0]
        made = 2 if state == "saved" else 0
        created = BEGIN + at * STEP_S
        amount = chance.choice(["0.03", "0.06", "0.075", None]) if made else "0"
        source = "reported" if amount is not None else ""
        # Whole columns as they are in life: fingerprints of 76 characters, a path, ids of the service.
        yield (
            at, f"{at:010x}", f"{at:010x}", state, "gateway", "wan26_image", "edit", f"wan1:sha256:{at:064x}",
            f"wan1:sha256:{at + 1:064x}", at % 1000, 2, "1K", f"task-{at:032x}", f"req-{at:032x}", "parameters",
            f"/home/someone/projects/study-{at % 40}/notebook.ipynb", f"cell-{at % 400:036x}", "someone", f"{7:012x}",
            amount, amount and int(float(amount) * 1e9 + 0.5), "USD", source, created, created + 1, created + 1,
            created + 14, created + 15, chance.lognormvariate(2.5, 0.4), "host.example", 4242, created, f"{at:032x}",
            int(at % 50 == 0), made, '["study"]' if at % 10 == 0 else "[]",
        )  # fmt: skip

    def texts(at: int) -> Iterator[tuple[Any, ...]]:
        request = '{"prompt": "' + "x" * 600 + '"}'
        yield at, _prompt(at), request, request, '{"wan_notebook": "1.0", "python": "3.12"}', '[{"picture": 0}]'

    def search(at: int) -> Iterator[tuple[Any, ...]]:
        yield at, f"{_prompt(at)}\n{at:010x}\n{at % 1000}"

    def pictures(at: int) -> Iterator[tuple[Any, ...]]:
        for idx in range(2):
            file = f"2026-11-24/1432-{at}-{idx}.png"
            yield at, idx, "image", f"{at:064x}", file, f"{at:064x}", 1280, 1280, 2_000_000, BEGIN, int(at % 500 == 0)

    def tags(at: int) -> Iterator[tuple[Any, ...]]:
        if at % 10 == 0:
            yield at, "study"

    job_columns = (
        "seq id batch_id state provider model mode fp_asked fp_sent seed n size_tier task_id request_id envelope "
        "notebook cell_id user key_fingerprint cost_amount cost_nano cost_currency cost_source created_at sending_at "
        "accepted_at finished_at saved_at duration_s owner_host owner_pid owner_started owner_token starred "
        "picture_count tags"
    )
    text_columns = "job_seq prompt request parameters versions items"
    picture_columns = "job_seq idx kind sha256 file file_sha256 width_px height_px size_bytes saved_at starred"
    return [
        ("jobs", tuple(job_columns.split()), jobs),
        ("job_texts", tuple(text_columns.split()), texts),
        ("job_search", ("job_seq", "haystack"), search),
        ("pictures", tuple(picture_columns.split()), pictures),
        ("job_tags", ("job_seq", "tag"), tags),
        ("cost_kinds", ("source", "currency", "odd"), lambda at: iter([("reported", "USD", 0)] if at == 1 else [])),
    ]


def _prompt(at: int) -> str:
    chance = random.Random(at)
    return " ".join(chance.choice(WORDS) for _ in range(chance.randint(5, 80))) + (" unicorn" if at % 5000 == 0 else "")


def queries(rows: int) -> dict[str, HistoryQuery]:
    """Return what is timed, by name."""
    late = BEGIN + rows * STEP_S - 7 * 86400
    return {
        "newest 20": HistoryQuery(),
        "newest 100": HistoryQuery(limit=100),
        "page in the middle": HistoryQuery(offset=rows // 2),
        "last 7 days": HistoryQuery(since=late),
        "one common word": HistoryQuery(words="fox"),
        "two words, CJK": HistoryQuery(words="fox 狐"),
        "one rare word": HistoryQuery(words="unicorn"),
        "no match": HistoryQuery(words="zebra"),
        "state failed": HistoryQuery(state=JobState.FAILED),
        "running": HistoryQuery(running=True),
        "tag": HistoryQuery(tag="study"),
        "notebook": HistoryQuery(notebook="/home/someone/projects/study-7/notebook.ipynb"),
        "seed": HistoryQuery(seed=77),
        "starred": HistoryQuery(starred=True),
        "by cost": HistoryQuery(sort="cost"),
        "by duration": HistoryQuery(sort="duration"),
        "by prompt": HistoryQuery(sort="prompt", descending=False),
    }


def milliseconds(work: Callable[[], object], repetitions: int = 5) -> str:
    """Return first and median wall time, and the least CPU time: on a busy machine only the last one says much."""
    walls, cpus = [], []
    for _ in range(repetitions):
        begin, cpu = time.perf_counter(), time.thread_time()
        work()
        walls.append((time.perf_counter() - begin) * 1e3)
        cpus.append((time.thread_time() - cpu) * 1e3)
    return f"{walls[0]:8.1f} {statistics.median(walls):8.1f} {min(cpus):8.1f}"


def main(rows: int = 100_000) -> None:
    """Build a ledger and print the table."""
    rows = max(1, rows // 16) * 16  # so that the last id without its last digit is a beginning of that one alone
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        fill(path, rows)
        print(f"{rows} jobs, {path.stat().st_size / 1e6:.0f} MB; ms: first call, median of 5, least CPU")
        with Ledger.open(path) as ledger:
            for name, query in queries(rows).items():
                shown = milliseconds(functools.partial(ledger.history, query))
                print(f"  {name:20} {shown}   {ledger.history(query).total_rows} rows")
            for name, work in other_calls(ledger, rows).items():
                print(f"  {name:20} {milliseconds(work)}")


def other_calls(ledger: Ledger, rows: int) -> dict[str, Callable[[], object]]:
    """Return the other reads that are timed, by name."""
    key = DurationKey(provider="gateway", model="wan26_image", mode="edit", size_tier="1K", n=2)
    asked = f"wan1:sha256:{rows // 2:064x}"
    return {
        "spend, all": ledger.spend,
        "spend, today": functools.partial(ledger.spend, since=BEGIN + rows * STEP_S - 86400),
        "cost by day": functools.partial(ledger.cost_by, "day"),
        "cost by notebook": functools.partial(ledger.cost_by, "notebook"),
        "durations": functools.partial(ledger.durations, key),
        "last price": functools.partial(ledger.last_price, "gateway", "wan26_image"),
        "get by prefix": functools.partial(ledger.get, f"{rows:010x}"[:9]),
        "find an answer": functools.partial(ledger.find_answer, asked, by="asked", simulated_ok=False),
        "open jobs": ledger.open_jobs,
    }


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
