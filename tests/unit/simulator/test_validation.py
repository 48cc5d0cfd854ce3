"""Every rule of a request (WAN_API §1) is refused in the words of the service, with the name of the field."""

from typing import Any

import pytest

from tests.unit.simulator.conftest import PROVIDERS, SUBMIT, Caller, data_url, request_of

PICTURE = "https://example.com/photo.jpg"
CONTENT = "input.messages[0].content"
IMAGE = f"{CONTENT}[1].image"
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "no image in editing": (CONTENT, {"enable_interleave": False}),
    "two images in interleaved mode": (CONTENT, {"images": [PICTURE] * 2, "enable_interleave": True}),
    "an empty text": (CONTENT, {"text": " "}),
    "n of 2 in interleaved mode": ("parameters.n", {"n": 2}),
    "a size with x": ("parameters.size", {"size": "1280x1280"}),
    "a size too large for interleaved mode": ("parameters.size", {"size": "1281*1281"}),
    "an image with transparency": (IMAGE, {"images": [data_url(mode="RGBA")]}),
    "an image with a transparent colour": (IMAGE, {"images": [data_url(mode="P", transparency=0)]}),
    "an image of 239 pixels": (IMAGE, {"images": [data_url((239, 400))]}),
    "an image of 11 MB": (IMAGE, {"images": [data_url((2000, 2000), kind="BMP")]}),
    "an image that is cut": (IMAGE, {"images": [data_url(kind="BMP")[:4000]]}),
    "a GIF": (IMAGE, {"images": [data_url(kind="GIF", mode="P").replace("image/gif", "image/png")]}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_rule_is_a_400_that_names_its_field(caller: Caller, case: str) -> None:
    """Each rule is refused in the words of each service, in few bytes, and creates no task."""
    field, wrong = REFUSED[case]
    gateway, dashscope = (caller.submit(provider, request_of(provider, **wrong)) for provider in PROVIDERS)
    assert (gateway.status_code, dashscope.status_code) == (400, 400)
    error = gateway.json()["error"]
    assert error["code"] == "invalid_parameter"
    assert error["message"].startswith(f"{field}: ")
    named = {"code": "InvalidParameter", "message": error["message"]}
    assert dashscope.json() == {**named, "request_id": dashscope.headers["x-request-id"]}
    assert len(gateway.content) < 400
    assert caller.simulator.tasks_created == 0


def test_pictures_that_together_exceed_16_mib_are_a_413(caller: Caller) -> None:
    """The limit is on all pictures of a request, decoded; each alone may have 10 MB."""
    reply = caller.submit("dashscope", request_of("dashscope", images=[data_url((1700, 1700), kind="BMP")] * 2))
    assert (reply.status_code, reply.json()["code"]) == (413, "BadRequest.TooLarge")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"7", b"[" * 100_000, b'{"model": "wan26_image"}'])
def test_a_body_that_is_not_a_request_is_a_400(caller: Caller, body: bytes) -> None:
    """What is not a JSON object, or lacks the fields, is refused."""
    assert caller.request("POST", SUBMIT["gateway"], content=body).json()["error"]["code"] == "invalid_parameter"


def test_texts_are_cut_silently_and_a_forgotten_n_is_as_expensive_as_at_the_service(caller: Caller) -> None:
    """What exceeds 2000 or 500 code points does not count; the gateway documents 1 as the default of n, DashScope 4."""
    assert len(caller.made(text="狐" * 2050, negative_prompt="x" * 501).request.prompt) == 2000
    assert [caller.made(provider, images=[PICTURE]).request.images_n for provider in PROVIDERS] == [1, 4]
