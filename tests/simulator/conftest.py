"""A simulator in process, a clock that the test moves, and a client that speaks plain HTTP to it."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from wan_notebook.simulator import SimulatorApp, SimulatorConfig, create_app

GATEWAY_SUBMIT = "/model/v1/generation"
GATEWAY_POLL = "/model/v1/generation/task/"
DASHSCOPE_SUBMIT = "/api/v1/services/aigc/image-generation/generation"
DASHSCOPE_TASKS = "/api/v1/tasks"


class Clock:
    """A wall clock that stands still until it is moved; starts at 2026-01-09 17:52:04.136 in Beijing."""

    def __init__(self) -> None:
        self.now = 1767952324.136

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Caller:
    """Send requests to an application in process, as one key."""

    def __init__(self, app: SimulatorApp, clock: Clock, key: str = "sk-test") -> None:
        self.app = app
        self.clock = clock
        self.simulator = app.state.simulator
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
                return await client.request(method, url, **options)

        return asyncio.run(send())

    def get(self, url: str, **headers: str) -> httpx.Response:
        return self.request("GET", url, headers={**self.headers, **headers})

    def fetch(self, url: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for a result file, without the key."""
        return self.request(method, url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, url: str, document: Any = None, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", url, json=document, headers={**self.headers, **names})

    def submit(self, dialect: str, document: Any) -> httpx.Response:
        if dialect == "gateway":
            return self.post(GATEWAY_SUBMIT, document)
        return self.post(DASHSCOPE_SUBMIT, document, X_DashScope_Async="enable")

    def task(self, dialect: str, document: Any) -> str:
        """Submit, expect success, return the task id."""
        response = self.submit(dialect, document)
        assert response.status_code == 200, response.text
        reply = response.json()
        return reply["id"] if dialect == "gateway" else reply["output"]["task_id"]

    def poll(self, dialect: str, task_id: str) -> httpx.Response:
        return self.get((GATEWAY_POLL if dialect == "gateway" else DASHSCOPE_TASKS + "/") + task_id)

    def result_urls(self, dialect: str, task_id: str) -> list[str]:
        return urls_in(dialect, self.poll(dialect, task_id).json())


def urls_in(dialect: str, reply: dict[str, Any]) -> list[str]:
    """Find the picture URLs of a success, in order."""
    if dialect == "gateway":
        items = [item for group in reply["output"] for item in group["content"]]
        return [item["url"] for item in items if item["type"] == "image"]
    items = [item for choice in reply["output"]["choices"] for item in choice["message"]["content"]]
    return [item["image"] for item in items if item["type"] == "image"]


def picture_data_url(
    size: tuple[int, int] = (640, 480), *, mode: str = "RGB", kind: str = "PNG", **options: Any
) -> str:
    """Make a data URL of a plain picture."""
    buffer = io.BytesIO()
    Image.new(mode, size, 128 if mode in ("L", "P") else (90, 120, 150, 90)[: len(mode)]).save(buffer, kind, **options)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{data}"


def make_request(
    dialect: str = "gateway", text: Any = "a fox in snow", images: list[str] | None = None, **parameters: Any
) -> dict[str, Any]:
    """Make a flat request: editing if there are images, else interleaved, unless a parameter says otherwise."""
    images = images or []
    content = [{"text": text}, *({"image": image} for image in images)]
    chosen = {"enable_interleave": not images, "seed": 5, **parameters}
    return {
        "model": "wan26_image" if dialect == "gateway" else "wan2.6-image",
        "input": {"messages": [{"role": "user", "content": content}]},
        "parameters": {name: value for name, value in chosen.items() if value is not None},
    }


@pytest.fixture
def clock() -> Clock:
    """A clock that only the test moves."""
    return Clock()


@pytest.fixture
def make_caller(clock: Clock):
    """Make a caller of a new simulator with the given settings."""

    def make(key: str = "sk-test", **settings: Any) -> Caller:
        return Caller(create_app(SimulatorConfig(**{"clock": clock, "seconds": 10.0, **settings})), clock, key)

    return make


@pytest.fixture
def caller(make_caller) -> Caller:
    """A caller of a simulator with ten-second tasks."""
    return make_caller()


@pytest.fixture
def request_of():
    """The maker of flat requests."""
    return make_request


@pytest.fixture
def data_url():
    """The maker of data URLs."""
    return picture_data_url


@pytest.fixture
def urls_of():
    """The finder of picture URLs."""
    return urls_in
