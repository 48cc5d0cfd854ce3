"""A batch as figures and exports see it, without the machinery that makes one."""

import io
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from tests.kit import WAIT_S, ask
from wan_notebook.jobs import Job
from wan_notebook.session import Session


def noise_png(side_px: int = 256) -> bytes:
    """Return a small picture that no encoding makes smaller."""
    buffer, noise = io.BytesIO(), random.Random(1).randbytes(side_px * side_px * 3)  # noqa: S311 - no secret
    Image.frombytes("RGB", (side_px, side_px), noise).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


@dataclass
class RowsOfJobs:
    """The part of a batch that is asked for: its name, the caller's rows and their jobs."""

    rows: list[dict[str, Any]]
    jobs: list[Job]
    name: str = "zoo"
    axes: tuple[str, ...] = ()

    def __iter__(self) -> Iterable[Job]:
        return iter(self.jobs)


def batch_of(session: Session, rows: Iterable[Mapping[str, Any]], prompt: str = "a {animal} in {style}") -> RowsOfJobs:
    """Make a job a row; the columns of a row that are parameters and not in the prompt set them."""
    given, jobs = [dict(row) for row in rows], []
    for row in given:
        named = {name: row[name] for name in ("seed", "size", "n", "images") if name in row}
        job = ask(session, row.get("prompt") or prompt.format(**row), **named)
        job.wait(WAIT_S)
        jobs.append(replace(job, columns=row))
    return RowsOfJobs(given, jobs)
