"""``%wan login``, ``logout`` and ``doctor``: which service, which key, which region, and who really answers."""

import getpass
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from wan_notebook.errors import AuthError, CellError, SettingsError, WanError
from wan_notebook.jobs import Background
from wan_notebook.magics import Runner
from wan_notebook.models import DASHSCOPE_REGIONS, GATEWAY_URL, WORKSPACE_REGIONS
from wan_notebook.providers import ClientPool
from wan_notebook.session import Session
from wan_notebook.settings import SettingsLoader

HERE = "http://127.0.0.1:9"
KEY = "sk-LOGIN-0123456789abcdef"
LONG = "0123456789abcdef0123456789abcdef"
BEIJING, SINGAPORE, VIRGINIA = DASHSCOPE_REGIONS.values()
UNKNOWN = (200, {"output": {"task_status": "UNKNOWN"}})
KNOWS_US = (404, {"message": "task not found"})
WRONG_KEY = (401, {"code": "InvalidApiKey", "message": "No.", "request_id": "r"})
PORTAL = (200, "<html>Log in</html>")


class Desk:
    """A session before somebody who types ``typed`` unseen; ``answers`` are what each address says."""

    def __init__(self, folder: Path, typed: list[str], answers: dict[str, Any], env: dict[str, str]) -> None:
        self.env, self.typed, self.answers = {"WAN_HOME": str(folder / "pictures"), **env}, typed, answers
        self.asked: list[str] = []
        loader = SettingsLoader(self.env, folder, folder / "config", folder / "data", use_keyring=False)
        clients = ClientPool(loader, transport_for=lambda _: httpx.MockTransport(self._answer))
        self.session = Session(loader, background=Background("login"), clients=clients)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        base = next(url for url in self.answers if str(request.url).startswith(url))
        self.asked.append(base)
        if isinstance(self.answers[base], Exception):
            raise self.answers[base]
        status, body = self.answers[base]
        return httpx.Response(status, html=body) if isinstance(body, str) else httpx.Response(status, json=body)

    def run(self, line: str, capsys: pytest.CaptureFixture[str]) -> str:
        """Run a command; return what it shows."""
        Runner(SimpleNamespace(user_ns={}), self.session, {}).line(line)
        return capsys.readouterr().out


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what makes a desk."""
    with ExitStack() as stack:

        def make(*typed: str, answers: dict[str, Any] | None = None, **env: str) -> Desk:
            found = Desk(tmp_path, list(typed), answers or {}, env)
            stack.callback(found.session.close)
            monkeypatch.setattr(getpass, "getpass", lambda _prompt="": found.typed.pop(0))
            return found

        yield make


def test_login_finds_the_region_of_a_key(desk: Any, capsys: Any) -> None:
    """Keys belong to a region: each is asked, the one that accepts is remembered, the key is in a private file."""
    at = desk("dashscope", KEY, answers={BEIJING: WRONG_KEY, SINGAPORE: UNKNOWN, VIRGINIA: UNKNOWN})
    said = at.run("login", capsys)
    assert at.asked == [BEIJING, SINGAPORE]
    assert f"works at {SINGAPORE}" in said
    assert KEY not in said
    now = at.session.settings()
    assert (now.provider, now.base_url, now.key.get_secret_value()) == ("dashscope", SINGAPORE, KEY)
    assert at.session.loader.keys.path.stat().st_mode & 0o777 == 0o600


def test_login_takes_a_workspace(desk: Any, capsys: Any) -> None:
    """By its id, in whichever region accepts the key, or by its host; a key is never asked at another address."""
    hosts = [f"https://ws-abc123.{region}.maas.aliyuncs.com/api/v1" for region in WORKSPACE_REGIONS.values()]
    at = desk(KEY, KEY, answers={host: UNKNOWN if "eu-central" in host else WRONG_KEY for host in hosts})
    said = at.run("login dashscope ws-abc123", capsys)
    assert f"works at {hosts[3]}" in said
    assert (at.asked, at.session.settings().base_url) == (hosts[:4], hosts[3])
    assert f"works at {hosts[3]}" in at.run("login d https://WS-abc123.eu-central-1.maas.aliyuncs.com/api/v1/", capsys)
    for line in (
        "login dashscope abc123",
        "login dashscope ws-1.example.com",
        f"login dashscope {KEY}",
        "login g ws-1",
    ):
        at.typed[:] = [KEY]
        with pytest.raises(CellError) as caught:
            at.run(line, capsys)
        assert KEY not in "".join(caught.value.lines())
    assert len(at.asked) == 5


@pytest.mark.parametrize("silent", [WRONG_KEY, PORTAL, (404, "<html>404</html>"), (502, {}), httpx.ConnectError("no")])
def test_a_key_that_nobody_takes_is_not_kept(desk: Any, capsys: Any, silent: Any) -> None:
    """Refused in every region, or a portal's page, a proxy's failure, no network: nothing is stored."""
    at = desk("dashscope", KEY, answers={BEIJING: WRONG_KEY, SINGAPORE: silent, VIRGINIA: WRONG_KEY})
    with pytest.raises(AuthError, match=r"nothing was stored.*belongs to one region") as caught:
        at.run("login", capsys)
    assert KEY not in str(caught.value)
    assert at.session.settings().provider == "simulator"
    assert at.session.loader.keys.read("dashscope")[0] is None


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"WAN_PROVIDER": "simulator"}, "uses simulator"),
        ({"WAN_API_KEY": "sk-other-0123456789"}, "with the key of WAN_API_KEY"),
        ({}, f"at {GATEWAY_URL}, with the key of"),
        ({"WAN_BASE_URL": HERE}, f"at {HERE}, with the key of"),
    ],
)
def test_login_says_what_is_used_from_now_on(desk: Any, capsys: Any, env: dict[str, str], says: str) -> None:
    """Who just logged in must not believe that the new key is used; a test server's address is not stored."""
    at = desk("", KEY, answers={GATEWAY_URL: KNOWS_US, HERE: KNOWS_US}, **env)
    assert says in at.run("login", capsys).replace("\n", " ")
    assert HERE not in at.session.loader.config_path.read_text("utf-8")


@pytest.mark.parametrize("typed", [("gateway", ""), ("g", "sk with space"), ("g", "sk-“ключ”"), (KEY,), (LONG,)])
def test_a_key_that_cannot_be_one_is_refused_at_once(desk: Any, capsys: Any, typed: tuple[str, ...]) -> None:
    """Nobody is asked, nothing is stored, and the error does not repeat it; nor one that is pasted as the service."""
    at = desk(*typed)
    with pytest.raises((SettingsError, CellError)) as caught:
        at.run("login", capsys)
    assert not typed[-1] or typed[-1] not in str(caught.value)
    assert not at.asked


@pytest.mark.parametrize("key", [KEY, LONG])
@pytest.mark.parametrize(
    "line",
    [
        *("login {}", "login gateway {}", "logout {}", "config {}", "config key={}", "config {}=1"),
        *("config api_key={}", "config provider={}", "config prise={}", "config wait={}", "config price={}"),
        *("make --provider {} a fox", "help {}", "budget {}", "make --timeout {} x", "{}", "key {}", "doctor {}"),
        "doctor --key {}",
    ],
)
def test_no_error_repeats_a_key_that_was_typed_in_a_line(desk: Any, capsys: Any, line: str, key: str) -> None:
    """The output and the traceback must not have what the cell has; nothing is stored."""
    at = desk()
    with pytest.raises(WanError) as caught:
        at.run(line.format(key), capsys)
    shown = "".join([str(caught.value), *caught.value.lines(), capsys.readouterr().out])
    assert key not in shown
    assert at.session.loader.stored() == {}


def test_logout_removes_what_login_stored(desk: Any, capsys: Any) -> None:
    """Key, choice and address are gone; a key of the environment is named, since nobody can remove it from here."""
    at = desk("dashscope", KEY, answers={BEIJING: WRONG_KEY, SINGAPORE: UNKNOWN})
    at.run("login", capsys)
    said = at.run("logout dashscope", capsys)
    assert "dashscope: none" in said
    assert "uses simulator" in said
    assert at.session.loader.keys.read("dashscope")[0] is None
    assert at.session.loader.stored() == {}
    at.env["WAN_API_KEY"] = KEY
    assert "gateway: WAN_API_KEY" in at.run("logout gateway", capsys)
    with pytest.raises(WanError, match="Write `gateway` or `dashscope`"):
        at.run("logout gatewax", capsys)


def test_the_doctor_names_keys_network_and_folders(desk: Any, monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    """No password of a proxy, every certificate variable, readable keys, no advice to ask the doctor (N6, A6.1).

    Whatever the home is (H1), it says what cannot be written and what that means, each line to its end.
    """
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hush@127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/also/missing.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nonexistent.pem")  # what is read says the same
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "keys.json").write_text("{}")
    (tmp_path / "config" / "keys.json").chmod(0o644)
    at = desk(answers={GATEWAY_URL: httpx.ConnectError("no")}, WAN_API_KEY=KEY)
    at.session.loader.data_dir = tmp_path / ("long" * 64)  # the system raises when it looks there, as in another's home
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "config" and access(path, mode))
    said = " ".join(at.run("doctor", capsys).split())
    assert "%wan doctor" not in said
    assert "…" not in said
    assert KEY not in said
    assert "hush" not in said
    assert said.count("it is not read") == 1
    for part in ("127.0.0.1:9", "nonexistent.pem is missing", "key file others", "set XDG_CONFIG_HOME to another f"):
        assert part in said
