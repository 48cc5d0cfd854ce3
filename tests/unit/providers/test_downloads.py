"""Downloads: whole, resumed, capped, stalled, refused; without the key, and never into a private network."""

import asyncio
import gc
import hashlib
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.attacks import PRIVATE_ADDRESSES, nested_gzip
from tests.fakes.network import (
    RESULT_URL,
    Answers,
    FileServer,
    failure_of,
    http_reply,
    make_client,
    pieces,
    raw_server,
    read_request,
    run,
)
from wan_notebook.errors import DownloadError, StoreError
from wan_notebook.providers import IN_PROCESS_URL, ServiceClient, Timeouts

DATA = hashlib.shake_256(b"a picture").digest(300_000)
ETAG = '"e-1"'
DATE = "Fri, 09 Jan 2026 10:00:00 GMT"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Where a download goes."""
    return tmp_path / "parts" / "x.part"


def downloading(part: Path, url: str = RESULT_URL, max_bytes: int = 2**26) -> Any:
    """Return the call that downloads into a part file."""
    return lambda client: client.download(url, part=part, max_bytes=max_bytes)


def fetching(url: str) -> Any:
    """Return the call that fetches a person's picture."""
    return lambda client: client.fetch_image(url)


def failed(answers: Any, call: Any, **options: Any) -> DownloadError:
    """Return the download error that a call ends with."""
    error = failure_of(make_client(answers, **options), call)
    assert isinstance(error, DownloadError)
    return error


def after_failures(*calls: Any) -> Any:
    """Return one call that makes several, of which all but the last may fail."""

    async def call(client: ServiceClient) -> Any:
        for each in calls[:-1]:
            with pytest.raises(DownloadError):
                await each(client)
        return await calls[-1](client)

    return call


def redirect(url: str, code: int = 302) -> httpx.Response:
    """Lead elsewhere."""
    return httpx.Response(code, headers={"location": url})


def half(**headers: str) -> httpx.Response:
    """Break off in the middle."""
    return httpx.Response(200, headers=headers, content=pieces(b"half", end=httpx.ReadError("x")))


def test_a_download_is_whole_and_without_the_key(part: Path) -> None:
    """WAN_API §4: result URLs are on another host and need no key; never send it there."""
    assert run(make_client(FileServer(DATA)), downloading(part)) == "image/png"  # the server looks for the key
    assert part.read_bytes() == DATA


@given(cuts=st.lists(st.integers(1, 900), max_size=6), size=st.integers(1, 3000))
def test_a_download_cut_anywhere_is_continued_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], size: int
) -> None:
    """The next attempt of the same client goes on where the last one stopped: no byte is lost, doubled or mixed."""
    part, files = tmp_path_factory.mktemp("cut") / "x.part", FileServer(DATA[:size])
    total = 0

    async def call(client: ServiceClient) -> Any:
        nonlocal total
        for cut in cuts:
            if total + cut < size:
                files.cut_after, total = cut, total + cut
                with pytest.raises(DownloadError, match=f"{total:,} of {size:,} bytes") as caught:
                    await downloading(part)(client)
                assert (caught.value.kind, part.read_bytes()) == ("truncated", DATA[:total])
        files.cut_after = None
        return await downloading(part)(client)

    run(make_client(files), call)
    assert part.read_bytes() == DATA[:size]
    assert files.ranges[-1] == (f"bytes={total}-" if total else "")


def test_a_download_that_is_cancelled_at_any_moment_leaves_no_file_open(part: Path) -> None:
    """A session that is closed while a picture comes must not keep the part file, which Windows could not delete."""

    async def call(client: ServiceClient) -> None:
        for rounds in range(30):
            task = asyncio.ensure_future(downloading(part)(client))
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with warnings.catch_warnings(record=True, action="always", category=ResourceWarning) as told:
        run(make_client(FileServer(DATA[:200_000])), call)
        time.sleep(0.05)  # a thread may still open it
        gc.collect()
    assert not told


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({}, None),
        ({"etag": 'W/"weak"'}, None),
        ({"last-modified": DATE}, DATE),
        ({"etag": ETAG, "last-modified": DATE}, ETAG),
    ],
)
def test_without_a_strong_validator_a_download_starts_anew(
    part: Path, headers: dict[str, str], validator: str | None
) -> None:
    """Joining two answers is right only if both are certainly the same file."""
    answers = Answers(half(**headers), httpx.Response(200, content=b"whole"))
    run(make_client(answers), after_failures(downloading(part), downloading(part)))
    assert (answers.requests[1].headers.get("if-range"), part.read_bytes()) == (validator, b"whole")


def test_another_range_than_asked_is_never_joined(part: Path) -> None:
    """A server may get ranges wrong: then everything starts anew, next time."""
    wrong = [httpx.Response(206, headers={"content-range": "bytes 3-9/10"}, content=b"x" * 7), httpx.Response(206)]
    for answer in (*wrong, httpx.Response(416, headers={"content-range": "bytes */3"})):
        answers = Answers(half(etag=ETAG), answer, httpx.Response(200, content=b"whole"))
        run(make_client(answers), after_failures(*[downloading(part)] * 3))
        assert ("range" in answers.requests[2].headers, part.read_bytes()) == (False, b"whole")


def test_old_bytes_of_another_download_are_replaced(part: Path) -> None:
    """Of a part that this client did not begin, nobody knows what its bytes are; a link is never written through."""
    outside = part.parent.parent / "outside"
    part.parent.mkdir()
    part.write_bytes(b"something else" * 100)
    run(make_client(FileServer(DATA[:10])), downloading(part))
    assert part.read_bytes() == DATA[:10]
    part.unlink()
    part.symlink_to(outside)
    assert isinstance(failure_of(make_client(FileServer(DATA[:10])), downloading(part)), StoreError)
    assert not outside.exists()


def test_a_packed_picture_is_not_unpacked(part: Path) -> None:
    """A few hundred bytes must not become gigabytes: pictures come as they are."""
    for layers in (1, 3):
        bomb = nested_gzip(layers=layers, size_bytes=2**20)
        for call in (downloading(part), fetching(RESULT_URL)):
            answers = Answers(httpx.Response(200, headers=bomb.headers, content=pieces(bomb.body)))
            assert failed(answers, call).kind == "encoded"
            assert answers.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_file_over_the_cap_is_not_taken(part: Path, is_announced: bool) -> None:
    """A hostile URL must not fill disk or memory, whether it announces its size or not."""
    delivered = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal delivered
        while True:
            delivered += 1
            yield b"x" * 1_000_000

    for call in (downloading(part, max_bytes=10_000_000), fetching(RESULT_URL)):
        headers = {"content-length": "999000000"} if is_announced else {}
        answer = httpx.Response(200, headers=headers, content=endless())
        assert failed(Answers(answer), call).kind == "too_large"
    assert delivered <= (2 if is_announced else 11 + 27)


def test_a_download_that_trickles_is_stopped(part: Path) -> None:
    """Each byte resets a read timeout: what counts is bytes in a time. Slow but steady is not stalled."""
    now_s = 0.0

    async def trickle(bytes_per_s: int) -> AsyncIterator[bytes]:
        nonlocal now_s
        for _ in range(50):
            now_s += 1.0
            yield b"x" * bytes_per_s

    options = {"timeouts": Timeouts(stall_window_s=10, min_bytes_per_s=100), "monotonic": lambda: now_s}
    answers = Answers(*[httpx.Response(200, content=trickle(rate)) for rate in (50, 100)])
    assert failed(answers, downloading(part), **options).kind == "stalled"
    assert part.stat().st_size == 500
    run(make_client(answers, **options), downloading(part))
    assert part.stat().st_size == 5000


@pytest.mark.parametrize(
    ("failure", "kind_before", "kind_after"),
    [
        (httpx.ConnectError("x"), "unreachable", "lost"),
        (httpx.ReadTimeout("x"), "timeout", "stalled"),
        (httpx.ReadError("x"), "lost", "lost"),
        (httpx.RemoteProtocolError("x"), "lost", "truncated"),
    ],
)
def test_a_connection_that_fails_has_its_kind(part: Path, failure: Any, kind_before: str, kind_after: str) -> None:
    """Before the first byte nothing was truncated; after it, what came is kept. No text shows the signature."""
    error = failed(Answers(failure), downloading(part))
    assert (error.kind, "Signature" in str(error)) == (kind_before, False)
    answer = httpx.Response(200, content=pieces(b"half", end=failure))
    assert (failed(Answers(answer), downloading(part)).kind, part.read_bytes()) == (kind_after, b"half")


KINDS = {403: "expired", 404: "gone", 410: "gone", 429: "rate_limited", 503: "server", 400: "http", 206: "http"}


@pytest.mark.parametrize(("http_status", "kind"), KINDS.items())
def test_each_status_has_its_kind(part: Path, http_status: int, kind: str) -> None:
    """The worker decides by it; a proxy's page does not say that a paid picture is gone. No error page is saved."""
    answer = httpx.Response(http_status, headers={"retry-after": "7"}, text="<Error/>")
    error = failed(Answers(answer), downloading(part))
    assert (error.kind, error.http_status, error.retry_after_s) == (kind, http_status, 7.0)
    page = failed(Answers(httpx.Response(http_status, html="<h1>no</h1>")), downloading(part))
    assert page.kind == ("page" if kind in ("expired", "gone") else kind)
    assert part.read_bytes() == b""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(403, text="bots not allowed"), "HTTP 403: bots not allowed."),
        (httpx.Response(403, html="<html><h1>Bots</h1> not <b>allowed</b>"), "HTTP 403: Bots not allowed."),
        (httpx.Response(404, text=""), "HTTP 404: the server refuses."),
        (httpx.Response(451, content=b"\x1b[31m" + b"x" * 99_999), "HTTP 451: [31mxxx"),
        (httpx.Response(500, content=pieces(b"oops", end=httpx.ReadError("x"))), "HTTP 500: oops."),
    ],
)
def test_a_persons_own_address_says_what_its_server_said(answer: httpx.Response, words: str) -> None:
    """CASES I17: a refusal is not an expired link; the agent names the project and its address."""
    answers = Answers(answer)
    error = failed(answers, fetching("https://files.example/ua"))
    assert (words in str(error), "link" in str(error), len(str(error)) < 250) == (True, False, True)
    agent = answers.requests[0].headers["user-agent"]
    assert agent.startswith("wan-notebook/")
    assert "(+https://" in agent


# Where a download may lead --------------------------------------------------------------------------------------------


def test_redirects_are_followed_without_the_key_and_limited(part: Path) -> None:
    """Object storage redirects; not even the configured host gets the key for a download."""
    for code in (301, 302, 303, 307, 308):
        answers = Answers(redirect("/2", code), redirect("https://service.example/x"), httpx.Response(200, text="x"))
        run(make_client(answers), downloading(part))
        assert [r.url.host for r in answers.requests] == ["files.example", "files.example", "service.example"]
        assert not any("authorization" in r.headers for r in answers.requests)
        ring = Answers(*[redirect(f"/{k}", code) for k in range(9)])
        assert (failed(ring, downloading(part)).kind, len(ring.requests)) == ("redirect", 6)


def test_a_result_never_falls_back_to_plain_http(part: Path) -> None:
    """Somebody on the way could put another picture there; a person's own address may."""
    there = redirect("http://files.example/x.png")
    assert failed(Answers(there), downloading(part)).kind == "redirect"
    assert run(make_client(Answers(there, httpx.Response(200, content=b"x"))), fetching(RESULT_URL)) == b"x"


BAD_ADDRESSES = ("", "ftp://h/x", "file:///etc/passwd", "data:image/png;base64,AA", "/x", "http://", "http://[::1")


def test_only_http_addresses_are_fetched(part: Path) -> None:
    """A service's words are no file names, at any step; the error does not repeat them."""
    for url in (*BAD_ADDRESSES, "x" * 70_000):
        for call in (downloading(part, url), fetching(url)):
            error = failed(Answers(), call)
            assert (error.kind, len(str(error)) < 200) == ("url", True)
    assert failed(Answers(redirect("file:///etc/passwd")), downloading(part)).kind == "url"


@pytest.mark.parametrize(
    "host", [*PRIVATE_ADDRESSES, "localhost", "LOCALHOST.", "a.localhost", "224.0.0.1", "[fec0::1]", "[2001:db8::1]"]
)
def test_no_address_from_outside_leads_into_the_private_network(part: Path, host: str) -> None:
    """In every spelling, at once or after a redirect, for results and for a person's picture: nothing is asked."""
    url = f"http://{host}:8080/latest/meta-data"
    for call in (downloading(part, url), fetching(url)):
        assert failed(Answers(), call).kind in ("private", "url"), "httpx itself does not take octal numbers"
    answers = Answers(redirect(url))
    assert failed(answers, fetching("https://files.example/x")).kind in ("private", "lost")
    assert len(answers.requests) == 1


def test_public_addresses_are_reached_in_every_form(part: Path) -> None:
    """A network that has only IPv6 wraps public IPv4 addresses."""
    for host in ("93.184.216.34", "[2606:2800:21f::1]", "[64:ff9b::5db8:d822]", "[2002:5db8:d822::1]"):
        run(make_client(Answers(httpx.Response(200, text="x"))), downloading(part, f"http://{host}/x"))


def test_the_address_that_was_judged_is_the_one_connected_to(part: Path) -> None:
    """A name is resolved once: the connection goes to that address, Host and certificate stay the name's."""
    known = {
        "files.example": [["93.184.216.34", "93.184.216.35"], ["127.0.0.1"]],
        "mixed.example": [["93.184.216.34", "10.0.0.1"]],
        "wrapped.example": [["::ffff:127.0.0.1"]],
    }

    async def resolver(host: str) -> list[str]:
        return known[host].pop(0)

    answers = Answers(httpx.ConnectError("x"), httpx.Response(200, text="x"))
    run(make_client(answers, resolver=resolver), downloading(part))
    assert [request.url.host for request in answers.requests] == ["93.184.216.34", "93.184.216.35"]
    assert {request.headers["host"] for request in answers.requests} == {"files.example"}
    assert {request.extensions["sni_hostname"] for request in answers.requests} == {"files.example"}
    for host in known:  # the first name resolves elsewhere by now
        assert failed(Answers(), downloading(part, f"https://{host}/x"), resolver=resolver).kind == "private"


@pytest.mark.parametrize(
    ("base_url", "url", "is_reached"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:9000/x", True),
        ("http://localhost:8000", "http://[::1]:9000/x", True),
        ("http://127.0.0.1:8000", "http://10.0.0.9/x", False),
        ("http://10.0.0.9:8000", "http://10.0.0.9:9000/x", True),
        ("http://10.0.0.9:8000", "http://10.0.0.8/x", False),
        ("http://10.0.0.9:8000", "http://127.0.0.1/x", False),
        ("https://service.example", "http://127.0.0.1/x", False),
    ],
)
def test_a_private_service_may_have_its_results_beside_it(
    part: Path, base_url: str, url: str, is_reached: bool
) -> None:
    """A simulator on a port reaches this machine, a company's own gateway its own host; neither reaches further."""
    answers = Answers(httpx.Response(200, text="x"))
    if is_reached:
        run(make_client(answers, base_url=base_url), downloading(part, url))
    else:
        assert failed(answers, downloading(part, url), base_url=base_url).kind == "private"


def test_beside_the_simulator_in_this_process_the_network_is_the_network() -> None:
    """Without a key a picture's URL still means the real address, and this machine is as private as with one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(http_reply(b"picture"))

    async def main() -> bytes:
        async with raw_server(answer) as (url, _):
            client = make_client(Answers(httpx.Response(200, content=b"simulated")), base_url=IN_PROCESS_URL)
            with pytest.raises(DownloadError, match="on this computer"):
                await client.fetch_image(f"{url}/1")
            found = await client.fetch_image(f"{IN_PROCESS_URL}/1")
            await client.aclose()
            return found

    assert asyncio.run(main()) == b"simulated"
