"""ClientPool: which service is asked and where a key may go. And client and simulator, two readings of one page."""

import asyncio
import io
import logging
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import SecretStr

from tests.fakes.network import KEY, Answers, make_client, run, submit
from wan_notebook.errors import AuthError, MissingKeyError, ServiceError, SettingsError
from wan_notebook.images import InputImage
from wan_notebook.models import DASHSCOPE_REGIONS, GATEWAY_URL
from wan_notebook.providers import IN_PROCESS_URL, ClientPool, Phase, ServiceClient
from wan_notebook.request import ImageRequest
from wan_notebook.settings import SettingsLoader
from wan_notebook.simulator import REPLY_FORMS, SimulatorConfig, create_app

GATEWAY = {"WAN_PROVIDER": "gateway", "WAN_API_KEY": KEY}
DASHSCOPE = {"WAN_PROVIDER": "dashscope", "DASHSCOPE_API_KEY": KEY}
SIMULATOR = {"WAN_PROVIDER": "simulator"}


@dataclass
class Row:
    """What a pool reads of a job's row."""

    provider: str
    base_url: str
    id: str = "a1b2"


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Keep the person's folders of a loader apart."""
    return {"cwd": tmp_path, "config_dir": tmp_path / "config", "data_dir": tmp_path / "data"}


def pool_of(folders: dict[str, Path], **options: Any) -> Any:
    """Return a function that makes a pool and its loader for an environment."""

    def make(**env: str) -> tuple[ClientPool, SettingsLoader]:
        loader = SettingsLoader(env=env, use_keyring=False, **folders)
        return ClientPool(loader, **options), loader

    return make


def test_a_client_is_made_once_for_its_settings(folders: dict[str, Path]) -> None:
    """Connections are kept as long as provider, address, key and envelope stay."""
    pool, loader = pool_of(folders)(**GATEWAY)
    first = pool.client(loader.load())
    assert pool.client(loader.load()) is first
    assert (first.name, first.base_url) == ("gateway", GATEWAY_URL)
    assert pool.client(loader.load().with_base_url("https://other.example")) is not first
    other = SettingsLoader({**GATEWAY, "WAN_API_KEY": "sk-another-key-1234"}, use_keyring=False, **folders)
    assert pool.client(other.load()) is not first
    asyncio.run(pool.aclose())


WORKSPACE = "https://w1.cn-beijing.maas.aliyuncs.com/api/v1"


@pytest.mark.parametrize(
    ("env", "provider", "recorded", "is_trusted"),
    [
        (GATEWAY, "gateway", "", True),
        (GATEWAY, "gateway", GATEWAY_URL, True),
        ({**GATEWAY, "WAN_BASE_URL": "https://gate.example/a"}, "gateway", "https://gate.example/a/", True),
        ({**GATEWAY, "WAN_BASE_URL": "https://gate.example"}, "gateway", "https://gate.example/b", True),
        ({**GATEWAY, "WAN_BASE_URL": "https://gate.example"}, "gateway", GATEWAY_URL, True),
        ({**GATEWAY, "WAN_BASE_URL": "https://gate.example"}, "gateway", "http://gate.example", False),
        ({**GATEWAY, "WAN_BASE_URL": "https://gate.example"}, "gateway", "https://gate.example:8443", False),
        ({**GATEWAY, "WAN_BASE_URL": "https://gate.example"}, "gateway", "https://gate.example.evil.example", False),
        ({**GATEWAY, "WAN_BASE_URL": "https://gate.example"}, "gateway", "https://gate.example@evil.example", False),
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
    folders: dict[str, Path], env: dict[str, str], provider: str, recorded: str, is_trusted: bool
) -> None:
    """Attack: a foreign ledger's open job names an address; the key goes to the configured origin or the catalogue."""
    pool, _ = pool_of(folders)(**env)
    row: Any = Row(provider, recorded)
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
        ({**GATEWAY, "WAN_API_KEY": "sk ключ"}, False, "character"),
        ({**GATEWAY, "WAN_BASE_URL": "nonsense"}, False, "http(s) address"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_there_is_a_job(
    folders: dict[str, Path], env: dict[str, str], has_real_jobs: bool, words: str
) -> None:
    """A simulated picture must not pass for a real one; a missing key, a bad key or address is told with its name."""
    pool, loader = pool_of(folders)(**env)
    if not words:
        pool.require_usable(loader.load(), has_real_jobs)
        return
    with pytest.raises(SettingsError) as caught:
        pool.require_usable(loader.load(), has_real_jobs)
    assert words in str(caught.value)
    assert isinstance(caught.value, MissingKeyError) is (words not in ("character", "http(s) address"))
    assert "ключ" not in repr(vars(caught.value))


def test_the_simulator_in_this_process_follows_the_settings(folders: dict[str, Path]) -> None:
    """DESIGN: it takes the account's limits and what `WAN_SIMULATOR_` says now; its tasks outlive the kernel."""
    env = {"WAN_SIMULATOR_SECONDS": "0", "WAN_SIMULATOR_PRICE": "0.05", "WAN_IN_FLIGHT": "2"}
    loader = SettingsLoader(env=env, use_keyring=False, **folders)
    pool = ClientPool(loader)
    submitted = run(pool.client(loader.load()), submit)
    config = pool.simulator_app().state.simulator.config
    assert (config.seconds, config.price, config.in_flight) == (0.0, Decimal("0.05"), 2)
    env["WAN_SIMULATOR_SECONDS"] = "7"
    pool.require_usable(loader.load(), has_real_jobs=False)
    assert pool.simulator_app().state.simulator.config.seconds == 7.0
    later = ClientPool(loader)
    state = run(later.client(loader.load()), lambda client: client.status(submitted.task_id))
    assert (state.phase, state.cost_usd) == (Phase.SUCCEEDED, Decimal("0.05"))


def test_a_home_that_is_not_ours_keeps_simulated_tasks_in_memory(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """CASES H1: where nothing can be written the pictures are made all the same; one line says what it means."""
    folders["data_dir"].parent.joinpath("file").write_text("in the way")
    pool, loader = pool_of({**folders, "data_dir": folders["data_dir"].parent / "file"})()
    assert run(pool.client(loader.load()), submit).task_id
    assert [record.levelno for record in caplog.records if "wan_notebook" in record.name] == [logging.WARNING]
    assert "file cannot be used" in caplog.text


def test_a_fetcher_and_a_client_to_try_a_key(folders: dict[str, Path]) -> None:
    """A person's picture is fetched without any key; a key is tried at the given address, with no other."""
    answers = Answers(httpx.Response(200, content=b"x"), httpx.Response(401))
    pool, _ = pool_of(folders, transport_for=lambda _: httpx.MockTransport(answers))(**GATEWAY)
    assert run(pool.fetcher(), lambda client: client.fetch_image("https://files.example/x")) == b"x"
    tried = pool.new(provider="dashscope", base_url="https://dashscope-us.aliyuncs.com", key=SecretStr("sk-try-1234"))
    with pytest.raises(AuthError):
        run(tried, submit)
    assert [request.headers.get("authorization") for request in answers.requests] == [None, "Bearer sk-try-1234"]
    assert pool.fetcher() is pool.fetcher()


# With the simulator ---------------------------------------------------------------------------------------------------


def red() -> InputImage:
    """Make a picture that every rule allows."""
    buffer = io.BytesIO()
    Image.new("RGB", (400, 300), "red").save(buffer, "PNG")
    return InputImage("red", "red", buffer.getvalue(), "image/png", 400, 300)


def simulated(provider: str, **config: Any) -> ServiceClient:
    """Return a client of a simulator whose tasks take no time."""
    app = create_app(SimulatorConfig(seconds=0.0, fixed_picture=red().data, **config))
    return make_client(Answers(), provider=provider, transport=httpx.ASGITransport(app=app))


REQUESTS = [
    (ImageRequest(prompt="a fox in snow", seed=3), 1),
    (ImageRequest(prompt="make it blue", images=[red()], n=2, seed=3), 2),
    (ImageRequest(prompt="a short story", interleave=True, max_images=2, seed=3), 2),
]
FORMS = [name for name in REPLY_FORMS if "error" not in name]


@pytest.mark.parametrize("form", [*FORMS, "wrapped+completed_at_once+both_outputs"])
@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
def test_each_mode_goes_the_whole_way(provider: str, form: str, tmp_path: Path) -> None:
    """Submit, poll, download: what one side writes the other reads, in both dialects and every reply form."""

    async def go(client: ServiceClient) -> None:
        for request, pictures in REQUESTS:
            submitted = await client.submit(request)
            state = await client.status(submitted.task_id)
            assert (state.phase, len(state.files)) == (Phase.SUCCEEDED, pictures)
            assert (state.cost_usd is None, state.duration_s is None) == (
                provider == "dashscope",
                provider == "gateway",
            )
            for index, output in enumerate(state.files):
                part = tmp_path / f"{index}.part"
                assert await client.download(output.url, part=part) == "image/png"
                assert part.read_bytes() == red().data

    run(simulated(provider, reply_form=form), go)


@pytest.mark.parametrize("form", REPLY_FORMS)
@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
def test_failures_are_read_in_every_reply_form(provider: str, form: str) -> None:
    """A task that fails, succeeds in part or without a picture, and a submit that is refused."""

    async def go(client: ServiceClient) -> None:
        async def state_of(directive: str, **fields: Any) -> Any:
            request = ImageRequest(prompt=f"a fox [[{directive}]]", images=[red()], seed=1, **fields)
            return await client.status((await client.submit(request)).task_id)

        # An unknown status beside neither picture nor error means that the task is still running.
        for directive in ("fail:InternalError.Algo", *(("empty",) if form != "unknown_status" else ())):
            failed = await state_of(directive)
            assert (failed.phase, bool(failed.error_message)) == (Phase.FAILED, True)
        partial = await state_of("partial", n=2)
        reasons = [reason[:20] for reason in partial.missing_reasons]
        assert (partial.phase, len(partial.files)) == (Phase.SUCCEEDED, 1)
        assert reasons == ["DataInspectionFailed"] * (provider == "dashscope")
        with pytest.raises(ServiceError, match="good standing"):
            await client.submit(ImageRequest(prompt="a [[refuse:Arrearage]]"))

    run(simulated(provider, reply_form=form), go)
