"""Every rule of a request (WAN_API §1) is refused in the words of the service, with the name of the field."""

import json
from typing import Any

import pytest

from tests.unit.simulator.conftest import PROVIDERS, SUBMIT, Caller, data_url, request_of

PICTURE = "https://example.com/photo.jpg"
CONTENT = "input.messages[0].content"
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "five images in editing": (CONTENT, {"images": [PICTURE] * 5}),
    "no image in editing": (CONTENT, {"enable_interleave": False}),
    "two images in interleaved mode": (CONTENT, {"images": [PICTURE] * 2, "enable_interleave": True}),
    "an empty text": (f"{CONTENT}[0]", {"text": " "}),
    "a text that is a number": (f"{CONTENT}[0].text", {"text": 7}),
    "n of 0": ("parameters.n", {"images": [PICTURE], "n": 0}),
    "n of 5": ("parameters.n", {"images": [PICTURE], "n": 5}),
    "n of 1.0": ("parameters.n", {"images": [PICTURE], "n": 1.0}),
    "n that is true": ("parameters.n", {"images": [PICTURE], "n": True}),
    "n of 2 in interleaved mode": ("parameters.n", {"n": 2}),
    "max_images of 6": ("parameters.max_images", {"max_images": 6}),
    "a negative seed": ("parameters.seed", {"seed": -1}),
    "a seed of 2**31": ("parameters.seed", {"seed": 2**31}),
    "a size with x": ("parameters.size", {"size": "1280x1280"}),
    "a tier without an image": ("parameters.size", {"size": "2K"}),
    "a size too small": ("parameters.size", {"size": "767*768"}),
    "a size too large for interleaved mode": ("parameters.size", {"size": "1281*1281"}),
    "a size too large for editing": ("parameters.size", {"images": [PICTURE], "size": "2049*2049"}),
    "a size too long": ("parameters.size", {"size": "2560*600"}),
    "a size that is a number": ("parameters.size", {"size": 1280}),
    "a mode that is a string": ("parameters.enable_interleave", {"enable_interleave": "yes"}),
    "a watermark that is a number": ("parameters.watermark", {"watermark": 1}),
    "a negative prompt that is a list": ("parameters.negative_prompt", {"negative_prompt": ["blurred"]}),
    "an image that is a path": (f"{CONTENT}[1].image", {"images": ["photo.jpg"]}),
    "an image of an unknown type": (f"{CONTENT}[1].image", {"images": ["data:image/tiff;base64,AAAA"]}),
    "an image in broken base64": (f"{CONTENT}[1].image", {"images": ["data:image/png;base64,@@"]}),
    "an image with transparency": (f"{CONTENT}[1].image", {"images": [data_url(mode="RGBA")]}),
    "an image with a transparent colour": (f"{CONTENT}[1].image", {"images": [data_url(mode="P", transparency=0)]}),
    "an image of 239 pixels": (f"{CONTENT}[1].image", {"images": [data_url((239, 400))]}),
    "an image of 8001 pixels": (f"{CONTENT}[1].image", {"images": [data_url((8001, 240), mode="L")]}),
    "an image of 90 megapixels": (f"{CONTENT}[1].image", {"images": [data_url((9500, 9500), mode="1")]}),
    "an image of 11 MB": (f"{CONTENT}[1].image", {"images": [data_url((2000, 2000), kind="BMP")]}),
    "an image that is cut": (f"{CONTENT}[1].image", {"images": [data_url(kind="BMP")[:4000]]}),
    "a GIF": (f"{CONTENT}[1].image", {"images": [data_url(kind="GIF", mode="P").replace("image/gif", "image/png")]}),
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
    assert dashscope.json() == {
        "code": "InvalidParameter",
        "message": error["message"],
        "request_id": dashscope.headers["x-request-id"],
    }
    assert len(gateway.content) < 400
    assert caller.simulator.tasks_created == 0


def test_pictures_that_together_exceed_16_mib_are_a_413(caller: Caller) -> None:
    """The limit is on all pictures of a request, decoded; each alone may have 10 MB."""
    image = data_url((1700, 1700), kind="BMP")
    reply = caller.submit("dashscope", request_of("dashscope", images=[image] * 2))
    assert reply.status_code == 413
    assert reply.json()["code"] == "BadRequest.TooLarge"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"7", b"[" * 100_000, b'{"model": "wan26_image"}'])
def test_a_body_that_is_not_a_request_is_a_400(caller: Caller, body: bytes) -> None:
    """What is not a JSON object, or lacks the fields, is refused."""
    assert caller.request("POST", SUBMIT["gateway"], content=body).json()["error"]["code"] == "invalid_parameter"


def test_exactly_one_message_with_exactly_one_text(caller: Caller) -> None:
    """The message array is single-turn, and its content holds one text and images."""
    text, both = {"text": "a"}, {"text": "a", "image": PICTURE}
    messages = [{"role": "user", "content": content} for content in ("a", ["a"], [text, text], [both])]
    for wrong in ([], [{"role": "user", "content": [text]}] * 2, [{"role": "system", "content": [text]}], *messages):
        document = {**request_of(), "input": {"messages": wrong if isinstance(wrong, list) else [wrong]}}
        assert caller.submit("gateway", document).json()["error"]["message"].startswith("input.messages")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_models_are_known_by_the_name_of_their_service(caller: Caller, provider: str) -> None:
    """The name that the other service uses is a model that does not exist."""
    other = request_of("dashscope" if provider == "gateway" else "gateway")["model"]
    assert "does not exist" in caller.submit(provider, {**request_of(provider), "model": other}).text


@pytest.mark.parametrize(
    ("size", "image", "expected"),
    [
        (None, None, (1280, 1280)),
        ("1344*576", None, (1344, 576)),
        ("768*768", None, (768, 768)),
        ("1K", (500, 500), (1280, 1280)),
        (None, (600, 800), (1104, 1472)),
        ("2K", (800, 600), (2368, 1776)),
        ("1000*1001", (500, 500), (1008, 1008)),
    ],
)
def test_sizes_follow_the_rules(caller: Caller, size: str | None, image: Any, expected: tuple[int, int]) -> None:
    """Tiers have the shape of the last input; explicit sizes go to the nearest multiple of 16."""
    task = caller.made(images=[data_url((300, 900)), data_url(image)] if image else [], size=size)
    assert (task.request.width_px, task.request.height_px) == expected


@pytest.mark.parametrize(("image", "expected"), [((1000, 700), (1000, 700)), ((1500, 2000), (1104, 1472))])
def test_an_illustrated_text_follows_its_input(caller: Caller, image: Any, expected: tuple[int, int]) -> None:
    """An input of up to 1280×1280 pixels in all keeps its size, a larger one is reduced to about that."""
    task = caller.made(images=[data_url(image, mode="1")], enable_interleave=True)
    assert (task.request.width_px, task.request.height_px) == expected


def test_a_turned_photograph_has_the_shape_that_people_see(caller: Caller) -> None:
    """The orientation in Exif decides which side is the width."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    request = caller.made(images=[data_url((640, 480), kind="JPEG", exif=exif)]).request
    assert request.width_px < request.height_px


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_the_documented_formats_are_accepted(caller: Caller, kind: str) -> None:
    """JPEG, PNG, BMP and WEBP pass, grey pictures too."""
    for mode in ("RGB", "L"):
        assert caller.submit("gateway", request_of(images=[data_url(kind=kind, mode=mode)])).status_code == 200


def test_texts_are_cut_silently(caller: Caller) -> None:
    """What exceeds 2000 or 500 code points does not count, and is not an error; half a surrogate pair is replaced."""
    request = caller.made(text="狐" * 2050, negative_prompt="x" * 501).request
    assert (len(request.prompt), len(request.negative_prompt)) == (2000, 500)
    body = json.dumps(request_of(text="a \ud83e fox")).encode()
    assert caller.request("POST", SUBMIT["gateway"], content=body).status_code == 200


@pytest.mark.parametrize(("provider", "default_n"), [("gateway", 1), ("dashscope", 4)])
def test_a_forgotten_n_is_as_expensive_as_at_the_service(caller: Caller, provider: str, default_n: int) -> None:
    """The gateway documents 1 as the default of n, DashScope 4."""
    assert caller.made(provider, images=[PICTURE]).request.images_n == default_n
