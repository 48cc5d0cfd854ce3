"""Fault injection itself: every fault strikes once as its line says, in process and on a port."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes import attacks
from tests.fakes.faults import FAULTS, Faults
from tests.unit.simulator.conftest import PICTURE, SUBMIT, TASK, request_of
from wan_notebook.simulator import SimulatorConfig, create_app

NOT_DONE = r"reset_before|stall_before|\d{3}(_html|_retry_after(_date)?)?|redirect(_away)?|html_200|error_200"
SEEN: dict[str, Any] = {
    "reset_before": httpx.TransportError,  # on a port: while reading, or already while sending
    "reset_after": httpx.ReadError,
    "reset_mid_body": httpx.ReadError,
    "fin_after": httpx.RemoteProtocolError,
    "cut_body": httpx.RemoteProtocolError,
    "cut_early": httpx.RemoteProtocolError,
    "stall_before": httpx.ReadTimeout,
    "stall_after": httpx.ReadTimeout,
    "stall_mid_body": httpx.ReadTimeout,
    "redirect": 302,
    "redirect_away": 302,
    "expired_url": 403,
}


@pytest.fixture(scope="module")
def faults() -> Faults:
    """Faults in front of a simulator without limits, whose tasks take no time."""
    config = SimulatorConfig(seconds=0, queries_per_s=0, submits_per_s=0, in_flight=0, fixed_picture=PICTURE)
    return Faults(create_app(config), pace_s=0.0, endless_bytes=2**20)


@pytest.fixture(scope="module")
def base_url(faults: Faults) -> Iterator[str]:
    """The address of the same simulator on a port."""
    with faults.serve() as url:
        yield url


async def prepare(client: httpx.AsyncClient, phase: str) -> tuple[str, str]:
    """Return method and address of a request of a phase."""
    if phase in ("submit", "list"):
        return ("POST", SUBMIT["dashscope"]) if phase == "submit" else ("GET", "/api/v1/tasks")
    reply = await client.post(SUBMIT["dashscope"], json=request_of("dashscope", max_images=1))
    task = TASK["dashscope"] + reply.json()["output"]["task_id"]
    if phase == "download":
        output = (await client.get(task)).json()["output"]
        return "GET", output["choices"][0]["message"]["content"][0]["image"]
    return ("POST", f"{task}/cancel") if phase == "cancel" else ("GET", task)


async def strike(faults: Faults, client: httpx.AsyncClient, phase: str, name: str) -> None:
    """Check that the next request of a phase sees a fault, and the one after it does not."""
    body = request_of("dashscope", max_images=1) if phase == "submit" else None
    method, url = await prepare(client, phase)
    sound = await client.request(method, url, json=body)
    created, struck = faults.simulator.tasks_created, faults.struck[f"{phase}.{name}"]
    faults.add(f"{phase}.{name}")
    expected = SEEN.get(name) or int((re.match(r"\d{3}", name) or ["200"])[0])
    if isinstance(expected, int):
        reply = await client.request(method, url, json=body)
        is_refused = phase == "cancel" and expected == 200 and name != "html_200"
        assert reply.status_code == (400 if is_refused else expected)
        assert reply.content != sound.content or name in ("no_range", "trickle")
    else:
        with pytest.raises(expected):
            await client.request(method, url, json=body, timeout=0.1)
    assert faults.struck[f"{phase}.{name}"] == struck + 1
    if name != "expired_url":  # that one is for good
        assert (await client.request(method, url, json=body)).status_code == sound.status_code
    is_done = phase == "submit" and not re.fullmatch(NOT_DONE, name)
    assert faults.simulator.tasks_created == created + is_done + (phase == "submit")


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_strikes_once_as_its_line_says(faults: Faults, base_url: str, name: str) -> None:
    """In every phase in process, in one on a port: what the client sees, and whether a task was created."""
    phases = FAULTS[name][0]

    async def run() -> None:
        options: Any = {"base_url": base_url, "timeout": 0.5}
        options["headers"] = {"Authorization": "Bearer k", "X-DashScope-Async": "enable"}
        async with httpx.AsyncClient(transport=faults.transport(), **options) as client:
            for phase in phases:
                await strike(faults, client, phase, name)
        async with httpx.AsyncClient(**options) as client:
            await strike(faults, client, phases[0], name)

    asyncio.run(run())


def test_names_counts_and_answers(faults: Faults) -> None:
    """`PHASE.NAME:COUNT@SKIP`; a wrong name or phase is refused; a hostile reply can be given in place of any."""

    async def statuses(n: int) -> list[int]:
        async with httpx.AsyncClient(transport=faults.transport(), base_url="http://simulator") as client:
            return [(await client.get("/api/v1/tasks/x", headers={"Authorization": "k"})).status_code for _ in range(n)]

    faults.add("poll.503:2@1", "submit.500")
    assert asyncio.run(statuses(4)) == [401, 503, 503, 401]
    faults.answer("poll", attacks.hostile_error(attacks.HOSTILE_TEXTS[0], status=418))
    assert asyncio.run(statuses(2)) == [418, 401]
    for wrong in ("", "nope", "poll.nope", "submit.bomb", "503:x", "503:-1", "503@x"):
        with pytest.raises(ValueError, match="fault"):
            faults.add(wrong)
    faults.clear()
    assert asyncio.run(statuses(1)) == [401]
