"""A project as a person leaves it: a notebook, finished jobs of a real service, and what must stay private."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wan_notebook.bundle import Opened, open_bundle, plan_bundle, read_document, select, write_bundle
from wan_notebook.bundle import Project as Project_
from wan_notebook.ledger import InputRecord, JobDraft, JobRow, Ledger, PictureRecord
from wan_notebook.recipe import embedded, write_sidecar
from wan_notebook.request import ImageRequest
from wan_notebook.session.drafts import recipe_of
from wan_notebook.states import JobState
from wan_notebook.store import Store

NOON = 1_795_608_000.0  # 2026-11-25 12:00 UTC
USER = "prof-ada-l"
KEY_FINGERPRINT = "f00dfeedbeef"
HOST_URL = "https://secret-host.example.test"
SIGNED_URL = "https://cdn.example.test/result.png?Expires=99&Signature=verysecretsignature"

WAY = (JobState.SENDING, JobState.ACCEPTED, JobState.RUNNING, JobState.SUCCEEDED)


def png(seed: int = 1, side_px: int = 48) -> bytes:
    """Return a small noisy picture; another seed gives another one."""
    buffer = io.BytesIO()
    noise = random.Random(seed).randbytes(side_px * side_px * 3)  # noqa: S311 - pixels, not keys
    Image.frombytes("RGB", (side_px, side_px), noise).save(buffer, "PNG")
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    """Return the hash of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Project:
    """A folder with a notebook and its store."""

    root: Path
    ledger: Ledger
    store: Store
    now: float = NOON

    @property
    def notebook(self) -> Path:
        """The notebook's file."""
        return self.root / "study.ipynb"

    def job(
        self,
        prompt: str = "a fox in snow",
        *,
        seed: int = 5,
        seedless: bool = False,
        pictures: int = 1,
        state: JobState = JobState.SAVED,
        cost: str | None = "0.03",
        data: Sequence[bytes] = (),
        inputs: Sequence[InputRecord] = (),
        request: Mapping[str, Any] | None = None,
        at: float | None = None,
        **columns: Any,
    ) -> JobRow:
        """Bring a job of a real service to its end, with its pictures, their recipes and sidecars on disk."""
        self.now += 60.0
        asked = ImageRequest(prompt=prompt, seed=seed, **(request or {}))
        fp_sent = asked.fingerprint(with_seed=True)
        draft = JobDraft(
            provider="gateway",
            base_url=HOST_URL,
            model="wan2.6-image",
            mode=asked.mode.value,
            prompt=prompt,
            negative_prompt=asked.negative_prompt,
            parameters=asked.parameters(),
            request=asked.canonical(with_seed=True),
            fp_asked=asked.fingerprint(with_seed=False) if seedless else fp_sent,
            fp_sent=fp_sent,
            seed=seed,
            n=pictures,
            user=USER,
            key_fingerprint=KEY_FINGERPRINT,
            notebook=str(self.notebook),
            versions={"wan-notebook": "0.1.0", "python": "3.11.2", "pillow": "13.0.0", "run": "abcdef:1"},
            inputs=tuple(inputs),
            created_at=self.now if at is None else at,
        )
        draft = replace(draft, **columns)
        job_id = self.ledger.create_jobs([draft])[0].id
        for step in WAY:
            self.ledger.transition(job_id, step, **self._bill(step, cost, pictures)).result(10)
        if state is not JobState.SAVED:
            return self.ledger.get(job_id)
        for idx in range(pictures):
            given = data[idx] if idx < len(data) else png(seed * 100 + idx)
            self._save(job_id, idx, given)
        items = [{"picture": idx} for idx in range(pictures)]
        self.ledger.transition(job_id, JobState.SAVED, items=items).result(10)
        return self.ledger.get(job_id)

    def _bill(self, step: JobState, cost: str | None, pictures: int) -> dict[str, Any]:
        if step is JobState.ACCEPTED:
            return {"task_id": f"task-{self.now:.0f}", "accepted_at": self.now}
        if step is not JobState.SUCCEEDED:
            return {}
        metadata = {"metadata": {"signed": SIGNED_URL}, "duration_s": 8.5, "finished_at": self.now + 9}
        if cost is None:
            return metadata
        amount = Decimal(cost) * pictures
        return {"cost_amount": amount, "cost_currency": "USD", "cost_source": "reported", **metadata}

    def _save(self, job_id: str, idx: int, data: bytes) -> None:
        row = self.ledger.get(job_id)
        record = PictureRecord(
            idx=idx, url=SIGNED_URL, sha256=sha256(data), width_px=48, height_px=48, mime="image/png",
            size_bytes=len(data),
        )  # fmt: skip
        self.ledger.save_picture(job_id, record).result(10)
        recipe = recipe_of(self.ledger.get(job_id), record)
        made = embedded(data, recipe)
        written = self.store.add(f"2026-11-25/1200-{job_id}-{idx + 1}.png", b"".join(made.pieces))
        self.store.write_sidecar(written.file, write_sidecar(recipe))
        saved = replace(record, file=written.file, recipe_sha256=made.recipe_sha256, saved_at=row.created_at + 10)
        self.ledger.save_picture(job_id, saved).result(10)

    def input(self, name: str, data: bytes, **columns: Any) -> InputRecord:
        """Keep an input picture in the store and return its record."""
        file = self.store.add(f"inputs/{sha256(data)[:16]}.png", data).file
        record = InputRecord(
            position=0, name=name, identity=f"bytes:sha256:{sha256(data)}", sha256=sha256(data), file=file,
            width_px=48, height_px=48, mime="image/png",
        )  # fmt: skip
        return replace(record, **columns)

    def write_notebook(self, *cells: Mapping[str, Any], path: Path | None = None) -> Path:
        """Write a notebook of these cells."""
        target = path or self.notebook
        document = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document), "utf-8")
        return target

    def file(self, row: JobRow, idx: int = 0) -> Path:
        """Return where a picture lies."""
        return self.store.path(row.pictures[idx].file)


def shown(*rows: JobRow, source: str = "%%wan --seed 5\na fox in snow", count: int | None = 1) -> dict[str, Any]:
    """Return a cell whose output shows jobs, as the gallery leaves it."""
    jobs = [
        {
            "id": row.id,
            "state": str(row.state),
            "fingerprint_asked": row.fp_asked,
            "fingerprint_sent": row.fp_sent,
            "sha256": [picture.sha256 for picture in row.pictures],
        }
        for row in rows
    ]
    output = {
        "output_type": "display_data",
        "data": {"text/plain": "a picture"},
        "metadata": {"wan": {"schema": 1, "jobs": jobs}},
    }
    return code(source, [output], count)


def code(source: str, outputs: Sequence[Any] = (), count: int | None = None) -> dict[str, Any]:
    """Return a code cell."""
    return {
        "cell_type": "code",
        "id": f"c{abs(hash(source)) % 10**8}",
        "metadata": {},
        "execution_count": count,
        "source": source,
        "outputs": list(outputs),
    }


def open_project(root: Path, name: str = "wan-pictures") -> Project:
    """Open a project's store; close its ledger afterwards."""
    store = Store(root / name)
    store.ensure()
    return Project(root, Ledger.open(store.folder / "ledger.db", wall_clock=lambda: NOON), store)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project in a folder whose path and owner are nobody's business."""
    root = tmp_path / "private-place" / "paper"
    root.mkdir(parents=True)
    made = open_project(root)
    yield made
    made.ledger.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Project]:
    """Somebody else's project, on another machine."""
    root = tmp_path / "elsewhere"
    root.mkdir()
    made = open_project(root)
    yield made
    made.ledger.close()


def pack(made: Project, target: Path, *rows: JobRow, **options: Any) -> Path:
    """Pack a project's jobs (those that its notebook names, if none are given) and return the bundle's path."""
    named = [item.job_id for item in read_document(made.notebook).named()]
    keys = options.pop("keys", ())
    selection = select(made.ledger, [row.id for row in rows] or named, **options)
    write_bundle(plan_bundle(Project_.of(made.notebook, made.ledger, made.store), selection, keys=keys), target)
    return target


def unpack(source: Path, made: Project, **options: Any) -> Opened:
    """Open a bundle in a project."""
    return open_bundle(source, made.ledger, made.store, made.root, **options)


def rezip(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Write a bundle anew with its members changed, and its manifest made to fit them."""
    with zipfile.ZipFile(source) as zipped:
        members = {name: zipped.read(name) for name in zipped.namelist()}
    change(members)
    manifest = json.loads(members["manifest.json"])
    known = {entry["path"] for entry in manifest["files"]}
    manifest["files"] = [
        {"path": name, "size_bytes": len(data), "sha256": sha256(data)}
        for name, data in members.items()
        if name != "manifest.json" and name in known
    ]
    members["manifest.json"] = json.dumps(manifest).encode()
    return zip_of(target, members)


def zip_of(target: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip file as it is told."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return target


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder but the ledger's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("ledger.db")
    }
