"""What fails before the first byte could leave is not sent; what fails after may have arrived."""

import asyncio
import gzip
import inspect
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.attacks import nested_gzip
from tests.fakes.network import (
    BASE_URL,
    KEY,
    Answers,
    assert_no_key,
    failure_of,
    http_reply,
    make_client,
    pieces,
    raw_server,
    run,
    submit,
)
from tests.kit import shown_by_objects
from wan_notebook.errors import ConnectionLostError, InvalidRequestError, NotSentError, UnexpectedReplyError
from wan_notebook.providers import ServiceClient

ACCEPTED = json.dumps({"id": "task-7f3a", "status": "in_progress"}).encode()


def real_client(base_url: str, **options: Any) -> ServiceClient:
    """Return a client with a real network."""
    return make_client(Answers(), base_url=base_url, **{"transport": None, **options})


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without the proxies and certificates of the machine that runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# Settings of the network ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "kind", "words"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "setting", 'ALL_PROXY; pip install "httpx[socks]"; 127.0.0.1:9'),
        ("ALL_PROXY", "socks5://me:pass-word@127.0.0.1:9", "setting", "ALL_PROXY"),
        ("HTTP_PROXY", "gopher://127.0.0.1:1", "setting", "HTTP_PROXY; 127.0.0.1:1"),
        ("http_proxy", "http://me:pass-word@[::1", "setting", "HTTP_PROXY"),
        ("SSL_CERT_FILE", "/no/such/file.pem", "setting", "SSL_CERT_FILE; No such file"),
        ("SSL_CERT_FILE", __file__, "setting", "SSL_CERT_FILE"),
        # Nothing listens there: it is the proxy, not the service, that does not answer.
        ("HTTP_PROXY", "http://me:pass-word@127.0.0.1:9", "proxy", "The proxy 127.0.0.1:9 (HTTP_PROXY)"),
        ("ALL_PROXY", "http://me:pass-word@127.0.0.1:9", "proxy", "The proxy 127.0.0.1:9 (ALL_PROXY)"),
    ],
)
def test_a_network_that_cannot_be_set_up_sends_nothing(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, kind: str, words: str
) -> None:
    """CASES N1, N2, N4: certain, so never in doubt; the variable is named, a password never; mended, the call sends."""

    async def main() -> Any:
        async with raw_server(http_reply(ACCEPTED)) as (url, requests):
            client = real_client(url)
            with pytest.raises(NotSentError) as caught:
                await submit(client)
            assert not requests
            assert "pass-word" not in shown_by_objects()
            monkeypatch.delenv(variable)
            return caught.value, await submit(real_client(url))

    monkeypatch.setenv(variable, value)
    error, submitted = asyncio.run(main())
    assert error.kind == kind
    assert all(word in str(error) for word in words.split("; "))
    assert "pass-word" not in repr(vars(error))
    assert submitted.task_id == "task-7f3a"


@pytest.mark.parametrize("reply", [http_reply(b"", "407 Proxy Authentication Required"), b"", b"SSH-2.0-OpenSSH\r\n"])
def test_a_proxy_that_opens_no_tunnel_has_sent_nothing(monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    """The CONNECT tells the service nothing: a proxy that refuses, hangs up or talks nonsense leaves no doubt."""

    async def main() -> NotSentError:
        async with raw_server(reply) as (url, _):
            monkeypatch.setenv("HTTPS_PROXY", url)
            with pytest.raises(NotSentError) as caught:
                await submit(real_client("https://wan.example.test"))
            return caught.value

    error = asyncio.run(main())
    assert (error.kind, "407 Proxy" in error.message) == ("proxy", b"407" in reply)
    assert_no_key(error)


def test_an_odd_address_in_a_reply_leaves_a_doubt() -> None:
    """303 says that it is done: what httpx cannot read of it proves nothing about the request."""

    async def main() -> list[bytes]:
        async with raw_server(http_reply(b"", "303 See Other", "Location: urn:a:b")) as (url, requests):
            with pytest.raises(ConnectionLostError):
                await submit(real_client(url))
            return requests

    assert len(asyncio.run(main())) == 1


def test_a_key_in_the_head_of_a_reply_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """The reason of a reply is logged by httpx, its headers by httpcore; a service may put anything there."""

    async def main() -> None:
        async with raw_server(http_reply(b"{}", f"400 {KEY}", f"X-Echo: {KEY}")) as (url, _):
            with pytest.raises(InvalidRequestError):
                await submit(real_client(url))

    caplog.set_level("DEBUG")
    asyncio.run(main())
    assert "400 Bad Request" in caplog.text
    assert "X-Echo" in caplog.text
    assert KEY not in caplog.text


# Exceptions -----------------------------------------------------------------------------------------------------------

NOT_SENT = {
    **dict.fromkeys((httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError), "unreachable"),
    **dict.fromkeys((httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL), "url"),
}
NOT_MADE_OF_TEXT = (httpx.HTTPStatusError, httpx.StreamConsumed, httpx.StreamClosed)
KINDS = [value for value in vars(httpx).values() if inspect.isclass(value) and issubclass(value, Exception)]
KINDS = [kind for kind in KINDS if kind not in NOT_MADE_OF_TEXT]


@pytest.mark.parametrize("kind", [*KINDS, RuntimeError, ssl.SSLError, OSError], ids=lambda kind: kind.__name__)
def test_only_what_certainly_preceded_the_request_is_not_sent(kind: type[Exception]) -> None:
    """Every other exception, known or not, may have come after the request arrived."""
    is_plain = kind in (httpx.RequestNotRead, httpx.ResponseNotRead)
    error = failure_of(make_client(Answers(kind() if is_plain else kind(f"{BASE_URL} Bearer {KEY}"))), submit)
    assert type(error) is (NotSentError if kind in NOT_SENT else ConnectionLostError)
    assert error.kind == NOT_SENT.get(kind, "timeout" if issubclass(kind, httpx.TimeoutException) else "lost")
    assert kind.__name__ not in str(error), "people read words; the class's name is for the log"


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "unreachable", "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "unreachable", "Name or service not known"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "tls", "No secure connection"),
        (ExceptionGroup("many", [OSError("x"), OSError(111, "refused")]), "unreachable", "refused"),
        (TimeoutError(), "unreachable", "no answer in time"),
    ],
)
def test_a_connection_that_failed_says_why(cause: BaseException, kind: str, words: str) -> None:
    """A certificate stops everything, the rest is tried again; causes lie two levels down, chains may be rings."""
    middle, raised = OSError("All connection attempts failed"), httpx.ConnectError("failed")
    middle.__cause__, raised.__cause__, cause.__context__ = cause, middle, raised
    error = failure_of(make_client(Answers(raised)), submit)
    assert (type(error), error.kind, words in str(error)) == (NotSentError, kind, True)
    assert ("never switched off" in error.hint) is (kind == "tls")


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_packed_reply_is_unpacked_once_and_under_a_limit(layers: int) -> None:
    """Issue "nested gzip": a few hundred bytes never become gigabytes, whatever the header says."""
    bomb = nested_gzip(layers=layers, size_bytes=8 * 2**20)
    answer = httpx.Response(200, headers=bomb.headers, content=pieces(bomb.body))
    error = failure_of(make_client(Answers(answer)), submit)
    assert type(error) is UnexpectedReplyError
    assert ("larger than" if layers == 1 else "packed") in str(error)
    once, broken = (
        httpx.Response(200, headers={"content-encoding": "gzip"}, content=pieces(data))
        for data in (gzip.compress(ACCEPTED), b"no gzip")
    )
    assert run(make_client(Answers(once)), submit).task_id == "task-7f3a"
    assert "cannot be unpacked" in str(failure_of(make_client(Answers(broken)), submit))
    long = httpx.Response(200, content=pieces(*[b"x" * 1_000_000] * 9, end=httpx.ReadError("read on")))
    assert "larger than" in str(failure_of(make_client(Answers(long)), submit))


# Real sockets ---------------------------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for_is_refused_in_words() -> None:
    """Verification is never switched off; the error says that it is the certificate, and nothing was sent."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parents[2] / "data" / "localhost.pem")

    async def main() -> Any:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
        async with server:
            with pytest.raises(NotSentError) as caught:
                await submit(real_client(f"https://localhost:{server.sockets[0].getsockname()[1]}"))
        return caught.value

    error = asyncio.run(main())
    assert error.kind == "tls"
    assert "self-signed certificate" in error.message
