"""Downloads: whole, resumed, capped, stalled, redirected, refused; without the key, and never a byte lost or mixed."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client_kit import RESULT, Answers, client, pieces, raised, run
from wan_notebook.client import Client, Downloaded, DownloadProgress, Timeouts
from wan_notebook.errors import DownloadError, StoreError

DATA = hashlib.shake_256(b"a picture").digest(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
ETAG = '"e-1"'


def fetch(
    c: Client, part: Path, url: str = RESULT, progress: DownloadProgress | None = None, max_bytes: int = 2**26
) -> Downloaded:
    """Download once."""

    async def work(c: Client) -> Downloaded:
        return await c.download(url, part=part, max_bytes=max_bytes, resume=progress)

    return run(work, c)


def failed(c: Client, part: Path, url: str = RESULT, progress: DownloadProgress | None = None, **more: Any) -> Any:
    """Download once and return the error."""

    async def work(c: Client) -> Downloaded:
        return await c.download(url, part=part, resume=progress, **more)

    error = raised(work, c)
    assert isinstance(error, DownloadError)
    return error


class Files:
    """A store of one file as object storage serves it: ETag, ranges, and cuts where it is told to."""

    def __init__(self, data: bytes = DATA, *, etag: str = ETAG, cut_after: int | None = None) -> None:
        self.data, self.etag, self.cut_after = data, etag, cut_after
        self.ranges: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        asked = request.headers.get("range", "")
        self.ranges.append(asked)
        start = 0
        status, headers = 200, {"etag": self.etag, "content-type": "image/png"}
        if asked and request.headers.get("if-range") == self.etag:
            start = int(re.findall(r"\d+", asked)[0])
            headers["content-range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
            status = 206
            if start >= len(self.data):
                return httpx.Response(416, headers={"content-range": f"bytes */{len(self.data)}"})
        rest = self.data[start:]
        headers["content-length"] = str(len(rest))
        if self.cut_after is None:
            return httpx.Response(status, headers=headers, content=pieces(*chunked(rest)))
        body = pieces(*chunked(rest[: self.cut_after]), end=httpx.RemoteProtocolError("cut"))
        return httpx.Response(status, headers=headers, content=body)


def chunked(data: bytes, size: int = 65_536) -> list[bytes]:
    """Cut data as a socket would."""
    return [data[k : k + size] for k in range(0, len(data), size)]


def test_a_download_is_whole_hashed_and_without_the_key(tmp_path: Path) -> None:
    """WAN_API §4: result URLs are on another host and need no key; never send it there."""
    c = client(Files())
    done = fetch(c, tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == DATA
    assert done == Downloaded(len(DATA), SHA256, "image/png", DATA[:64])
    assert c.requests_sent == {"download": 1}


@given(cuts=st.lists(st.integers(1, 900), max_size=6), size=st.integers(1, 3000))
def test_a_download_cut_anywhere_is_continued_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], size: int
) -> None:
    """The part file and the progress together are enough: no byte is lost, doubled or mixed."""
    part = tmp_path_factory.mktemp("cut") / "x.part"
    files, progress = Files(DATA[:size]), DownloadProgress()
    for cut in cuts:
        if part.exists() and part.stat().st_size + cut >= size:
            break
        files.cut_after = min(cut, size - 1)
        if files.cut_after:
            assert failed(client(files), part, progress=progress).kind == "truncated"
            assert part.read_bytes() == DATA[: part.stat().st_size]
    files.cut_after = None
    have = part.stat().st_size if part.exists() else 0
    done = fetch(client(files), part, progress=progress)
    assert part.read_bytes() == DATA[:size]
    assert (done.sha256, done.bytes_total) == (hashlib.sha256(DATA[:size]).hexdigest(), size)
    assert (done.resumed_from, done.head) == (have, DATA[: min(64, size)])
    assert files.ranges[-1] == (f"bytes={have}-" if have else "")


def test_a_large_download_is_continued_across_batches(tmp_path: Path) -> None:
    """Batches are written by a thread: what has been taken is on disk before the error is raised."""
    part, files, progress = tmp_path / "x.part", Files(cut_after=2_300_000), DownloadProgress()
    error = failed(client(files), part, progress=progress)
    assert part.read_bytes() == DATA[:2_300_000]
    assert "2,300,000 of 3,000,000" in str(error)
    files.cut_after = None
    assert fetch(client(files), part, progress=progress).sha256 == SHA256
    assert part.read_bytes() == DATA


def test_a_file_that_changed_is_fetched_anew(tmp_path: Path) -> None:
    """If-Range: another ETag means other bytes, and the old beginning must not stay."""
    part, files, progress = tmp_path / "x.part", Files(cut_after=1000), DownloadProgress()
    failed(client(files), part, progress=progress)
    files.data, files.etag, files.cut_after = DATA[::-1][:500], '"e-2"', None
    done = fetch(client(files), part, progress=progress)
    assert part.read_bytes() == DATA[::-1][:500]
    assert done.resumed_from == 0


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({}, ""),
        ({"etag": 'W/"weak"'}, ""),
        ({"last-modified": "Fri, 09 Jan 2026 10:00:00 GMT"}, "Fri, 09 Jan 2026 10:00:00 GMT"),
        ({"etag": ETAG, "last-modified": "Fri, 09 Jan 2026 10:00:00 GMT"}, ETAG),
    ],
)
def test_without_a_strong_validator_a_download_starts_anew(
    tmp_path: Path, headers: dict[str, str], validator: str
) -> None:
    """Joining two answers is right only if both are certainly the same file."""
    part, progress = tmp_path / "x.part", DownloadProgress()
    cut = httpx.Response(200, headers=headers, content=pieces(b"half", end=httpx.ReadError("x")))
    answers = Answers(cut, httpx.Response(200, content=b"whole"))
    assert failed(client(answers), part, progress=progress).kind == "lost"
    assert progress.validator == validator
    fetch(client(answers), part, progress=progress)
    assert answers.requests[1].headers.get("if-range", "") == validator
    assert part.read_bytes() == b"whole"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(206, headers={"content-range": "bytes 3-9/10"}, content=b"x" * 7),
        httpx.Response(206, headers={"content-range": "nonsense"}, content=b"x" * 7),
        httpx.Response(206, content=b"x" * 7),
        httpx.Response(416, headers={"content-range": "bytes */3"}),
    ],
)
def test_another_range_than_asked_is_never_joined(tmp_path: Path, answer: httpx.Response) -> None:
    """A server may get ranges wrong: then everything starts anew, next time."""
    part, progress = tmp_path / "x.part", DownloadProgress(ETAG, 10)
    part.write_bytes(b"1234")
    assert failed(client(Answers(answer)), part, progress=progress).kind == "range"
    assert not part.exists()
    assert progress == DownloadProgress()


def test_a_part_that_is_already_whole_needs_no_bytes(tmp_path: Path) -> None:
    """The connection may break after the last byte; 416 then says that nothing is left."""
    part = tmp_path / "x.part"
    part.write_bytes(DATA)
    done = fetch(client(Files()), part, progress=DownloadProgress(ETAG, len(DATA)))
    assert (done.sha256, done.bytes_total, done.head) == (SHA256, len(DATA), DATA[:64])
    assert part.read_bytes() == DATA


def test_an_old_part_of_another_download_is_replaced(tmp_path: Path) -> None:
    """Without progress nobody knows what the old bytes are."""
    part = tmp_path / "x.part"
    part.write_bytes(b"something else" * 100)
    fetch(client(Files(DATA[:10])), part)
    assert part.read_bytes() == DATA[:10]


@pytest.mark.parametrize("body", [b"", b"x" * 9])
def test_fewer_bytes_than_announced_is_truncated(tmp_path: Path, body: bytes) -> None:
    """Content-Length against bytes; an empty file is no picture either."""
    headers = {"content-length": "10"} if body else {}
    answer = httpx.Response(200, headers=headers, content=pieces(body))
    assert failed(client(Answers(answer)), tmp_path / "x.part").kind == "truncated"


def test_a_compressed_answer_is_unpacked(tmp_path: Path) -> None:
    """Some servers compress although told not to; its Content-Length counts other bytes."""
    packed = gzip.compress(DATA[:5000])
    headers = {"content-encoding": "gzip", "content-length": str(len(packed))}
    done = fetch(client(Answers(httpx.Response(200, headers=headers, content=packed))), tmp_path / "x.part")
    assert done.bytes_total == 5000
    assert (tmp_path / "x.part").read_bytes() == DATA[:5000]


# Limits --------------------------------------------------------------------------------------------------------------


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
    """A full or read-only disk is no fault of the line: it has another remedy, and the URL stays good."""

    async def work(c: Client) -> Any:
        return await c.download(RESULT, part=tmp_path / "missing" / "x.part", max_bytes=2**26)

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


# Where it may lead ---------------------------------------------------------------------------------------------------


def redirect(url: str, code: int = 302) -> httpx.Response:
    """Lead elsewhere."""
    return httpx.Response(code, headers={"location": url})


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed_without_the_key(tmp_path: Path, code: int) -> None:
    """Object storage redirects; not even the configured host gets the key for a download."""
    answers = Answers(
        redirect("/other.png", code), redirect("https://service.example/x"), httpx.Response(200, text="x")
    )
    fetch(client(answers), tmp_path / "x.part")
    assert [r.url.host for r in answers.requests] == ["files.example", "files.example", "service.example"]
    assert not any("authorization" in r.headers for r in answers.requests)


def test_redirects_are_limited(tmp_path: Path) -> None:
    """A ring of redirects ends."""
    answers = Answers(*[redirect(f"/{k}") for k in range(9)])
    assert failed(client(answers), tmp_path / "x.part").kind == "redirect"
    assert len(answers.requests) == 6


PRIVATE = [
    "http://127.0.0.1/x",
    "http://localhost:8888/x",
    "http://LOCALHOST./x",
    "http://a.localhost/x",
    "http://10.0.0.5/x",
    "http://192.168.1.1/x",
    "http://172.16.0.1/x",
    "http://169.254.169.254/latest/meta-data",
    "http://0.0.0.0/x",
    "http://[::1]/x",
    "http://[fe80::1]/x",
    "http://[fd00::1]/x",
    "http://[::ffff:127.0.0.1]/x",
    "http://100.64.0.1/x",
    "http://224.0.0.1/x",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_a_public_service_cannot_lead_into_the_private_network(tmp_path: Path, url: str) -> None:
    """A result's URL or a redirect must not make this machine ask its own network, or a cloud's metadata."""
    for answers, start in [(Answers(redirect(url)), RESULT), (Answers(), url)]:
        assert failed(client(answers), tmp_path / "x.part", start).kind == "private"
        assert all(r.url.host == "files.example" for r in answers.requests)


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000", "http://localhost:8000", "http://10.0.0.9"])
def test_a_private_service_may_have_private_results(tmp_path: Path, base: str) -> None:
    """A simulator on a port, or a company's own gateway."""
    answers = Answers(httpx.Response(200, text="x"))
    fetch(client(answers, base_url=base), tmp_path / "x.part", "http://127.0.0.1:9000/x")


def test_names_are_judged_by_what_they_resolve_to(tmp_path: Path) -> None:
    """`metadata.example` may well point to 169.254.169.254; each name is asked for once."""
    asked: list[str] = []

    async def resolver(host: str) -> list[str]:
        asked.append(host)
        known = {"files.example": ["93.184.216.34"], "inner.example": ["93.184.216.34", "10.0.0.1"]}
        return known.get(host, ["::ffff:93.184.216.35"])

    answers = Answers(httpx.Response(200, text="x"), redirect("http://inner.example/x"))
    c = client(answers, resolver=resolver)

    async def work(c: Client) -> str:
        await c.download(RESULT, part=tmp_path / "x.part", max_bytes=10)
        with pytest.raises(DownloadError, match="private") as caught:
            await c.download(RESULT, part=tmp_path / "x.part", max_bytes=10)
        return caught.value.kind

    assert run(work, c) == "private"  # because service.example is public, in IPv6's clothes too
    assert asked == ["files.example", "inner.example", "service.example"]


@pytest.mark.parametrize(
    "url",
    ["", "ftp://h/x", "file:///etc/passwd", "data:image/png;base64,AA", "/x", "http://", "http://[::1", "x" * 70_000],
)
def test_only_http_addresses_are_fetched(tmp_path: Path, url: str) -> None:
    """A service's words are no file names; the error does not repeat them."""
    error = failed(client(Answers()), tmp_path / "x.part", url)
    assert error.kind == "url"
    assert len(str(error)) < 200


def test_a_redirect_to_another_scheme_is_refused(tmp_path: Path) -> None:
    """Only http and https, at every step."""
    assert failed(client(Answers(redirect("file:///etc/passwd"))), tmp_path / "x.part").kind == "url"


# Into memory ---------------------------------------------------------------------------------------------------------


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
