"""Downloads: whole, resumed, capped, stalled, redirected, refused; without the key, and never a byte lost or mixed."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client_kit import Answers, client, pieces
from tests.download_kit import DATA, ETAG, SHA256, Files, failed, fetch
from wan_notebook.client import Downloaded, DownloadProgress


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


@pytest.mark.parametrize(
    ("body", "length", "kind"), [(b"x" * 9, "10", "truncated"), (b"", "10", "truncated"), (b"", "", "empty")]
)
def test_fewer_bytes_than_announced_is_truncated(tmp_path: Path, body: bytes, length: str, kind: str) -> None:
    """Content-Length against bytes; an empty file is no picture either."""
    headers = {"content-length": length} if length else {}
    answer = httpx.Response(200, headers=headers, content=pieces(body))
    assert failed(client(Answers(answer)), tmp_path / "x.part").kind == kind


def test_a_compressed_answer_is_unpacked(tmp_path: Path) -> None:
    """Some servers compress although told not to; its Content-Length counts other bytes."""
    packed = gzip.compress(DATA[:5000])
    headers = {"content-encoding": "gzip", "content-length": str(len(packed))}
    done = fetch(client(Answers(httpx.Response(200, headers=headers, content=packed))), tmp_path / "x.part")
    assert done.bytes_total == 5000
    assert (tmp_path / "x.part").read_bytes() == DATA[:5000]
