"""What all parts of the panel share: a trait that follows changes, and answers to the page's messages.

Changes and messages come on any thread. None of them waits there: updates are made on the background threads, at most
ten a second, and each message is answered in a thread of its own.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..database import HistoryQuery, JobRow, PictureRow
from ..display import Thumbnails
from ..errors import WanError
from ..images import mime_of

if TYPE_CHECKING:
    from .panel import Panel

Message = Mapping[str, Any]
UPDATE_EVERY_S: Final = 0.1
"""A front end that gets more than ten updates a second falls behind."""
_THUMB: Final = {"max_px": 256, "max_bytes": 9_000}
_SENT_TOGETHER: Final = 6


class Feed:
    """One part of the panel, under its ``name`` in the page's messages: each kind has a method ``on_…``."""

    name = ""
    repeat_s: float | None = None
    """An update comes so often without a change; None: only after one."""

    def __init__(self, panel: "Panel") -> None:
        self.panel, self.session, self.project = panel, panel.session, panel.session.need_project()
        panel.parts[self.name] = self
        self._changed = asyncio.Event()
        self.start()
        self._task = self.session.background.submit(self._follow())

    def start(self) -> None:
        """Prepare what the part remembers."""

    def update(self) -> None:
        """Bring the part's trait up to date."""

    def touch(self, *_: object) -> None:
        """Ask for an update; returns at once, on any thread."""
        if not self._task.done():
            self.session.background.call(self._changed.set)

    def close(self) -> None:
        """End the updates."""
        self._task.cancel()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.repeat_s):
                    await self._changed.wait()
            self._changed.clear()
            await self.session.background.in_thread(self.panel.guarded, self.update)
            await asyncio.sleep(UPDATE_EVERY_S)


def query_of(message: Message, **more: Any) -> HistoryQuery:
    """Return what a page's filter asks for: words, a tag and a seed, with ``more``."""
    seed = int(message["seed"]) if message["seed"].isdecimal() else None
    return HistoryQuery(words=message["words"], tags=(message["tag"],), seed=seed, **more)


class PictureFeed(Feed):
    """Sends small copies and whole files to the page, by their keys.

    ``JOB/INDEX`` is a result, ``JOB/INDEX/POSITION`` an input of its job; keys of the picker have a colon.
    """

    name = "pictures"

    def start(self) -> None:
        """Use the cache of small copies."""
        self._thumbnails = Thumbnails(self.project.storage)

    def find(self, key: str) -> tuple[JobRow, PictureRow]:
        """Return the job and the picture of a key. Raise ``StoreError`` or ``LookupError``."""
        job_id, index = key.split("/")[:2]
        row = self.project.database.get(job_id)
        return row, {str(picture.index): picture for picture in row.pictures}[index]

    def on_thumbs(self, message: Message) -> None:
        """Send copies as they are made: a folder of large pictures that was never shown needs a while for each."""
        keys = message["keys"]
        for start in range(0, len(keys), _SENT_TOGETHER):
            some = keys[start : start + _SENT_TOGETHER]
            self.panel.send({"kind": "thumbs", "keys": some}, [self._thumb(key) for key in some])

    def _thumb(self, key: str) -> bytes:
        with suppress(WanError, ValueError, LookupError):
            if ":" in key:
                return self.panel.picker.copy_of(key, **_THUMB)
            return self._thumbnails.get(self.find(key)[1], **_THUMB) or b""
        return b""

    def on_full(self, message: Message) -> None:
        """Send a whole file; one that is gone is sent empty."""
        key, data = message["key"], b""
        with suppress(WanError):
            row, picture = self.find(key)
            inputs = {f"{row.id}/{picture.index}/{given.position}": given.file for given in row.inputs}
            data = self.project.storage.read(inputs.get(key, picture.file))
        self.panel.send({"kind": "full", "key": key, "mime": mime_of(data) or "image/png"}, [data])
