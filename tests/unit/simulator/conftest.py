"""A simulator in process, a clock that the test moves, and a client that speaks plain HTTP to it."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.fakes.pictures import encoded
from tests.kit import unlimited
from tests.unit.database.kit import Clock
from wan_notebook.simulator import create_app

SUBMIT = {"gateway": "/model/v1/generation", "dashscope": "/api/v1/services/aigc/image-generation/generation"}
TASK = {"gateway": "/model/v1/generation/task/", "dashscope": "/api/v1/tasks/"}
MODEL = {"gateway": "wan26_image", "dashscope": "wan2.6-image"}
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
PROVIDERS = ("gateway", "dashscope")


class Caller:
    """One account that sends requests to a simulator in this process, whose tasks take ten seconds."""

    def __init__(self, key: str = "sk-test", **config: Any) -> None:
        self.clock = config.setdefault("clock", Clock())
        self.app = create_app(replace(unlimited(10.0), **{"fixed_picture": None, **config}))
        self.simulator = self.app.state.simulator
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, method: str, url: str, *, has_key: bool = True, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
                headers = {**(self.headers if has_key else {}), **options.pop("headers", {})}
                return await client.request(method, url, headers=headers, **options)

        return asyncio.run(send())

    def submit(self, provider: str, document: Any) -> httpx.Response:
        return self.request("POST", SUBMIT[provider], json=document, headers={"X-DashScope-Async": "enable"})

    def made(self, provider: str = "gateway", **request: Any) -> Any:
        """Submit, expect success, and return the task as the simulator stores it."""
        reply = self.submit(provider, request_of(provider, **request))
        assert reply.status_code == 200, reply.text
        return list(self.simulator.tasks.values())[-1]

    def poll(self, provider: str, task_id: str) -> httpx.Response:
        return self.request("GET", TASK[provider] + task_id)

    def urls(self, provider: str = "gateway", **request: Any) -> list[str]:
        """Run a task to its end and return the addresses of its pictures."""
        task = self.made(provider, **request)
        self.clock.now += 10
        reply = self.poll(provider, task.task_id).json()
        groups = reply["output"] if provider == "gateway" else [c["message"] for c in reply["output"]["choices"]]
        items = [item for group in groups for item in group["content"] if item["type"] == "image"]
        return [item.get("url") or item["image"] for item in items]


def data_url(size: tuple[int, int] = (640, 480), *, mode: str = "RGB", kind: str = "PNG", **options: Any) -> str:
    """Return a data URL of a plain picture."""
    data = encoded(Image.new(mode, size), kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"


def request_of(provider: str = "gateway", text: Any = "a fox in snow", images: Any = (), **parameters: Any) -> Any:
    """Return a flat request: editing if there are images, else interleaved; a parameter of None is left out."""
    content = [{"text": text}, *({"image": image} for image in images)]
    given = {"enable_interleave": not images, "seed": 5, **parameters}
    return {
        "model": MODEL[provider],
        "input": {"messages": [{"role": "user", "content": content}]},
        "parameters": {name: value for name, value in given.items() if value is not None},
    }


@pytest.fixture
def caller() -> Caller:
    """A caller of a simulator without limits."""
    return Caller()
