"""A folder of pictures in use: its files, its ledger and the worker on it; and requests from and to its rows."""

import platform
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from ._version import __version__
from .database import BATCH_KEY, OCCURRENCE_KEY, Database, InputRow, JobRow, Price
from .environment import Settings
from .errors import RequestError, WanError
from .images import InputImage, PendingImage
from .jobs import KEPT_OF_INPUTS, Worker, new_inputs
from .replay import RUN_KEY, PlannedJob, Submission
from .request import ImageRequest, fields_of
from .settings import LEDGER_NAME
from .storage import Storage

REPLAY_META: Final = "replay"
"""The ledger's note that a folder only replays: the folder of an opened bundle."""


@dataclass(eq=False)
class Project:
    """A folder in use. ``replays_only``: nothing is bought in it, whatever the environment says."""

    storage: Storage
    database: Database
    worker: Worker
    replays_only: bool


def ledger_exists(settings: Settings) -> bool:
    """Say whether the folder has a ledger, or one is named by its address."""
    return bool(settings.ledger_url) or (settings.folder / LEDGER_NAME).is_file()


# Rows ----------------------------------------------------------------------------------------------------------------


def new_job(
    job: PlannedJob, submission: Submission, settings: Settings, price: Price | None, storage: Storage, run: str
) -> JobRow:
    """Return the row that is committed before anything is sent; its input pictures are on disk then too."""
    request, parameters = job.request, job.request.parameters()
    # What `--no-embed` said is kept, so that a later kernel obeys it too.
    made_by = {RUN_KEY: run, OCCURRENCE_KEY: str(job.occurrence or ""), "embed": submission.embed}
    made_by[BATCH_KEY] = submission.batch
    same_names = (
        (settings, "provider base_url is_simulated user key_fingerprint"),
        (request, "model prompt negative_prompt seed"),
        (job, "request_hash request_hash_with_seed"),
        (submission, "name tags"),
        (submission.cell, "notebook cell_id"),
    )
    return JobRow(
        **{name: getattr(source, name) for source, names in same_names for name in names.split()},
        mode=request.mode.value,
        parameters=parameters,
        request=request.canonical(with_seed=True),
        request_position=job.position,
        n=request.pictures_asked,
        size_tier=str(parameters.get("size", "")),
        versions=_software() | {key: value for key, value in made_by.items() if value not in ("", None)},
        reserved_amount=price.amount * request.pictures_asked if price else None,
        reserved_currency=price.currency if price else "",
        notes=(*submission.notes, *(note for i in request.images if isinstance(i, InputImage) for note in i.notes)),
        pending_inputs=tuple(
            {"name": image.name, "job": image.job_id, "index": image.index}
            for image in request.images
            if isinstance(image, PendingImage)
        ),
        inputs=new_inputs(request, storage),
    )


@cache
def _software() -> dict[str, str]:
    """Return the versions of what makes a picture's record."""
    found = {"wan-notebook": __version__, "python": platform.python_version()}
    for name in ("pillow", "httpx", "ipykernel"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def request_of_row(row: JobRow, storage: Storage) -> ImageRequest:
    """Return the request that a row was made from.

    An input whose kept copy is gone, or is another file, stands as an empty picture of its recorded size and name:
    enough to show and to write a cell, and refused by the service if it were sent.
    """
    fields: dict[str, Any] = {
        **fields_of(row.parameters, row.mode, row.model),
        "prompt": row.prompt,
        "negative_prompt": row.negative_prompt,
        "images": tuple(_input_of_row(record, storage) for record in row.inputs),
        "seed": row.seed,
    }
    try:
        return ImageRequest(**fields)
    except RequestError:
        # A record of other rules (an older version, a pending input): show what there is rather than nothing.
        return ImageRequest.model_construct(**fields)


def _input_of_row(record: InputRow, storage: Storage) -> InputImage:
    image = InputImage(data=b"", **{name: getattr(record, name) for name in KEPT_OF_INPUTS})
    try:
        kept = replace(image, data=storage.read(record.file))
    except WanError:
        return image
    return kept if record.sha256 in ("", kept.sha256) else image  # a foreign record may name any file of the folder
