"""The lasting MIME bundle of a job or of one picture: what a cell shows whose last line names it."""

from __future__ import annotations

from collections.abc import Callable

from .. import host
from ..jobs import Job, Picture
from ..session import Session
from ..views.gallery import Bundle, bundle
from ..views.terminal import card_text
from .cards import Presenter


def bundler(session: Callable[[], Session]) -> Callable[[Job | Picture], Bundle]:
    """Return what makes bundles of the jobs and pictures of a session, by the renderer of every other output."""

    def of(shown: Job | Picture) -> Bundle:
        now = session()
        presenter = Presenter(now, now.need_home(), base=host.notebook_folder())
        card = presenter.picture_card(shown) if isinstance(shown, Picture) else presenter.card(shown)
        data, metadata = bundle(card)
        if host.front_end(host.shell()) is host.FrontEnd.TERMINAL:  # nothing is a link there
            data["text/plain"] = card_text(card, full_paths=True)
        return data, metadata

    return of
