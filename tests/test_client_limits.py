"""Downloads: caps, stalls, statuses, a full disk, Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client_kit import KEY, RESULT, Answers, client, pieces, raised, run
from tests.download_kit import DATA, ETAG, SHA256, Files, failed, fetch
from wan_notebook.client import Client, DownloadProgress, Timeouts, network
from wan_notebook.errors import StoreError


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_file_over_the_cap_is_not_kept(tmp_path: Path, is_announced: bool) -> None:
    """A hostile URL must not fill the disk, whether it announces its size or not."""
    delivered = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal delivered
        while True:
            delivered += 1
            yield b"x" * 1000

    headers = {"content-length": "10000000"} if is_announced else {}
    answer = httpx.Response(200, headers=headers, content=endless())
    error = failed(client(Answers(answer)), tmp_path / "x.part", max_bytes=10_000)
    assert error.kind == "too_large"
    assert not (tmp_path / "x.part").exists()
    assert delivered <= 11


@pytest.mark.parametrize(("fast", "seconds"), [(0, 10), (100_000, 20)])
def test_a_download_that_trickles_is_stopped(tmp_path: Path, fast: int, seconds: int) -> None:
    """Each byte resets a read time-out: what counts is bytes in a window. A fast beginning excuses no dead end."""
    now_s = 0.0

    async def trickle() -> AsyncIterator[bytes]:
        nonlocal now_s
        yield b"x" * fast
        while True:
            now_s += 1.0
            yield b"x" * 50

    timeouts = Timeouts(stall_window_s=10, min_bytes_per_s=100)
    answer = httpx.Response(200, headers={"etag": ETAG}, content=trickle())
    c = client(Answers(answer), timeouts=timeouts, monotonic=lambda: now_s)
    assert failed(c, tmp_path / "x.part").kind == "stalled"
    assert (tmp_path / "x.part").stat().st_size == fast + 50 * seconds  # what came is kept


def test_a_slow_but_steady_download_is_not_stopped(tmp_path: Path) -> None:
    """Slow is not stalled."""
    now_s = 0.0

    async def steady() -> AsyncIterator[bytes]:
        nonlocal now_s
        for _ in range(50):
            now_s += 1.0
            yield b"x" * 100

    timeouts = Timeouts(stall_window_s=10, min_bytes_per_s=100)
    c = client(Answers(httpx.Response(200, content=steady())), timeouts=timeouts, monotonic=lambda: now_s)
    assert fetch(c, tmp_path / "x.part").bytes_total == 5000


def test_silence_in_the_middle_is_a_stall(tmp_path: Path) -> None:
    """No byte at all for the window: the read time-out of the line."""
    body = pieces(b"half", end=httpx.ReadTimeout("silent"))
    answer = httpx.Response(200, headers={"etag": ETAG}, content=body)
    assert failed(client(Answers(answer)), tmp_path / "x.part").kind == "stalled"
    assert (tmp_path / "x.part").read_bytes() == b"half"


@pytest.mark.parametrize(
    ("http_status", "kind"),
    [
        (403, "expired"),
        (404, "gone"),
        (410, "gone"),
        (429, "rate_limited"),
        (500, "server"),
        (503, "server"),
        (400, "http"),
        (204, "http"),
        (206, "http"),
        (416, "http"),
    ],
)
def test_each_status_has_its_kind(tmp_path: Path, http_status: int, kind: str) -> None:
    """The engine decides by it: poll again for a fresh URL, wait, or give up. An error page is never saved."""
    answer = httpx.Response(http_status, headers={"retry-after": "7"}, text="<Error/>")
    error = failed(client(Answers(answer)), tmp_path / "x.part")
    assert (error.kind, error.http_status, error.retry_after_s) == (kind, http_status, 7.0)
    assert "Signature" not in str(error)
    assert not (tmp_path / "x.part").exists()


class Later:
    """A client of httpx that has only what is public."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None) -> None:
        inner = httpx.AsyncClient(transport=transport)
        self.send, self.aclose = inner.send, inner.aclose


def test_a_client_that_tells_no_transport_sends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of httpx has no public name: a later one may lack it, and requests still go out, key and all."""
    monkeypatch.setattr(network, "_open_client", Later)
    answers = Answers(httpx.Response(200, json={"id": "t", "status": "queued"}))
    run(lambda c: c.status("t"), client(answers))
    assert KEY in answers.requests[0].headers["authorization"]
    fetch(client(Files()), tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == DATA


@pytest.mark.parametrize("http_status", [403, 404, 410])
def test_a_proxys_refusal_does_not_say_that_a_picture_is_gone(tmp_path: Path, http_status: int) -> None:
    """It comes as a web page, which a storage's answer is not: the paid picture still lies there, to be fetched."""
    page = httpx.Response(http_status, html="<h1>Blocked by your network</h1>")
    assert failed(client(Answers(page)), tmp_path / "x.part").kind == "page"
    storage = httpx.Response(http_status, text="<Error/>", headers={"content-type": "application/xml"})
    assert failed(client(Answers(storage)), tmp_path / "x.part").kind in ("expired", "gone")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (httpx.ConnectError("x"), "unreachable"),
        (httpx.ConnectTimeout("x"), "connect_timeout"),
        (httpx.ReadTimeout("x"), "timeout"),
        (httpx.ReadError("x"), "lost"),
        (httpx.RemoteProtocolError("x"), "lost"),
    ],
)
def test_a_connection_that_fails_before_the_first_byte(tmp_path: Path, failure: Exception, kind: str) -> None:
    """Nothing arrived, so nothing was truncated."""
    assert failed(client(Answers(failure)), tmp_path / "x.part").kind == kind


def test_a_folder_that_cannot_be_written_is_the_stores_error(tmp_path: Path) -> None:
    """A full or read-only disk is no fault of the line: it has another hint, and the URL stays good."""

    async def work(c: Client) -> Any:
        return await c.download(RESULT, part=tmp_path / "missing" / "too" / "x.part", max_bytes=2**26)

    for size in (10, 3_000_000):  # written at once, and by the thread
        error = raised(work, client(Files(DATA[:size])))
        assert isinstance(error, StoreError)
        assert "missing" in str(error)


def test_a_cancelled_download_leaves_what_arrived(tmp_path: Path) -> None:
    """Ctrl-C and shutdown leave a part that the next attempt continues."""
    part, progress = tmp_path / "x.part", DownloadProgress()
    body = pieces(DATA[:1_500_000], is_endless=True)
    answer = httpx.Response(200, headers={"etag": ETAG, "content-length": "3000000"}, content=body)

    async def work(c: Client) -> None:
        task = asyncio.ensure_future(c.download(RESULT, part=part, max_bytes=2**26, resume=progress))
        while not part.exists() or part.stat().st_size < 1_500_000:  # noqa: ASYNC110 - another thread writes it
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work, client(Answers(answer)))
    assert part.read_bytes() == DATA[:1_500_000]
    assert fetch(client(Files()), part, progress=progress).sha256 == SHA256
