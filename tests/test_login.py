"""``%wan login`` and ``%wan doctor``: which service, which key, which region, and who really answers."""

from __future__ import annotations

import builtins
import getpass
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import wan_notebook as wan
from wan_notebook import catalog
from wan_notebook.cell import DictResolver, read_cell
from wan_notebook.client import Client
from wan_notebook.commands import run
from wan_notebook.commands.context import Context
from wan_notebook.errors import AuthError, SettingsError, WanError
from wan_notebook.folders import config_dir
from wan_notebook.keys import KeyStore
from wan_notebook.ledger import HistoryQuery
from wan_notebook.present import Presenter, dry_run
from wan_notebook.present.doctor import examine
from wan_notebook.request import ImageRequest
from wan_notebook.runtime import Runtime
from wan_notebook.session import Order, Session
from wan_notebook.session.providers import Providers
from wan_notebook.settings import KEY_VARIABLE, Sources
from wan_notebook.subcommands import read_subcall
from wan_notebook.views.model import DoctorLine
from wan_notebook.views.terminal import card_text

KEY = "sk-LOGIN-0123456789abcdef"
LONG = "0123456789abcdef0123456789abcdef"
BEIJING, SINGAPORE, VIRGINIA = catalog.DASHSCOPE_REGIONS.values()
UNKNOWN = httpx.Response(200, json={"output": {"task_status": "UNKNOWN"}})
KNOWS_US = httpx.Response(404, json={"message": "task not found"})
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

    def login(self, line: str = "login") -> str:
        """Run the command; return what it says."""
        context = Context(self.session, None, self.env)
        context.__dict__["say"] = self.said.append
        run(read_subcall(line), context)
        return self.said[-1]

    def line(self, name: str) -> DoctorLine:
        """Return one line of the doctor."""
        return next(line for line in examine(self.session, None).lines if line.name == name)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    """Return what makes a desk: what is typed (service, key, ``more``), and what the addresses answer."""
    made: list[Session] = []

    def make(service: str, answers: dict[str, Any], *, key: str = KEY, more: Sequence[str] = (), **env: str) -> Desk:
        typed = iter([service, key, *more])

        def visible(_prompt: str = "") -> str:
            if service not in (KEY, LONG):
                pytest.fail("a visible prompt would echo a key that is pasted there")
            return next(typed)

        monkeypatch.setattr(builtins, "input", visible)
        monkeypatch.setattr(getpass, "getpass", lambda _prompt="": next(typed))
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
    at = desk("dashscope", {BEIJING: WRONG_KEY, SINGAPORE: silent, VIRGINIA: WRONG_KEY}, more=["yes"])
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
    """Refused at once, with the hint: a job in the ledger would stand there open, and be joined by the next call."""
    at = desk("gateway", {}, WAN_PROVIDER="gateway", **env)
    with pytest.raises(SettingsError) as caught:
        wan.generate("a fox", session=at.session)
    assert caught.value.hint
    assert "sk-" not in str(caught.value)
    ledger = at.session.ledger()
    assert ledger is None or not ledger.history(HistoryQuery()).rows


@pytest.mark.parametrize("base", ["https://one.test", "https://one.test/", "https://one.test/api/v1/"])
def test_a_dry_run_names_the_address_that_would_be_asked(desk: Callable[..., Desk], base: str) -> None:
    """The exact request, with the part of the address that a base URL may leave out."""
    at = desk("dashscope", {}, WAN_PROVIDER="dashscope", DASHSCOPE_API_KEY=KEY, WAN_BASE_URL=base)
    view = dry_run(at.session, at.session.need_home(), Order((ImageRequest(prompt="a fox"),)))
    assert view.endpoint == "POST https://one.test/api/v1/services/aigc/image-generation/generation"


def test_a_key_that_could_not_be_tried_is_kept_only_when_that_is_wanted(desk: Callable[..., Desk]) -> None:
    """Enter means no: an untried key is not stored, nor the service chosen, because the network was away."""
    at = desk("g", {catalog.GATEWAY_URL: httpx.ConnectError("no")}, more=[""])
    with pytest.raises(SettingsError, match="nothing was stored"):
        at.login()
    assert at.session.settings().provider.name == "simulator"
    assert not at.session.sources.keys.path.exists()


@pytest.mark.parametrize("answer", [UNKNOWN, httpx.ConnectError("no")])
def test_an_address_of_the_environment_is_not_stored(desk: Callable[..., Desk], answer: Any) -> None:
    """WAN_BASE_URL is meant for now: a test server must not get the key in all later sessions."""
    here = "http://127.0.0.1:9"
    at = desk("dashscope", {here: answer}, more=["y"], WAN_BASE_URL=here)
    said = at.login()

    assert "not stored" in said
    assert here not in at.session.sources.config_path.read_text("utf-8")
    del at.env["WAN_BASE_URL"]
    assert at.session.settings().provider.base_url == catalog.DASHSCOPE_URL


def test_an_address_that_was_stored_by_mistake_is_mended_by_login(desk: Callable[..., Desk]) -> None:
    """A stored address where nobody takes the key any more gives way to the service's own."""
    gone = "http://127.0.0.1:9"
    at = desk("gateway", {gone: httpx.ConnectError("no"), catalog.GATEWAY_URL: KNOWS_US})
    at.session.sources.store(base_urls={"gateway": gone})
    assert catalog.GATEWAY_URL in at.login()
    assert at.session.settings().provider.base_url == catalog.GATEWAY_URL


@pytest.mark.parametrize("key", [KEY, LONG])
def test_a_key_that_is_pasted_as_the_service_is_taken_and_never_shown(desk: Callable[..., Desk], key: str) -> None:
    """The first thing that login asks for gets the key from many: no echo, no error that repeats it, no second ask."""
    at = desk(key, {catalog.GATEWAY_URL: KNOWS_US}, key="what", more=["g"])
    said = at.login()

    assert "looks like a key" in at.said[0]
    assert "no service" in at.said[1]
    assert "The key works" in said
    assert key not in "".join(at.said)
    stored = at.session.sources.keys.read("gateway")[0]
    assert stored is not None
    assert stored.reveal() == key


def test_login_asks_again_and_then_names_the_argument(desk: Callable[..., Desk]) -> None:
    """A slip of the finger costs one more line; what was typed is not repeated."""
    at = desk("gatway please", {}, key="gate-way", more=["x"] * 3)
    with pytest.raises(SettingsError, match="%wan login gateway"):
        at.login()
    assert "please" not in "".join(at.said)


def test_login_takes_the_service_as_an_argument(desk: Callable[..., Desk]) -> None:
    """`%wan login gateway` asks for the key alone; a service's name there is no key."""
    at = desk("dashscope", {catalog.GATEWAY_URL: KNOWS_US})
    assert "uses gateway" in at.login("login gateway")
    assert "a service's name" in at.said[0]


@pytest.mark.parametrize("key", [KEY, LONG])
@pytest.mark.parametrize(
    "line",
    [
        *("login {}", "login gateway {}", "logout {}", "{}", "key {}", "config {}", "config key={}", "config {}=1"),
        *("config api_key={}", "config WAN_API_KEY={}", "config provider={}", "config prise={}", "config wait={}"),
        *("doctor {}", "make --provider {}", "config price={}", "help {}", "budget {}"),
    ],
)
def test_no_error_repeats_a_key_that_was_typed_in_a_line(desk: Callable[..., Desk], line: str, key: str) -> None:
    """The cell has it already, to be deleted by its owner; the output and the traceback must not have it too."""
    at = desk("gateway", {})
    options = line.format(key).removeprefix("make ")
    run_it = partial(read_cell, options, "a fox", DictResolver()) if "make" in line else partial(at.login, options)
    with pytest.raises(WanError) as caught:
        run_it()
    assert key not in str(caught.value)
    assert key not in "".join(caught.value.lines())
    if line.startswith("config provider"):
        assert at.session.sources.stored() == {}


def test_no_error_repeats_a_key_in_another_variable(desk: Callable[..., Desk]) -> None:
    """WAN_PROVIDER gets the key where the two lines of an .env file are swapped."""
    at = desk("gateway", {}, WAN_PROVIDER=KEY)
    with pytest.raises(SettingsError, match="is not known") as caught:
        at.session.settings()
    assert KEY.lower() not in str(caught.value).lower()


def test_logout_removes_what_login_stored(desk: Callable[..., Desk]) -> None:
    """Key, choice and address are gone; a key of the environment is named, since nobody can remove it from here."""
    at = desk("dashscope", {BEIJING: WRONG_KEY, SINGAPORE: UNKNOWN})
    at.login()
    assert at.session.settings().provider.chosen_because == "chosen with %wan login"
    said = at.login("logout dashscope")

    assert "key of dashscope is removed" in said
    assert "uses simulator" in said
    assert at.session.sources.keys.read("dashscope")[0] is None
    assert at.session.sources.stored() == {}
    assert "No key of dashscope was stored" in at.login("logout")
    at.env["WAN_API_KEY"] = KEY
    assert "WAN_API_KEY is still set" in at.login("logout gateway")


@pytest.mark.parametrize(("name", "because"), [("simulator", "%wan config"), ("gateway", "%wan config")])
def test_who_chose_the_service_is_told_as_it_was(desk: Callable[..., Desk], name: str, because: str) -> None:
    """`%wan config provider=…` is not `%wan login`."""
    at = desk("gateway", {})
    at.login(f"config provider={name}")
    assert at.session.settings().provider.chosen_because == f"chosen with {because}"


@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
def test_a_refused_key_s_job_says_where_the_key_came_from(desk: Callable[..., Desk], provider: str) -> None:
    """`%wan login` alone would not help: the variable comes first, so the card names it."""
    variable = KEY_VARIABLE[provider]
    urls = {catalog.GATEWAY_URL: WRONG_KEY, catalog.DASHSCOPE_URL: WRONG_KEY}
    at = desk("gateway", urls, **{variable: KEY})
    job = wan.generate("a fox", session=at.session)
    job.wait(30)
    shown = card_text(Presenter(at.session, at.session.need_home()).card(job))
    assert variable in shown
    assert "%wan login" in shown
    assert KEY not in shown


@pytest.mark.parametrize("option", ["--size", "--seed", "-n", "--as", "--timeout", "--size 1K", "-i", "--prise"])
def test_no_error_of_a_cell_repeats_what_is_marked_as_a_key(option: str) -> None:
    """Wherever ``sk-…`` is pasted: errors mask it, whoever words them."""
    with pytest.raises(WanError) as caught:
        read_cell(f"{option} {KEY}", "a fox", DictResolver())
    assert KEY not in str(caught.value)
    assert KEY not in "".join(caught.value.lines())
