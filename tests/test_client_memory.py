"""Downloads into memory: a person's picture, and a result while the disk is full."""

from __future__ import annotations

import httpx

from tests.client_kit import RESULT, Answers, client, pieces, raised, run
from tests.download_kit import DATA, Files, redirect
from wan_notebook.client import Client
from wan_notebook.errors import DownloadError


def test_a_persons_picture_is_fetched_without_the_key() -> None:
    """An input URL may be anywhere, in a person's own network too, and is counted as a fetch."""

    async def work(c: Client) -> bytes:
        return await c.fetch_image("http://192.168.1.7/photo.jpg")

    answers = Answers(redirect("http://192.168.1.8/photo.jpg"), httpx.Response(200, content=b"picture"))
    c = client(answers)
    assert run(work, c) == b"picture"
    assert not any("authorization" in r.headers for r in answers.requests)
    assert c.requests_sent == {"fetch": 2}


def test_a_persons_public_address_cannot_lead_into_their_network() -> None:
    """Who owns a public address must not choose what is read inside."""

    async def work(c: Client) -> bytes:
        return await c.fetch_image("https://photos.example/1.jpg")

    error = raised(work, client(Answers(redirect("http://192.168.1.1/admin"))))
    assert isinstance(error, DownloadError)
    assert error.kind == "private"


def test_a_persons_picture_has_a_cap() -> None:
    """WAN_API §1: 10 MB per file."""

    async def work(c: Client) -> bytes:
        return await c.fetch_image("https://photos.example/1.jpg")

    error = raised(work, client(Answers(httpx.Response(200, headers={"content-length": "10485761"}, content=pieces()))))
    assert isinstance(error, DownloadError)
    assert error.kind == "too_large"


def test_a_result_can_be_kept_in_memory() -> None:
    """With a full disk the bytes are saved from the 24 hours first."""

    async def work(c: Client) -> bytes:
        return await c.download_bytes(RESULT, max_bytes=len(DATA))

    assert run(work, client(Files())) == DATA
