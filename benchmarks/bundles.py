"""Bundling and verifying: MB/s as a ratio to zipfile alone and SHA-256 alone, over the same files in the same run.

The comparisons do the least that the work needs at all: ``zipfile`` reads and stores the same pictures, SHA-256 reads
and hashes them. The aim is 0.8 for both. Best of some rounds, in turn, so that a busy moment hits none alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.folders import folder
from wan_notebook.bundle import Project, open_bundle, plan_bundle, select, verify, write_bundle
from wan_notebook.bundle.document import Named
from wan_notebook.ledger import JobDraft, JobRow, Ledger, PictureRecord
from wan_notebook.recipe import Recipe, RecipePicture, embedded, write_sidecar
from wan_notebook.request import ImageRequest
from wan_notebook.states import JobState
from wan_notebook.store import Store

ROUNDS = 5
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\0\0\0\x05\0\x08\x02\0\0\0\xcc\x84\xc6\x7b"
WAY = (JobState.SENDING, JobState.ACCEPTED, JobState.RUNNING, JobState.SUCCEEDED)


def picture(size_bytes: int) -> bytes:
    """Return something that looks like a PNG and cannot be compressed, as pictures cannot."""
    body = secrets.token_bytes(size_bytes)
    return PNG + len(body).to_bytes(4) + b"IDAT" + body + b"\0\0\0\0" + b"\0\0\0\0IEND\xaeB`\x82"


def save(ledger: Ledger, store: Store, seed: int, size_bytes: int) -> JobRow:
    """Bring one job to its end, with its picture, recipe and sidecar on disk."""
    request = ImageRequest(prompt="a fox in snow", seed=seed)
    fingerprint = request.fingerprint(with_seed=True)
    draft = JobDraft(
        provider="gateway", model="wan2.6-image", mode="text to image", prompt="a fox in snow",
        parameters=request.parameters(), request=request.canonical(with_seed=True), fp_asked=fingerprint,
        fp_sent=fingerprint, seed=seed,
    )  # fmt: skip
    job_id = ledger.create_jobs([draft])[0].id
    for state in WAY:
        ledger.transition(job_id, state).result()
    data = picture(size_bytes)
    record = PictureRecord(idx=0, sha256=hashlib.sha256(data).hexdigest(), width_px=1280, height_px=1280)
    recipe = Recipe(model="wan2.6-image", provider="gateway", mode="text to image", prompt="a fox in snow",
                    picture=RecipePicture(sha256=record.sha256))  # fmt: skip
    made = embedded(data, recipe)
    saved = store.add(f"2026-11-25/1200-a-fox-in-snow-s{seed}-1.png", b"".join(made.pieces))
    store.write_sidecar(saved.file, write_sidecar(recipe))
    record = replace(record, file=saved.file, recipe_sha256=made.recipe_sha256, saved_at=time.time())
    ledger.save_picture(job_id, record).result()
    ledger.transition(job_id, JobState.SAVED, items=[{"picture": 0}]).result()
    return ledger.get(job_id)


def best(*calls: Callable[[], object]) -> list[float]:
    """Return each call's best time in seconds, all of them in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for found, call in zip(times, calls, strict=True):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return [min(found) for found in times]


def zip_alone(files: list[Path], target: Path) -> None:
    """Store files in a zip, as zipfile does it by itself, and make it durable."""
    with zipfile.ZipFile(target, "w") as zipped:
        for file in files:
            zipped.write(file, file.name)
    with target.open("rb+") as written:
        os.fsync(written.fileno())


def hash_alone(files: list[Path]) -> None:
    """Read and hash files, one after the other."""
    for file in files:
        hashlib.sha256(file.read_bytes()).hexdigest()


def main(count: int = 60, size_bytes: int = 2_000_000) -> None:
    """Print the figures for as many pictures of as many bytes."""
    with folder() as name:
        root = Path(name)
        store = Store(root / "wan-pictures")
        store.ensure()
        (root / "study.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        with Ledger.open(store.folder / "ledger.db") as ledger:
            rows = [save(ledger, store, seed, size_bytes) for seed in range(count)]
            measure(root, ledger, store, rows)


def measure(root: Path, ledger: Ledger, store: Store, rows: list[JobRow]) -> None:
    """Measure one project."""
    files = [store.path(row.pictures[0].file) for row in rows]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    project, ids = Project.of(root / "study.ipynb", ledger, store), [row.id for row in rows]
    named = [Named(cell="cell [1]", job_id=row.id, sha256=(row.pictures[0].sha256,)) for row in rows]
    plan = plan_bundle(project, select(ledger, ids))

    def verified() -> None:
        assert verify(named, ledger, store, what="bench", now=0.0).is_ok

    zipped, written, whole, hashed, checked = best(
        lambda: zip_alone(files, root / "alone.zip"),
        lambda: write_bundle(plan, root / "paper.zip"),
        lambda: write_bundle(plan_bundle(project, select(ledger, ids)), root / "paper.zip"),
        lambda: hash_alone(files),
        verified,
    )
    start = time.perf_counter()
    with Ledger.open(root / "there" / "wan-pictures" / "ledger.db") as other:
        open_bundle(root / "paper.zip", other, Store(root / "there" / "wan-pictures"), root / "there")
    opening = time.perf_counter() - start
    print(f"{len(files)} pictures, {megabytes:.0f} MB, best of {ROUNDS} rounds in turn (aim for the ratios: 0.8)")
    print(f"zipfile alone          {megabytes / zipped:7.0f} MB/s")
    print(f"bundle, written        {megabytes / written:7.0f} MB/s   ratio {zipped / written:.2f} (it also hashes)")
    print(f"bundle, planned too    {megabytes / whole:7.0f} MB/s   ratio {zipped / whole:.2f}")
    print(f"SHA-256 alone          {megabytes / hashed:7.0f} MB/s")
    print(f"verify                 {megabytes / checked:7.0f} MB/s   ratio {hashed / checked:.2f}")
    print(f"open (checked, fsynced){megabytes / opening:7.0f} MB/s")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
