"""ClientPool: which service is asked and where a key may go."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.fakes.network import KEY, Answers, run, submit
from wan_notebook.database import JobRow
from wan_notebook.errors import AuthError, MissingKeyError, SettingsError
from wan_notebook.models import DASHSCOPE_REGIONS, GATEWAY_URL
from wan_notebook.providers import ClientPool
from wan_notebook.settings import IN_PROCESS_URL, SettingsLoader

GATEWAY = {"WAN_PROVIDER": "gateway", "WAN_API_KEY": KEY}
DASHSCOPE = {"WAN_PROVIDER": "dashscope", "DASHSCOPE_API_KEY": KEY}
SIMULATOR = {"WAN_PROVIDER": "simulator"}


def pool_of(env: dict[str, str], **options: Any) -> tuple[ClientPool, SettingsLoader]:
    """Return a pool and its loader for an environment."""
    loader = SettingsLoader(env=env, use_keyring=False)
    return ClientPool(loader, **options), loader


OWN = {**GATEWAY, "WAN_BASE_URL": "https://gate.example"}
WORKSPACE = "https://w1.cn-beijing.maas.aliyuncs.com/api/v1"


@pytest.mark.parametrize(
    ("env", "provider", "recorded", "is_trusted"),
    [
        (GATEWAY, "gateway", "", True),
        (GATEWAY, "gateway", GATEWAY_URL, True),
        (OWN, "gateway", "https://gate.example/b/", True),
        (OWN, "gateway", GATEWAY_URL, True),
        (OWN, "gateway", "http://gate.example", False),
        (OWN, "gateway", "https://gate.example:8443", False),
        (OWN, "gateway", "https://gate.example.evil.example", False),
        (OWN, "gateway", "https://gate.example@evil.example", False),
        (GATEWAY, "gateway", GATEWAY_URL.replace("https", "http"), False),
        (GATEWAY, "gateway", f"{GATEWAY_URL}:8443", False),
        (GATEWAY, "gateway", DASHSCOPE_REGIONS["Beijing"], False),
        (GATEWAY, "gateway", "https://evil.example", False),
        (GATEWAY, "gateway", "nonsense", False),
        (GATEWAY, "gateway", IN_PROCESS_URL, False),
        (DASHSCOPE, "dashscope", DASHSCOPE_REGIONS["Singapore"], True),
        (DASHSCOPE, "dashscope", DASHSCOPE_REGIONS["Virginia"].removesuffix("/api/v1"), True),
        (DASHSCOPE, "dashscope", DASHSCOPE_REGIONS["Beijing"].replace("https", "http"), False),
        (DASHSCOPE, "dashscope", "https://dashscope.aliyuncs.com:444/api/v1", False),
        (DASHSCOPE, "dashscope", GATEWAY_URL, False),
        (DASHSCOPE, "dashscope", WORKSPACE, False),
        ({**DASHSCOPE, "WAN_BASE_URL": WORKSPACE}, "dashscope", WORKSPACE, True),
        ({**DASHSCOPE, "WAN_BASE_URL": WORKSPACE}, "dashscope", WORKSPACE.replace(".com", ".com:81"), False),
        (SIMULATOR, "simulator", IN_PROCESS_URL, True),
        (SIMULATOR, "simulator", "http://127.0.0.1:8000", False),
        ({**SIMULATOR, "WAN_BASE_URL": "http://127.0.0.1:8000"}, "simulator", "http://127.0.0.1:8000", True),
    ],
)
def test_a_recorded_address_alone_never_decides_where_a_key_goes(
    env: dict[str, str], provider: str, recorded: str, is_trusted: bool
) -> None:
    """Attack: a foreign ledger's open job names an address; the key goes to the configured origin or the catalogue."""
    pool, _ = pool_of(env)
    row = JobRow(id="a1b2", provider=provider, base_url=recorded)
    if is_trusted:
        assert pool.client_for(row).base_url.startswith(recorded.rstrip("/"))
        return
    with pytest.raises(SettingsError, match="a1b2") as caught:
        pool.client_for(row)
    assert "WAN_BASE_URL" in caught.value.hint


@pytest.mark.parametrize(
    ("env", "has_real_jobs", "words"),
    [
        ({"WAN_PROVIDER": "gateway"}, False, "WAN_API_KEY"),
        ({"WAN_PROVIDER": "dashscope"}, False, "DASHSCOPE_API_KEY"),
        ({"WAN_BASE_URL": "http://127.0.0.1:1"}, False, "WAN_BASE_URL"),
        ({}, True, "real pictures"),
        ({}, False, ""),
        (SIMULATOR, True, ""),
        (GATEWAY, False, ""),
    ],
)
def test_what_cannot_be_asked_is_refused_before_a_job(env: dict[str, str], has_real_jobs: bool, words: str) -> None:
    """A simulated picture must not pass for a real one; a missing key is told with its name."""
    pool, loader = pool_of(env)
    with pytest.raises(MissingKeyError, match=words) if words else nullcontext():
        pool.require_usable(loader.load(), has_real_jobs)


def test_a_home_that_is_not_ours_keeps_tasks_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """CASES H1: where nothing can be written the pictures are made all the same; one line says what it means."""
    (tmp_path / "file").write_text("in the way")
    loader = SettingsLoader(env={}, data_dir=tmp_path / "file", use_keyring=False)
    assert run(ClientPool(loader).client(loader.load()), submit).task_id
    assert [record.levelno for record in caplog.records if "wan_notebook" in record.name] == [logging.WARNING]
    assert "file cannot be used" in caplog.text


def test_a_fetcher_and_a_client_to_try_a_key() -> None:
    """A person's picture is fetched without any key; a key is tried at the given address, with no other."""
    answers = Answers(httpx.Response(200, content=b"x"), httpx.Response(401))
    pool, _ = pool_of(GATEWAY, transport_for=lambda _: httpx.MockTransport(answers))
    assert run(pool.fetcher(), lambda client: client.fetch_image("https://files.example/x")) == b"x"
    tried = pool.new(provider="dashscope", base_url="https://dashscope-us.aliyuncs.com", key=SecretStr("sk-try-1234"))
    with pytest.raises(AuthError):
        run(tried, submit)
    assert [request.headers.get("authorization") for request in answers.requests] == [None, "Bearer sk-try-1234"]
    assert pool.fetcher() is pool.fetcher()
