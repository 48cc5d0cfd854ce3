"""The key: in no error, log or repr, and on no other host. An application in this process; the environment."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from tests.client_kit import BASE, KEY, REQUEST, Answers, Handler, client, raised, run, status, submit
from wan_notebook.client import Client
from wan_notebook.errors import ConnectionLostError, DownloadError, ServiceError, SettingsError
from wan_notebook.secret import Secret


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, json={"error": {"code": KEY, "message": f"bad key {KEY}"}, "request_id": KEY}),
        httpx.Response(401, text=f"no such key: {KEY}"),
        httpx.Response(500, json={"message": "x" * 490 + KEY}),
        httpx.Response(200, text=f"echo {KEY}"),
        httpx.Response(200, html=f"<p>{KEY}</p>"),
        httpx.Response(200, json={"error": {"message": f"bad key {KEY}"}}),
        httpx.Response(500, headers={"x-request-id": KEY}),
        httpx.Response(302, headers={"location": f"https://evil.example/{KEY}"}, text=KEY),
    ],
)
def test_a_service_that_echoes_the_key_does_not_show_it(answer: httpx.Response) -> None:
    """Error texts are displayed and saved in notebooks: the key is masked before they are cut to length."""
    error = raised(submit, client(Answers(answer), envelope="flat"))  # `raised` searches for it
    assert isinstance(error, ServiceError)
    assert KEY[:10] not in error.code + error.request_id + error.service_message + getattr(error, "head", "")


def test_a_failed_task_that_echoes_the_key_does_not_show_it() -> None:
    """The task's own error goes into the ledger and onto the card."""
    body = {"id": "t", "status": "failed", "error": {"code": KEY, "message": "y" * 495 + KEY}}
    state = run(status, client(Answers(httpx.Response(200, json=body))))
    assert KEY[:6] not in state.error_code + state.error_message
    assert state.error_message.startswith("yyy")


def test_a_success_that_echoes_the_key_is_recorded_without_it() -> None:
    """Texts, usage and metadata go into the ledger and the notebook; the picture's address must stay as it is."""
    content = [{"type": "text", "text": f"by {KEY}"}, {"type": "image", "url": f"https://files.example/{KEY}.png"}]
    body = {"id": "t", "status": "completed", "output": [{"content": content}], "metadata": {"auth": [{KEY: KEY}]}}
    answer = httpx.Response(200, json={**body, "usage": {"cost": "0.03", "by": f"Bearer {KEY}"}})
    state = run(status, client(Answers(answer)))
    assert KEY not in repr(state)
    assert str(state.cost_usd) == "0.03"
    assert [output.text for output in state.outputs] == ["by •••", ""]
    assert state.files[0].url == f"https://files.example/{KEY}.png"


def test_a_key_hidden_in_the_depths_of_a_success_is_no_failure() -> None:
    """However an answer is nested, the task's end is read."""
    deep = "[" * 900 + f'"{KEY}"' + "]" * 900
    text = f'{{"id": "t", "status": "completed", "output": [], "metadata": {{"deep": {deep}}}}}'
    assert run(status, client(Answers(httpx.Response(200, text=text)))).raw_status == "completed"


def test_a_short_stand_in_for_a_key_does_not_garble_words() -> None:
    """Tests of notebooks use "key" or "x"; the service's words are still to be read."""
    body = {"error": {"code": "invalid_key", "message": "x-ray: the API-key is next, Bearer x"}}
    error = raised(submit, client(Answers(httpx.Response(401, json=body)), key=Secret("x")))
    assert "invalid_key" in str(error)
    assert "x-ray: the API-key is next, Bearer •••" in str(error)


def test_no_log_line_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """People switch debug logging on and paste it into issues."""
    with caplog.at_level(logging.DEBUG):
        raised(status, client(Answers(httpx.Response(400, json={"error": f"bad key {KEY}"}))))
        raised(submit, client(Answers(httpx.Response(200, text=f"echo {KEY}"))))
        run(status, client(Answers(httpx.Response(200, json={"status": "odd", "output": [{"content": [{"a": 1}]}]}))))
    assert "odd" in caplog.text
    assert KEY[:10] not in caplog.text


def test_nothing_of_the_client_shows_the_key() -> None:
    """A repr is one line of a debugger away."""
    c = client(Answers())
    for thing in (c, c._network, c._network._key, c._downloader, vars(c), vars(c._network)):
        assert KEY[:10] not in repr(thing)


def test_the_key_goes_to_the_configured_origin_only() -> None:
    """Should a request for another host ever be sent with it by mistake, the key is not added."""
    network = client(Answers())._network
    for url, has_key in [
        (f"{BASE}/x", True),
        ("http://service.example/x", False),
        ("https://service.example:8443/x", False),
        ("https://files.example/x", False),
    ]:
        request = httpx.Request("GET", url)
        network._sign(request)
        assert ("authorization" in request.headers) is has_key


# In this process -----------------------------------------------------------------------------------------------------


def app_of(handler: Handler) -> Any:
    """Make an ASGI application of a handler."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = [(name, value) for name, value in scope["headers"]]
        answer = handler(httpx.Request(scope["method"], f"http://sim{scope['path']}", headers=headers))
        await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.headers.raw})
        await send({"type": "http.response.body", "body": answer.content})

    return app


def in_process(handler: Handler) -> Client:
    """Return a client for an application in this process."""
    return Client(provider="simulator", base_url="http://simulator", key=Secret(KEY), app=app_of(handler))


def test_an_application_in_this_process_is_asked_instead_of_a_network() -> None:
    """The simulator without a port: calls and results alike, the key only for calls."""
    answers = Answers(httpx.Response(200, json={"id": "task-1"}), httpx.Response(200, content=b"picture"))

    async def work(c: Client) -> Any:
        return (await c.submit(REQUEST)).task_id, await c.download_bytes("http://simulator/files/1.png")

    assert run(work, in_process(answers)) == ("task-1", b"picture")
    assert ["authorization" in r.headers for r in answers.requests] == [True, False]


def test_an_application_that_fails_is_a_lost_connection() -> None:
    """Whatever it raises, the request had arrived."""
    error = raised(submit, in_process(Answers(ZeroDivisionError("boom"))))
    assert isinstance(error, ConnectionLostError)
    assert error.kind == "lost"


# The environment -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("ALL_PROXY", "gopher://p:1"), ("SSL_CERT_FILE", "/no/such/file")])
def test_network_settings_that_cannot_be_used_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A proxy or certificate variable that is wrong is a setting, not a crash in the middle of a job."""
    monkeypatch.setenv(name, value)
    c = Client(provider="gateway", base_url="http://127.0.0.1:9", key=Secret(KEY))
    error = raised(status, c)
    assert isinstance(error, SettingsError)
    assert name in error.hint


def test_a_download_never_carries_the_key_in_its_errors() -> None:
    """Downloads have no key, and their errors no signed query string."""

    async def work(c: Client) -> Any:
        return await c.download_bytes("https://files.example/1.png?Signature=abc")

    error = raised(work, client(Answers(httpx.ConnectError("x"))))
    assert isinstance(error, DownloadError)
    assert (error.kind, "Signature" in str(error)) == ("unreachable", False)
