"""What a person does to jobs afterwards: stars, tags, the trash, and remembered values."""

from collections.abc import Collection, Iterable
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from ..errors import StoreError
from .jobs import JobWriter, locked_job, reindex
from .models import EventRow, InputRow, JobRow, MetaRow, PictureRow, deletions
from .queries import PORTION

_FORGOTTEN: Final[dict[str, Any]] = {
    **dict.fromkeys(("prompt", "negative_prompt", "name", "error_text"), ""),
    **dict.fromkeys(("parameters", "request", "usage", "service_metadata"), MappingProxyType({})),
    **dict.fromkeys(("items", "notes", "pending_inputs"), ()),
}
"""What goes when the trash is emptied; statuses, times, seeds and amounts stay, since the bill does."""


class Curation(JobWriter):
    """Marks, tags and the trash."""

    def star(self, job_id: str, index: int | None = None, on: bool = True) -> None:
        """Star a job, or one picture of it."""
        with self.writing() as session:
            _marked(session, job_id, index).is_starred = on

    def reject(self, job_id: str, index: int | None = None, on: bool = True) -> None:
        """Reject a job, or one picture of it; it stays in the history and still answers."""
        with self.writing() as session:
            _marked(session, job_id, index).is_rejected = on

    def tag(self, job_id: str, add: Iterable[str] = (), remove: Collection[str] = ()) -> tuple[str, ...]:
        """Add and remove tags; return those that the job has now."""
        with self.writing() as session:
            row = locked_job(session, job_id)
            kept = [tag for tag in (*row.tags, *add) if tag not in remove and tag.strip()]
            row.tags = tuple(dict.fromkeys(kept))
            reindex(session, [row])
            return row.tags

    def trash(self, job_id: str, on: bool = True) -> None:
        """Put a job into the trash, or take it out. An open one stays: it still costs or owes something."""
        with self.writing() as session:
            row = locked_job(session, job_id)
            if on and not row.is_final:
                hint = f"Cancel it, wait for it, or run `%wan resolve {job_id}`."
                raise StoreError(f"Job {job_id} is {row.status}, so it cannot go to the trash.", hint=hint)
            row.trashed_at = self.now() if on else None

    def purge_trash(self, older_than: float) -> list[str]:
        """Forget prompts, inputs and pictures of jobs trashed before a time (Unix seconds); costs stay.

        Returns the files to delete, those of an earlier call that crashed included, but none that another job uses.
        Delete them, then call ``files_deleted``.
        """
        with self.writing() as session:
            due = select(JobRow).where(JobRow.trashed_at < older_than, JobRow.purged_at.is_(None))
            now, files = self.now(), set[str]()
            for row in session.scalars(due).all():
                files |= _forget(session, row, now)
            session.flush()
            listed = set(session.scalars(select(deletions.c.file)))
            if new := files - listed - _still_used(session, sorted(files)):
                session.execute(insert(deletions), [{"file": file} for file in sorted(new)])
            return sorted(listed | new)

    def files_deleted(self, files: Iterable[str]) -> None:
        """Confirm that these files of purged jobs are gone."""
        with self.writing() as session:
            for file in files:
                session.execute(delete(deletions).where(deletions.c.file == file))

    def meta_set(self, key: str, value: str | None) -> None:
        """Remember a value under a key; None forgets it."""
        with self.writing() as session:
            if value is None:
                session.execute(delete(MetaRow).where(MetaRow.key == key))
            else:
                session.merge(MetaRow(key=key, value=value))


def _marked(session: Session, job_id: str, index: int | None) -> JobRow | PictureRow:
    row = locked_job(session, job_id)
    if index is None:
        return row
    picture = next((picture for picture in row.pictures if picture.index == index), None)
    if picture is None:
        raise StoreError(f"Job {job_id} has no picture [{index}].")
    return picture


def _forget(session: Session, row: JobRow, now: float) -> set[str]:
    """Remove what says something of the picture; return the files that showed it."""
    files = {new.file for new in row.inputs}
    for picture in row.pictures:
        files |= {picture.file, picture.corrupt_file}
        picture.file = picture.corrupt_file = picture.url = picture.note = ""
    for name, nothing in _FORGOTTEN.items():
        setattr(row, name, nothing)
    row.inputs = []
    row.purged_at = now
    session.execute(update(EventRow).where(EventRow.job_seq == row.seq).values(detail={}))
    reindex(session, [row])
    return files - {""}


def _still_used(session: Session, files: list[str]) -> set[str]:
    used: set[str] = set()
    for start in range(0, len(files), PORTION):
        for column in (PictureRow.file, PictureRow.corrupt_file, InputRow.file):
            used |= set(session.scalars(select(column).where(column.in_(files[start : start + PORTION]))))
    return used
