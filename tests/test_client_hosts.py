"""Where a download may lead: redirects, schemes, and never into the private network."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.client_kit import RESULT, Answers, client, run
from tests.download_kit import failed, fetch, redirect
from wan_notebook.client import Client
from wan_notebook.errors import DownloadError


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


def test_a_result_never_falls_back_to_plain_http(tmp_path: Path) -> None:
    """Whoever sits on the way could put another picture there; a person's own address may."""
    answers = Answers(
        redirect("http://files.example/x.png"),
        redirect("http://files.example/x.png"),
        httpx.Response(200, content=b"x"),
    )
    c = client(answers)
    assert failed(c, tmp_path / "x.part").kind == "redirect"
    assert run(lambda c: c.fetch_image(RESULT), client(answers)) == b"x"


def test_a_redirect_to_another_scheme_is_refused(tmp_path: Path) -> None:
    """Only http and https, at every step."""
    assert failed(client(Answers(redirect("file:///etc/passwd"))), tmp_path / "x.part").kind == "url"
