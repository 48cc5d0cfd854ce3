"""Downloads: whole, resumed, capped, stalled, refused; without the key, and never into a private network."""

import hashlib
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.environment import ROOT
from tests.fakes.attacks import PRIVATE_ADDRESSES, nested_gzip
from tests.fakes.network import RESULT_URL, Answers, FileServer, failure_of, make_client, pieces, run
from wan_notebook.errors import DownloadError, StoreError
from wan_notebook.providers import ServiceClient, Timeouts
from wan_notebook.settings import IN_PROCESS_URL

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


def redirect(url: str, code: int = 302) -> httpx.Response:
    """Lead elsewhere."""
    return httpx.Response(code, headers={"location": url})


@given(cuts=st.lists(st.integers(1, 900), max_size=6), size=st.integers(1, 3000))
def test_a_download_cut_anywhere_is_continued_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], size: int
) -> None:
    """No byte is lost, doubled or mixed. The server, which is another host, gets no key, and no error its signature."""
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
                assert "Signature" not in str(caught.value)
        files.cut_after = None
        return await downloading(part)(client)

    assert run(make_client(files), call) == "image/png"
    assert part.read_bytes() == DATA[:size]
    assert files.ranges[-1] == (f"bytes={total}-" if total else "")


WRONG_RANGES = [
    httpx.Response(206, headers={"content-range": "bytes 3-9/10"}, content=b"x" * 7),
    httpx.Response(206),
    httpx.Response(416, headers={"content-range": "bytes */3"}),
]


@pytest.mark.parametrize(
    ("headers", "validator", "wrong"),
    [
        ({}, None, []),
        ({"etag": 'W/"weak"'}, None, []),
        ({"last-modified": DATE}, DATE, []),
        *[({"etag": ETAG, "last-modified": DATE}, ETAG, [answer]) for answer in WRONG_RANGES],
    ],
)
def test_answers_are_joined_only_if_both_are_certainly_the_same_file(
    part: Path, headers: dict[str, str], validator: str | None, wrong: list[httpx.Response]
) -> None:
    """Without a strong validator, or after another range than asked, everything starts anew."""

    async def call(client: ServiceClient) -> None:
        for _ in range(1 + len(wrong)):
            with pytest.raises(DownloadError):
                await downloading(part)(client)
        await downloading(part)(client)

    half = httpx.Response(200, headers=headers, content=pieces(b"half", end=httpx.ReadError("x")))
    answers = Answers(half, *wrong, httpx.Response(200, content=b"whole"))
    run(make_client(answers), call)
    assert (answers.requests[1].headers.get("if-range"), part.read_bytes()) == (validator, b"whole")
    assert not wrong or "range" not in answers.requests[2].headers


def test_old_bytes_of_another_download_are_replaced(part: Path) -> None:
    """Of a part that this client did not begin, nobody knows what its bytes are; a link is never written through."""
    part.parent.mkdir()
    part.write_bytes(b"something else" * 100)
    run(make_client(FileServer(DATA[:10])), downloading(part))
    assert part.read_bytes() == DATA[:10]
    part.unlink()
    part.symlink_to(part.with_name("outside"))
    assert isinstance(failure_of(make_client(FileServer(DATA[:10])), downloading(part)), StoreError)
    assert not part.with_name("outside").exists()


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("call", ["download", "fetch"])
def test_a_packed_picture_is_not_unpacked(part: Path, layers: int, call: str) -> None:
    """Issue "nested gzip": a few hundred bytes must not become gigabytes: pictures come as they are."""
    bomb = nested_gzip(layers=layers, size_bytes=2**20)
    answers = Answers(httpx.Response(200, headers=bomb.headers, content=pieces(bomb.body)))
    assert failed(answers, downloading(part) if call == "download" else fetching(RESULT_URL)).kind == "encoded"
    assert answers.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_file_over_the_cap_is_not_taken(part: Path, is_announced: bool) -> None:
    """A hostile URL must not fill disk or memory, whether it announces its size or not."""
    delivered: list[bytes] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            delivered.append(b"x" * 1_000_000)
            yield delivered[-1]

    for call in (downloading(part, max_bytes=10_000_000), fetching(RESULT_URL)):
        headers = {"content-length": "999000000"} if is_announced else {}
        answer = httpx.Response(200, headers=headers, content=endless())
        assert failed(Answers(answer), call).kind == "too_large"
    assert len(delivered) <= (2 if is_announced else 11 + 27)


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
    """CASES I17: a refusal is not an expired link; the agent names the project and its address, as PyPI does."""
    answers = Answers(answer)
    error = failed(answers, fetching("https://files.example/ua"))
    assert (words in str(error), "link" in str(error), len(str(error)) < 250) == (True, False, True)
    agent = answers.requests[0].headers["user-agent"]
    assert agent.startswith("wan-notebook/")
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    assert f"(+{address})" in agent


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed_without_the_key_and_limited(part: Path, code: int) -> None:
    """Object storage redirects; not even the configured host gets the key for a download."""
    answers = Answers(redirect("/2", code), redirect("https://service.example/x", code), httpx.Response(200, text="x"))
    run(make_client(answers), downloading(part))
    assert [r.url.host for r in answers.requests] == ["files.example", "files.example", "service.example"]
    assert not any("authorization" in r.headers for r in answers.requests)
    ring = Answers(*[redirect(f"/{k}", code) for k in range(9)])
    assert (failed(ring, downloading(part)).kind, len(ring.requests)) == ("redirect", 6)


BAD_ADDRESSES = [
    "ftp://h/x",
    "file:///etc/passwd",
    "data:image/png;base64,AA",
    "/x",
    "http://",
    "http://[::1",
    "http://xn--a/",
]


@pytest.mark.parametrize("url", ["", *BAD_ADDRESSES, "x" * 70_000])
def test_only_http_addresses_are_fetched(part: Path, url: str) -> None:
    """A service's words are no file names, at any step; the error does not repeat them."""
    for call in (downloading(part, url), fetching(url)):
        error = failed(Answers(), call)
        assert (error.kind, len(str(error)) < 200) == ("url", True)
    # Over plain HTTP somebody on the way could put another picture there.
    assert failed(Answers(redirect("http://files.example/x.png")), downloading(part)).kind == "redirect"
    for address in ("file:///etc/passwd", "https://xn--a/"):
        assert failed(Answers(redirect(address)), downloading(part)).kind == "url"


@pytest.mark.parametrize(
    "host", [*PRIVATE_ADDRESSES, "LOCALHOST.", "a.localhost", "224.0.0.1", "[fec0::1]", "[2001:db8::1]"]
)
def test_no_address_from_outside_leads_into_the_private_network(part: Path, host: str) -> None:
    """In every spelling, at once or after a redirect, for results and for a person's picture: nothing is asked."""
    url = f"http://{host}:8080/latest/meta-data"
    for call in (downloading(part, url), fetching(url)):
        assert failed(Answers(), call).kind in ("private", "url"), "httpx itself does not take octal numbers"
    answers = Answers(redirect(url))
    assert failed(answers, fetching("https://files.example/x")).kind in ("private", "lost")
    assert len(answers.requests) == 1


OUTSIDE = ("93.184.216.34", "[2606:2800:21f::1]", "[64:ff9b::5db8:d822]", "[2002:5db8:d822::1]")


@pytest.mark.parametrize(
    ("base_url", "url", "is_reached"),
    [
        *[("https://service.example", f"http://{host}/x", True) for host in OUTSIDE],
        ("https://service.example", "http://127.0.0.1/x", False),
        ("http://127.0.0.1:8000", "http://[::1]:9000/x", True),
        ("http://127.0.0.1:8000", "http://10.0.0.9/x", False),
        ("http://10.0.0.9:8000", "http://10.0.0.9:9000/x", True),
        ("http://10.0.0.9:8000", "http://10.0.0.8/x", False),
        ("http://10.0.0.9:8000", "http://127.0.0.1/x", False),
        (IN_PROCESS_URL, f"{IN_PROCESS_URL}/1", True),
        (IN_PROCESS_URL, "http://127.0.0.1/x", False),
    ],
)
def test_a_private_service_may_have_its_results_beside_it(
    part: Path, base_url: str, url: str, is_reached: bool
) -> None:
    """A simulator on a port reaches this machine, a company's own gateway its own host; neither reaches further.

    Public addresses are reached in every form: a network that has only IPv6 wraps public IPv4 addresses.
    """
    if is_reached:
        answers = Answers(httpx.Response(200, text="x"))
        assert run(make_client(answers, base_url=base_url), downloading(part, url)) == "text/plain"
    else:
        assert failed(Answers(), downloading(part, url), base_url=base_url).kind == "private"


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
