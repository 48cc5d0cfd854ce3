"""ClientPool: which service is asked and where a key may go. And client and simulator, two readings of one page."""

import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import SecretStr

from tests.fakes.network import KEY, Answers, make_client, run, submit
from tests.kit import unlimited
from wan_notebook.errors import AuthError, MissingKeyError, ServiceError, SettingsError
from wan_notebook.images import InputImage
from wan_notebook.models import DASHSCOPE_REGIONS, GATEWAY_URL
from wan_notebook.providers import IN_PROCESS_URL, ClientPool, Phase, ServiceClient
from wan_notebook.request import ImageRequest
from wan_notebook.settings import SettingsLoader
from wan_notebook.simulator import REPLY_FORMS, create_app

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


REQUESTS = [
    ({"prompt": "a fox in snow"}, 1),
    ({"prompt": "make it blue", "images": [red()], "n": 2}, 2),
    ({"prompt": "a short story", "interleave": True, "max_images": 2}, 2),
]


@pytest.mark.parametrize("form", [*REPLY_FORMS, "wrapped+completed_at_once+both_outputs"])
@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
def test_what_one_side_writes_the_other_reads(provider: str, form: str, tmp_path: Path) -> None:
    """Every mode, dialect and reply form, to the picture; and a task that fails, succeeds in part or is refused."""
    part = tmp_path / "x.part"

    async def go(client: ServiceClient) -> None:
        async def state_of(**fields: Any) -> Any:
            return await client.status((await client.submit(ImageRequest(seed=1, **fields))).task_id)

        for fields, pictures in REQUESTS:
            state = await state_of(**fields)
            assert (state.phase, len(state.files)) == (Phase.SUCCEEDED, pictures)
            assert (state.cost_usd is None, state.duration_s is None) == (is_dashscope, not is_dashscope)
            for output in state.files:
                assert await client.download(output.url, part=part) == "image/png"
                assert part.read_bytes() == red().data
        # An unknown status beside neither picture nor error means that the task is still running.
        for directive in ("fail:InternalError.Algo", *(("empty",) if form != "unknown_status" else ())):
            failed = await state_of(prompt=f"a fox [[{directive}]]")
            assert (failed.phase, bool(failed.error_message)) == (Phase.FAILED, True)
        partial = await state_of(prompt="a fox [[partial]]", images=[red()], n=2)
        assert (partial.phase, len(partial.files)) == (Phase.SUCCEEDED, 1)
        assert [reason[:20] for reason in partial.missing_reasons] == ["DataInspectionFailed"] * is_dashscope
        with pytest.raises(ServiceError, match="good standing"):
            await client.submit(ImageRequest(prompt="a [[refuse:Arrearage]]"))

    is_dashscope = provider == "dashscope"
    app = create_app(replace(unlimited(), fixed_picture=red().data, reply_form=form))
    run(make_client(Answers(), provider=provider, transport=httpx.ASGITransport(app=app)), go)
