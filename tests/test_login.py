"""``%wan login`` and ``%wan doctor``: which service, which key, which region, and who really answers."""

from __future__ import annotations

import builtins
import getpass
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

import wan_notebook as wan
from wan_notebook import catalog
from wan_notebook.client import Client
from wan_notebook.commands.context import Context
from wan_notebook.commands.on_setup import do_login
from wan_notebook.errors import AuthError, SettingsError
from wan_notebook.folders import config_dir
from wan_notebook.keys import KeyStore
from wan_notebook.ledger import HistoryQuery
from wan_notebook.present import dry_run
from wan_notebook.present.doctor import examine
from wan_notebook.request import ImageRequest
from wan_notebook.runtime import Runtime
from wan_notebook.session import Order, Session
from wan_notebook.session.providers import Providers
from wan_notebook.settings import Sources
from wan_notebook.subcommands import SubCall
from wan_notebook.views.model import DoctorLine

KEY = "sk-LOGIN-0123456789abcdef"
BEIJING, SINGAPORE, VIRGINIA = catalog.DASHSCOPE_REGIONS.values()
UNKNOWN = httpx.Response(200, json={"output": {"task_status": "UNKNOWN"}})
WRONG_KEY = httpx.Response(401, json={"code": "InvalidApiKey", "message": "No.", "request_id": "r"})
PORTAL = httpx.Response(200, headers={"content-type": "text/html"}, text="<html>Log in</html>")
NOT_FOUND_PAGE = httpx.Response(404, headers={"content-type": "text/html"}, text="<html>404</html>")


@dataclass
class Desk:
    """A session before somebody who types; ``answers`` is what each base URL says, ``asked`` who was asked."""

    session: Session
    answers: dict[str, httpx.Response | Exception]
    env: dict[str, str]
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def login(self) -> str:
        """Run the command; return what it says."""
        context = Context(self.session, None, self.env)
        context.__dict__["say"] = self.said.append
        do_login(SubCall("login"), context)
        return self.said[-1]

    def line(self, name: str) -> DoctorLine:
        """Return one line of the doctor."""
        return next(line for line in examine(self.session, None).lines if line.name == name)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    """Return what makes a desk: the service and the key that are typed, and what the addresses answer."""
    made: list[Session] = []

    def make(service: str, answers: dict[str, Any], *, key: str = KEY, **env: str) -> Desk:
        monkeypatch.setattr(builtins, "input", lambda _prompt="": service)
        monkeypatch.setattr(getpass, "getpass", lambda _prompt="": key)
        env["WAN_HOME"] = str(tmp_path / "pictures")
        sources = Sources(
            env=env, cwd=tmp_path, config_path=config_dir() / "config.json", keys=KeyStore(use_keyring=False)
        )
        found = Desk(Session(sources, runtime=Runtime("login")), answers, env)

        def answer(request: httpx.Request) -> httpx.Response:
            base = next(url for url in answers if str(request.url).startswith(url))
            found.asked.append(base)
            said = answers[base]
            if isinstance(said, Exception):
                raise said
            return httpx.Response(said.status_code, headers=said.headers, content=said.content)

        def client(**options: Any) -> Client:
            return Client(**options, transport=httpx.MockTransport(answer))

        found.session.providers = Providers(factory=client)
        made.append(found.session)
        return found

    yield make
    for session in made:
        session.close()


def test_login_finds_the_region_of_a_key(desk: Callable[..., Desk]) -> None:
    """Keys belong to a region: each is asked, the one that accepts is remembered, the key is in a private file."""
    at = desk("dashscope", {BEIJING: WRONG_KEY, SINGAPORE: UNKNOWN, VIRGINIA: UNKNOWN})
    said = at.login()

    assert at.asked == [BEIJING, SINGAPORE]
    assert f"uses dashscope at {SINGAPORE}" in said
    assert KEY not in said
    now = at.session.settings().provider
    assert (now.name, now.base_url, now.key is not None and now.key.reveal()) == ("dashscope", SINGAPORE, KEY)
    assert KeyStore(use_keyring=False).path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_nobody_takes_is_not_kept(desk: Callable[..., Desk]) -> None:
    """Refused in every region: an error that lists them; nothing is stored."""
    at = desk("dashscope", dict.fromkeys(catalog.DASHSCOPE_REGIONS.values(), WRONG_KEY))
    with pytest.raises(AuthError, match="belongs to one region") as caught:
        at.login()
    assert KEY not in str(caught.value)
    assert at.session.settings().provider.name == "simulator"


@pytest.mark.parametrize("silent", [PORTAL, NOT_FOUND_PAGE, httpx.Response(502), httpx.ConnectError("no")])
def test_who_does_not_speak_for_the_service_accepts_no_key(desk: Callable[..., Desk], silent: Any) -> None:
    """A portal's page, a proxy's failure, no network: the key was not tried, and the refused region is not chosen."""
    at = desk("dashscope", {BEIJING: WRONG_KEY, SINGAPORE: silent, VIRGINIA: WRONG_KEY})
    said = at.login()

    assert "could not be tried" in said
    assert at.session.settings().provider.base_url == SINGAPORE
    at.answers[SINGAPORE] = silent
    assert at.line("base URL").level == "problem"


def test_the_gateway_s_unknown_task_means_that_the_key_works(desk: Callable[..., Desk]) -> None:
    """A 404 in the service's own form is an answer to whom it knows."""
    at = desk("", {catalog.GATEWAY_URL: httpx.Response(404, json={"message": "task not found"})})
    assert "The key works" in at.login()
    assert at.line("base URL").level == "ok"


@pytest.mark.parametrize(
    ("env", "says"),
    [({"WAN_PROVIDER": "simulator"}, "simulator is used"), ({"WAN_API_KEY": "sk-other"}, "WAN_API_KEY comes first")],
)
def test_login_says_when_the_environment_comes_first(desk: Callable[..., Desk], env: dict[str, str], says: str) -> None:
    """Session, environment, stored: whoever just logged in must not believe that the new key is used."""
    at = desk("gateway", {catalog.GATEWAY_URL: httpx.Response(404, json={"message": "task not found"})}, **env)
    assert says in at.login()


@pytest.mark.parametrize("key", ["", "sk with space", "sk-ключ"])
def test_a_key_that_cannot_be_one_is_refused_at_once(desk: Callable[..., Desk], key: str) -> None:
    """Nobody is asked, nothing is stored, and the error does not repeat it."""
    at = desk("gateway", {}, key=key)
    with pytest.raises(SettingsError) as caught:
        at.login()
    assert not key or key not in str(caught.value)
    assert not at.asked


@pytest.mark.parametrize(
    "env",
    [
        {"WAN_API_KEY": "sk-schlüssel"},
        {"WAN_API_KEY": "sk-a\nX-Evil: 1"},
        {"WAN_API_KEY": KEY, "WAN_BASE_URL": "ftp://host"},
        {"WAN_API_KEY": KEY, "WAN_BASE_URL": "127.0.0.1:8000"},
        {"WAN_API_KEY": KEY, "WAN_BASE_URL": "http://me:pw@127.0.0.1:8000"},
    ],
)
def test_a_key_or_an_address_that_cannot_be_sent_leaves_no_job(desk: Callable[..., Desk], env: dict[str, str]) -> None:
    """Refused at once, with the remedy: a job in the ledger would stand there open, and be joined by the next call."""
    at = desk("gateway", {}, WAN_PROVIDER="gateway", **env)
    with pytest.raises(SettingsError) as caught:
        wan.generate("a fox", session=at.session)
    assert caught.value.remedy
    assert "sk-" not in str(caught.value)
    ledger = at.session.ledger()
    assert ledger is None or not ledger.history(HistoryQuery()).rows


@pytest.mark.parametrize("base", ["https://one.test", "https://one.test/", "https://one.test/api/v1/"])
def test_a_dry_run_names_the_address_that_would_be_asked(desk: Callable[..., Desk], base: str) -> None:
    """The exact request, with the part of the address that a base URL may leave out."""
    at = desk("dashscope", {}, WAN_PROVIDER="dashscope", DASHSCOPE_API_KEY=KEY, WAN_BASE_URL=base)
    view = dry_run(at.session, at.session.need_home(), Order((ImageRequest(prompt="a fox"),)))
    assert view.endpoint == "POST https://one.test/api/v1/services/aigc/image-generation/generation"
