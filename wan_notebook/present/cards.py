"""Jobs as cards: everything that a card says about a job, in words."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from .. import catalog as c
from ..cell_images import place_name
from ..cell_text import cell_text, image_expression
from ..images import load_image
from ..images.ducks import is_pil
from ..jobs import Job, LiveJob, Picture
from ..jobs.outcome import cost_of_row, error_of, seeds_text, was_never_sent
from ..ledger import InputRecord, JobRow, PictureRecord
from ..request import ImageRequest
from ..rules import Mode
from ..session import Session
from ..session.home import Home
from ..states import JobState
from ..views.looks import NEVER_SENT
from ..views.model import CardView, CompareItem, JobView, PictureView, TextView
from . import facts, words
from .previews import Previews


class Presenter:
    """Makes the plain data of cards from jobs. ``base`` is the notebook's folder: links start there."""

    def __init__(self, session: Session, home: Home, *, base: Path | None = None) -> None:
        self._session = session
        self._home = home
        self._base = base or session.sources.cwd
        self._previews = Previews(home.store)
        self.wall_clock = session.wall_clock

    def card(self, job: Job, *, with_pictures: bool = True) -> CardView:
        """Return the card of one handle: one job, or several that belong together."""
        count = sum(len(live.row.pictures) for live in job.lives) if with_pictures else 0
        jobs, first = [], 0
        for live in job.lives:
            jobs.append(self._job(job, live, first, count))
            first += len([p for p in live.row.pictures if p.saved_at])
        several = len(jobs) > 1
        if several and (whole := self._whole_text(job)):
            jobs[0] = replace(jobs[0], cell_text=whole)
        card = CardView(
            jobs=tuple(jobs),
            title=seeds_text(job.seeds) if several else "",
            total_text=facts.total([cost_of_row(live.row) for live in job.lives if live.id not in job.replayed])
            if several
            else "",
        )
        return replace(card, sheet=self._previews.sheet(card)) if job.is_done else card

    def _job(self, job: Job, live: LiveJob, first: int, count: int) -> JobView:
        row, now = live.row, self._session.wall_clock()
        state = live.state
        is_replay = row.id in job.replayed
        request = job.request.replace(n=1, seed=row.seed) if len(job.lives) > 1 and _is_alone(job) else job.request
        return JobView(
            job_id=row.id,
            state=NEVER_SENT if was_never_sent(row) else state.value,
            mode=row.mode,
            prompt=row.prompt,
            negative_prompt=row.negative_prompt,
            seed=row.seed,
            model=row.model,
            provider=row.provider,
            items=self._items(job, row, first, count) if count else (),
            cost_text=facts.cost_text(row, is_replay=is_replay),
            most_text=facts.most_text(row),
            elapsed_s=facts.elapsed_s(row, now),
            eta_text=words.eta_text(self._home.engine.estimates.remaining_s(row, now)),
            progress=live.progress,
            when_text=words.when_text(row.created_at),
            expires_text=facts.expires_text(row),
            expected_size_text=facts.expected_text(job.request),
            can_cancel=self._can_cancel(row),
            cancel_requested=live.cancel_asked,
            notes=(*facts.trash_notes(row), *row.notes, *([live.note] if live.note else [])),
            error_lines=facts.error_lines(row),
            next_text=error_of(row).hint if state in facts.TROUBLE and state is not JobState.IN_DOUBT else "",
            replay_text=f"from store · $0.00 · {words.day_text(row.created_at)}" if is_replay else "",
            again_text="run again for a new picture" if is_replay and self._can_be_anew(row) else "",
            name=job.name,
            rewrite=row.rewrite,
            fingerprint_asked=row.fp_asked,
            fingerprint_sent=row.fp_sent,
            missing=row.missing or 0,
            tags=row.tags,
            simulated_note=self._simulated_note(row),
            task_id=row.task_id,
            request_id=row.request_id,
            parameters=facts.parameters(row),
            cell_text=self.cell_text(request, row),
        )

    def _items(self, job: Job, row: JobRow, first: int, count: int) -> tuple[PictureView | TextView, ...]:
        found: list[PictureView | TextView] = []
        by_index = {record.idx: record for record in row.pictures}
        shown = 0
        for item in row.items:
            if "text" in item:
                found.append(TextView(text=str(item["text"])))
            elif (record := by_index.get(int(item["picture"]))) is not None:
                found.append(self._picture(job, row, record, first + shown, count))
                shown += bool(record.saved_at)
        return tuple(found)

    def _picture(self, job: Job, row: JobRow, record: PictureRecord, index: int, count: int) -> PictureView:
        several = len(row.pictures) > 1
        path = self._home.engine.path_of(record.file) if record.saved_at else None
        return PictureView(
            job_id=row.id,
            index=index,
            expr=f"{job.name or row.id}[{index if job.name else record.idx}]",
            seed=row.seed,
            seed_note=f"{record.idx + 1} of {len(row.pictures)}, one batch" if several else "",
            width_px=record.width_px or 0,
            height_px=record.height_px or 0,
            file=words.relative_link(path, self._base) if path else "",
            full_path=str(path) if path else "",
            mime=record.mime or "image/png",
            previews=self._previews.get(record, count),
            cost_text=facts.each_text(row),
            time_text=words.duration_text(facts.took_s(row)),
            sha256=record.sha256,
            starred=record.starred,
            rejected=record.rejected,
            note=facts.picture_note(row, record),
            kind=record.kind,
        )

    def takes(self, job: Job) -> CardView:
        """Return every answer to a job's request as one card, newest first."""
        row = job.rows[0]
        by: Literal["asked", "sent"] = "asked" if row.fp_asked != row.fp_sent else "sent"
        rows = self._home.ledger.takes(row.fp_asked if by == "asked" else row.fp_sent, by)
        lives = [self._home.engine.live(take) for take in reversed(rows)]
        together = Job(lives, self._home.engine, request=job.request, name="")
        card = self.card(together)
        return replace(card, title=f"{len(rows)} takes of one request, newest first")

    def compare_item(self, picture: Picture, count: int) -> CompareItem:
        """Return one picture of a side-by-side, with the facts in which it may differ."""
        row = picture.live.row
        view = self._picture(picture.job, row, picture.record, picture.index, count)
        said = {
            "seed": str(row.seed),
            "size": f"{picture.record.width_px}×{picture.record.height_px}",
            "mode": row.mode,
            "negative prompt": row.negative_prompt,
            "cost": facts.each_text(row),
        }
        return CompareItem(picture=view, prompt=row.prompt, facts=tuple((k, v) for k, v in said.items() if v))

    def picture_card(self, picture: Picture) -> CardView:
        """Return the card of one picture, with what is known of its job."""
        live = picture.live
        view = self._picture(picture.job, live.row, picture.record, picture.index, 1)
        job = self._job(picture.job, live, picture.index, 0)
        return CardView(jobs=(replace(job, items=(view,), missing=0, cost_text=""),))

    def compare_image(self, value: Any, at: int) -> CompareItem:
        """Return anything that is an image for a side-by-side, by its file's name or its place, and its size.

        Raises ``ImageInputError``.
        """
        given = value if isinstance(value, str | Path) else getattr(value, "filename", "")
        name = place_name(str(given)) if given else f"image {at + 1}"
        # Too small to be sent is not too small to be looked at.
        if is_pil(value) and min(value.size) < c.IMAGE_SIDE_MIN_PX:
            buffer = io.BytesIO()
            value.convert("RGBA").save(buffer, "PNG")
            data, mime, size = buffer.getvalue(), "image/png", value.size
        else:
            image = load_image(value, name=name)
            data, mime, size = image.data, image.mime, (image.width_px, image.height_px)
        view = PictureView(job_id="", index=at, expr=name, width_px=size[0], height_px=size[1], data=data, mime=mime)
        return CompareItem(picture=view, facts=(("size", f"{size[0]}×{size[1]}"),))

    def link(self, path: Path) -> str:
        """Return a path as the notebook's folder sees it."""
        return words.relative_link(path, self._base)

    def _can_cancel(self, row: JobRow) -> bool:
        if row.state in (JobState.INTENT,):
            return True
        if row.state not in (JobState.ACCEPTED, JobState.RUNNING):
            return False
        return self._session.providers.client_of_row(self._session.settings, row).can_cancel

    def _can_be_anew(self, row: JobRow) -> bool:
        """Say whether running the cell again asks anew: without a seed, and where the store may buy at all."""
        return row.fp_asked != row.fp_sent and self._session.replay_mode(self._session.settings()) != "only"

    def _simulated_note(self, row: JobRow) -> str:
        provider = self._session.settings().provider
        if not row.simulated or provider.is_named or provider.name != "simulator":
            return ""
        return "practice picture: no key · `%wan login`"  # where was looked is in `%wan doctor`

    def cell_text(self, request: ImageRequest, row: JobRow) -> str:
        """Return the ``%%wan`` cell that asks the same, with inputs named so that it runs in any kernel."""
        expressions = [self._expression(record) for record in row.inputs]
        expressions += [f"{i['job']}[{i['index'] or 0}]" for i in row.pending_inputs]
        shown = _without_defaults(request)
        return cell_text(shown, image_expressions=expressions, name=row.name, tags=row.tags, seed=row.seed)

    def _whole_text(self, job: Job) -> str:
        """Return the cell that asks for all jobs of a handle; empty where no single cell does, as for takes."""
        row, seeds = job.lives[0].row, [seed for seed in job.seeds if seed is not None]
        if len(set(seeds)) != len(job.lives):
            return ""
        counts_up = seeds == list(range(seeds[0], seeds[0] + len(seeds)))
        if _is_alone(job) and job.request.n == len(seeds) and counts_up:
            return self.cell_text(job.request, row)
        text = self.cell_text(job.request.replace(n=1) if _is_alone(job) else job.request, row)
        wanted = f"{seeds[0]}..{seeds[-1]}" if counts_up else ",".join(map(str, seeds))
        return text.replace(f"--seed {row.seed}", f"--seed {wanted}", 1)

    def _expression(self, record: InputRecord) -> str:
        if record.source_job:
            return f"{record.source_job}[{record.source_index or 0}]"
        return image_expression(words.relative_link(self._home.engine.path_of(record.file), self._base))


def _without_defaults(request: ImageRequest) -> ImageRequest:
    """Return the same request without what the ledger spells out and nobody needs to type."""
    if request.mode is not Mode.EDIT or (request.size != "1K" and request.prompt_extend is not True):
        return request
    size = None if request.size == "1K" else request.size
    return request.replace(size=size, prompt_extend=None if request.prompt_extend else request.prompt_extend)


def _is_alone(job: Job) -> bool:
    return job.request.mode is Mode.TEXT_TO_IMAGE
