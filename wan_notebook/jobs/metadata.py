"""From a job's row to the metadata that its picture files carry: never a key, a signed address or a local path."""

import datetime as dt
from typing import TYPE_CHECKING

from ..database import JobRow, PictureRow
from ..environment import Settings
from .status import cost_of

if TYPE_CHECKING:
    from ..metadata import Metadata

NOT_VERSIONS = frozenset({"run", "meeting", "embed"})
"""Keys in a row's ``versions`` that are not versions of software; their names are on disk."""


def wants_metadata(row: JobRow, settings: Settings) -> bool:
    """Say whether a job's files carry metadata: as its cell said (``--no-embed``), else as configured."""
    return bool(row.versions.get("embed", settings.embed))


def metadata_of(row: JobRow, picture: PictureRow) -> "Metadata":
    """Return what a picture's file says about itself."""
    from ..metadata import Metadata, MetadataCost, MetadataInput, MetadataParameters, MetadataPicture

    known = MetadataParameters.model_fields
    times = {"created": row.created_at, "accepted": row.accepted_at, "finished": row.finished_at}
    return Metadata(
        model=row.model,
        provider=row.provider,
        mode=row.mode,
        prompt=row.prompt,
        negative_prompt=row.negative_prompt,
        job_id=row.id,
        task_id=row.task_id,
        parameters=MetadataParameters(**{name: value for name, value in row.parameters.items() if name in known}),
        picture=MetadataPicture(
            index=picture.index,
            count=max(1, len(row.pictures)),
            sha256=picture.sha256,
            width_px=picture.width_px,
            height_px=picture.height_px,
        ),
        seeds=() if row.seed is None else (row.seed,),
        inputs=tuple(
            MetadataInput(
                name=given.name,
                identity=given.identity,
                sha256=given.sha256,
                width_px=given.width_px,
                height_px=given.height_px,
            )
            for given in row.inputs
        ),
        times={
            name: dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")
            for name, at in times.items()
            if at is not None
        },
        cost=MetadataCost.of(cost_of(row)),
        fingerprints={"asked": row.request_hash, "sent": row.request_hash_with_seed},
        versions={name: str(value) for name, value in row.versions.items() if name not in NOT_VERSIONS},
    )
