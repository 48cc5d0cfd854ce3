"""The form of a submit's body that worked is remembered for its address, also for later kernels."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.client_kit import REQUEST
from tests.test_client import envelope_of
from wan_notebook.client import Client
from wan_notebook.folders import data_dir
from wan_notebook.keys import KeyStore
from wan_notebook.session.providers import Providers
from wan_notebook.settings import Settings, Sources, read_settings

ACCEPTED = {"id": "task-1234", "status": "in_progress"}


def settings(tmp_path: Path, url: str) -> Settings:
    """Return the settings of a gateway at an address."""
    env = {"WAN_API_KEY": "sk-TEST-0123456789", "WAN_BASE_URL": url, "WAN_HOME": str(tmp_path / "pictures")}
    return read_settings(Sources(env=env, cwd=tmp_path, keys=KeyStore(use_keyring=False)))


def forms_sent(found: Settings, *, takes: str) -> list[str]:
    """Submit once in a new kernel to a gateway that takes one form only; return the forms that were tried."""
    tried: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tried.append(envelope_of(request))
        return httpx.Response(200, json=ACCEPTED) if tried[-1] == takes else httpx.Response(400, json={"message": "?"})

    providers = Providers(factory=lambda **options: Client(**options, transport=httpx.MockTransport(answer)))
    asyncio.run(providers.client(found).submit(REQUEST))
    return tried


def test_what_worked_is_remembered_for_later_kernels(tmp_path: Path) -> None:
    """A refused request a kernel would be paid in time for ever; another address has its own form."""
    here, there = settings(tmp_path, "http://one.test"), settings(tmp_path, "http://two.test")

    assert forms_sent(here, takes="params") == ["flat", "params"]
    assert forms_sent(here, takes="params") == ["params"]
    assert Providers().envelope(here) == "params"
    assert forms_sent(there, takes="flat") == ["flat"]
    assert "two.test" not in (data_dir() / "envelopes.json").read_text()


def test_a_service_that_changes_its_form_is_followed(tmp_path: Path) -> None:
    """What was remembered is only tried first: auto stays auto."""
    here = settings(tmp_path, "http://one.test")
    forms_sent(here, takes="params")

    assert forms_sent(here, takes="flat") == ["params", "flat"]
    assert forms_sent(here, takes="flat") == ["flat"]


@pytest.mark.parametrize("written", ["", "[]", '{"http://one.test": 5}', '{"http://one.test": "nested"}'])
def test_a_note_that_cannot_be_read_is_no_obstacle(tmp_path: Path, written: str) -> None:
    """The usual form comes first then."""
    data_dir().mkdir(parents=True, exist_ok=True)
    (data_dir() / "envelopes.json").write_text(written)

    assert forms_sent(settings(tmp_path, "http://one.test"), takes="flat") == ["flat"]


def test_a_form_that_was_set_is_not_second_guessed(tmp_path: Path) -> None:
    """``%wan config envelope=flat`` sends flat, and remembers nothing."""
    here = settings(tmp_path, "http://one.test")
    forms_sent(here, takes="params")
    fixed = replace(here, envelope="flat")

    assert forms_sent(fixed, takes="flat") == ["flat"]
    assert Providers().envelope(fixed) == "flat"
    assert Providers().envelope(here) == "params"
