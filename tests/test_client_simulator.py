"""The client and the simulator are two readings of the same page: here they meet, without a network."""

from __future__ import annotations

import asyncio
import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from tests.client_kit import KEY, raised
from wan_notebook.client import Client
from wan_notebook.errors import AuthError, InvalidRequestError
from wan_notebook.inputs import InputImage
from wan_notebook.request import ImageRequest
from wan_notebook.secret import Secret
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.wire import Phase


def red() -> InputImage:
    """Make a picture that every rule allows."""
    buffer = io.BytesIO()
    Image.new("RGB", (400, 300), "red").save(buffer, "PNG")
    return InputImage("red", "red", buffer.getvalue(), "image/png", 400, 300)


def client(provider: str = "gateway", *, key: Secret | None = None, **settings: object) -> Client:
    """Return a client of a simulator whose tasks take no time."""
    app = create_app(SimulatorConfig(seconds=0.0, keys=frozenset({KEY}), **settings))  # type: ignore[arg-type]
    return Client(provider=provider, base_url="http://simulator", key=key or Secret(KEY), app=app)


@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
@pytest.mark.parametrize(
    ("request_", "pictures"),
    [
        (ImageRequest(prompt="a fox in snow", seed=3), 1),
        (ImageRequest(prompt="make it blue", images=[red()], n=2, seed=3), 2),
        (ImageRequest(prompt="a short story", interleave=True, max_images=2, seed=3), 2),
    ],
    ids=["text to image", "edit", "illustrated"],
)
def test_each_mode_goes_the_whole_way(provider: str, request_: ImageRequest, pictures: int, tmp_path: Path) -> None:
    """Submit, poll, download: what one side writes the other reads, in both dialects."""

    async def main() -> None:
        c = client(provider)
        submitted = await c.submit(request_)
        state = await c.status(submitted.task_id)
        while state.phase in (Phase.PENDING, Phase.RUNNING):
            state = await c.status(submitted.task_id)
        assert (state.phase, len(state.files)) == (Phase.SUCCEEDED, pictures)
        assert (state.cost_usd is None) == (provider == "dashscope")
        assert (state.duration_s is None) == (provider == "gateway")
        for index, output in enumerate(state.files):
            part = tmp_path / f"{index}.part"
            done = await c.download(output.url, part=part)
            assert done.head.startswith(b"\x89PNG")
            assert done.sha256 == hashlib.sha256(part.read_bytes()).hexdigest()
        await c.aclose()

    asyncio.run(main())


def test_the_other_envelope_is_found() -> None:
    """WAN_API §2: a gateway that knows only the wrapped form refuses the flat one with 400, and makes no task."""
    c = client(envelope="params")

    async def main() -> None:
        await c.submit(ImageRequest(prompt="a fox", seed=1))
        await c.aclose()

    asyncio.run(main())
    assert (c.envelope, c.requests_sent["submit"]) == ("params", 2)


def test_a_task_is_found_in_the_list() -> None:
    """WAN_API §3: what a lost reply would have named can be looked up."""

    async def main() -> None:
        c = client("dashscope")
        submitted = await c.submit(ImageRequest(prompt="a fox", seed=1))
        now, span = datetime.now(UTC), timedelta(hours=14)
        found = await c.list_tasks(start=now - span, end=now + span)
        assert [task.task_id for task in found] == [submitted.task_id]
        assert (await c.status("no-such-task")).phase is Phase.UNKNOWN
        await c.aclose()

    asyncio.run(main())


def test_a_wrong_key_and_an_unknown_task_are_told() -> None:
    """Both sides agree on the status codes."""
    wrong = Secret("sk-wrong")
    assert isinstance(raised(lambda c: c.submit(ImageRequest(prompt="a fox")), client(key=wrong)), AuthError)
    error = raised(lambda c: c.status("no-such-task"), client())
    assert isinstance(error, InvalidRequestError)
    assert error.http_status == 404
