"""Accounts, limits, tasks by the clock, results and pictures, the state file, and the command line."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.unit.simulator.conftest import PICTURE, PROVIDERS, SUBMIT, TASK, Caller, data_url, request_of

URL = "https://x/y.png"

# ------------------------------------------------------------------ accounts and limits


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_call_needs_a_key(provider: str) -> None:
    """Without a key, or with one that is not accepted, each call is a 401 in the words of the service."""
    for caller in (Caller(key=""), Caller(keys=frozenset({"sk-right"}))):
        for reply in (caller.submit(provider, request_of(provider)), caller.poll(provider, "x")):
            assert (reply.status_code, "API-key" in reply.text) == (401, True)
        assert caller.simulator.tasks_created == 0
    assert Caller(key="sk-right", keys=frozenset({"sk-right"})).made(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_queries_and_submits_are_limited_by_the_second(provider: str) -> None:
    """The request above the limit is a 429 that creates no task; a second later there is room again."""
    caller = Caller(queries_per_s=20, submits_per_s=5)
    submits = [caller.submit(provider, request_of(provider)).status_code for _ in range(6)]
    queries = [caller.poll(provider, "x").status_code for _ in range(21)]
    assert (submits, queries.index(429), caller.simulator.tasks_created) == ([200] * 5 + [429], 20, 5)
    refused = caller.poll(provider, "x").json()
    codes = {"gateway": "throttling_rate_quota", "dashscope": "Throttling.RateQuota"}
    assert refused.get("error", refused)["code"] == codes[provider]
    caller.clock.now += 1
    assert caller.made(provider)
    caller.clock.now -= 1000
    assert caller.poll(provider, "x").status_code != 429, "a clock set back holds nobody up"


def test_five_tasks_are_in_process_at_once(tmp_path: Path) -> None:
    """The sixth is refused until one is over or cancelled; processes that share the state file share the limit."""
    first = Caller(in_flight=5, pending_share=1.0, state_path=tmp_path / "state.db")
    second = Caller(in_flight=5, pending_share=1.0, state_path=tmp_path / "state.db", clock=first.clock)
    ids = [first.made("dashscope").task_id for _ in range(5)]
    refused = second.submit("dashscope", request_of("dashscope"))
    assert (refused.status_code, refused.json()["code"]) == (429, "Throttling.AllocationQuota")
    assert first.request("POST", f"/api/v1/tasks/{ids[0]}/cancel").status_code == 200
    assert second.made("dashscope")
    assert second.submit("dashscope", request_of("dashscope")).status_code == 429
    first.clock.now += 10
    assert second.made("dashscope")


# ------------------------------------------------------------------ tasks


def test_tasks_survive_a_restart(tmp_path: Path) -> None:
    """A second simulator on the same file knows tasks and cancellations, honours addresses, and paints the same."""
    path = tmp_path / "deep" / "state.db"
    first = Caller(key="sk-very-secret", state_path=path)
    (url,) = first.urls(images=[data_url()], size="768*768")
    canceled = first.made("dashscope").task_id
    first.request("POST", f"/api/v1/tasks/{canceled}/cancel")
    second = Caller(key="sk-very-secret", state_path=path, clock=first.clock)
    assert second.poll("dashscope", canceled).json()["output"]["task_status"] == "CANCELED"
    assert second.request("GET", url).content == first.request("GET", url).content
    assert b"sk-very-secret" not in path.read_bytes()


# ------------------------------------------------------------------ results


def test_results_are_served_in_parts_without_a_key() -> None:
    """Length, type, validator and ranges as object storage has them; a key that is sent along is noted."""
    caller = Caller(fixed_picture=PICTURE)
    (url,) = caller.urls(max_images=1)
    whole = caller.request("GET", url, has_key=False)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, PICTURE, "image/png")
    assert whole.headers["content-length"] == str(len(PICTURE))
    for headers, code, part in (
        ({"Range": "bytes=500-"}, 206, "bytes 500-1031/1032"),
        ({"Range": "bytes=1000-9999"}, 206, "bytes 1000-1031/1032"),
        ({"Range": "bytes=5000-"}, 416, None),
        ({"Range": "bytes=10-", "If-Range": whole.headers["etag"]}, 206, "bytes 10-1031/1032"),
        ({"Range": "bytes=10-", "If-Range": '"other"'}, 200, None),
    ):
        reply = caller.request("GET", url, has_key=False, headers=headers)
        assert (reply.status_code, reply.headers.get("content-range")) == (code, part)
        assert code != 206 or PICTURE.endswith(reply.content)
    assert caller.simulator.keys_leaked == []
    caller.request("GET", url)
    assert len(caller.simulator.keys_leaked) == 1


def test_pictures_have_their_size_differ_and_say_simulated(caller: Caller) -> None:
    """Any prompt can be drawn in any shape, as an RGB PNG with the band that marks it; seed and prompt change it."""
    seen = set()
    for text, size in (("\x00\x1b[31m\u202e", "384*1536"), ("狐狸在雪地里", "384*1536"), ("שלום 🦊" * 300, "1536*384")):
        (url,) = caller.urls(text=text, images=[URL], size=size)
        content = caller.request("GET", url, has_key=False).content
        seen.add(content)
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, picture.mode, "*".join(map(str, picture.size))) == ("PNG", "RGB", size)
            assert (255, 196, 64) in {colour for _, colour in picture.getcolors(picture.width * picture.height) or ()}
    assert len(seen) == 3


# ------------------------------------------------------------------ counts, command line


@pytest.mark.process
def test_the_command_line_prints_its_base_url_first(tmp_path: Path) -> None:
    """Scripts read the address from the first line; options take effect; interrupting ends it without a traceback."""
    options = ["--seconds", "0", "--price", "0.05", "--reply-form", "wrapped", "--state", str(tmp_path / "state.db")]
    command = [sys.executable, "-m", "wan_notebook.simulator", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer k"}) as client:
            task_id = client.post(SUBMIT["gateway"], json=request_of(max_images=1)).json()["data"]["id"]
            assert client.get(TASK["gateway"] + task_id).json()["data"]["usage"]["cost"] == "0.05"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")
    assert (tmp_path / "state.db").exists()
