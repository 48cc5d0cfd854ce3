"""Every rule of a request (WAN_API §1), refused with the service's own shapes and the name of the field."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wan_notebook.simulator.errors import ApiError
from wan_notebook.simulator.inputs import read_input
from wan_notebook.simulator.sizes import output_size
from wan_notebook.simulator.validate import GATEWAY, parse_json, read_order, unwrap

PICTURE = "https://example.com/photo.jpg"
TEXT = "input.messages[0].content"

REFUSED = {
    "five images in editing": (TEXT, {"images": [PICTURE] * 5}),
    "no image in editing": (TEXT, {"enable_interleave": False}),
    "two images in interleaved mode": (TEXT, {"images": [PICTURE] * 2, "enable_interleave": True}),
    "an empty text": (f"{TEXT}[0].text", {"text": " "}),
    "a text that is no string": (f"{TEXT}[0].text", {"text": 7}),
    "n of 0": ("parameters.n", {"images": [PICTURE], "n": 0}),
    "n of 5": ("parameters.n", {"images": [PICTURE], "n": 5}),
    "n of 1.0": ("parameters.n", {"images": [PICTURE], "n": 1.0}),
    "n that is true": ("parameters.n", {"images": [PICTURE], "n": True}),
    "n of 2 in interleaved mode": ("parameters.n", {"n": 2}),
    "max_images of 0": ("parameters.max_images", {"max_images": 0}),
    "max_images of 6": ("parameters.max_images", {"max_images": 6}),
    "a negative seed": ("parameters.seed", {"seed": -1}),
    "a seed of 2**31": ("parameters.seed", {"seed": 2**31}),
    "a seed of 1.5": ("parameters.seed", {"seed": 1.5}),
    "a size with x": ("parameters.size", {"size": "1280x1280"}),
    "a size that is a word": ("parameters.size", {"size": "banana"}),
    "a tier without an image": ("parameters.size", {"size": "2K"}),
    "a size too small": ("parameters.size", {"size": "100*100"}),
    "a size too large for interleaved mode": ("parameters.size", {"size": "1281*1281"}),
    "a size too large for editing": ("parameters.size", {"images": [PICTURE], "size": "2049*2049"}),
    "a size too long": ("parameters.size", {"size": "2560*600"}),
    "a size that is a number": ("parameters.size", {"size": 1280}),
    "a mode that is a string": ("parameters.enable_interleave", {"enable_interleave": "yes"}),
    "a watermark that is a number": ("parameters.watermark", {"watermark": 1}),
    "a rewrite flag that is a string": ("parameters.prompt_extend", {"prompt_extend": "no"}),
    "a negative prompt that is a list": ("parameters.negative_prompt", {"negative_prompt": ["blurred"]}),
    "an image that is a path": (f"{TEXT}[1].image", {"images": ["photo.jpg"]}),
    "an image of an unknown type": (f"{TEXT}[1].image", {"images": ["data:image/tiff;base64,AAAA"]}),
    "an image that is no base64": (f"{TEXT}[1].image", {"images": ["data:image/png;base64,@@"]}),
}


@pytest.mark.parametrize("dialect", ["gateway", "dashscope"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_rule_is_a_400_that_names_its_field(caller, request_of, dialect, case):
    """Each rule is refused in the dialect's own shape, and creates no task."""
    field, wrong = REFUSED[case]
    response = caller.submit(dialect, request_of(dialect, **wrong))
    assert response.status_code == 400
    reply = response.json()
    if dialect == "gateway":
        assert reply == {"error": {"code": "invalid_request", "message": reply["error"]["message"]}}
        message = reply["error"]["message"]
    else:
        assert set(reply) == {"code", "message", "request_id"}
        assert reply["code"] == "InvalidParameter"
        message = reply["message"]
    assert message.startswith(f"{field}: ")
    assert caller.simulator.tasks_created == 0


@pytest.mark.parametrize("dialect", ["gateway", "dashscope"])
def test_models_are_known_by_the_name_of_their_service(caller, request_of, dialect):
    """The name that the other service uses is a model that does not exist."""
    other = {"gateway": "dashscope", "dashscope": "gateway"}[dialect]
    response = caller.submit(dialect, {**request_of(dialect), "model": request_of(other)["model"]})
    assert response.status_code == 400
    assert "does not exist" in response.text
    assert "model" in response.text


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"7", b'{"model": "wan26_image"}', b'{"model": "wan26_image", "input": []}']
)
def test_a_body_that_is_no_request_is_a_400(caller, body):
    """What is no JSON object, or lacks the fields, is refused, not a crash."""
    response = caller.request("POST", "/model/v1/generation", content=body, headers=caller.headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "input.messages"),
        ([{"role": "user", "content": [{"text": "a"}]}] * 2, "input.messages"),
        ([{"role": "system", "content": [{"text": "a"}]}], "input.messages[0].role"),
        ([{"role": "user", "content": "a"}], TEXT),
        ([{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}], TEXT),
        ([{"role": "user", "content": [{"text": "a", "image": PICTURE}]}], f"{TEXT}[0]"),
        ([{"role": "user", "content": ["a"]}], f"{TEXT}[0]"),
    ],
)
def test_exactly_one_message_with_exactly_one_text(caller, messages, field):
    """The message array is single-turn, and its content holds one text and images."""
    document = {"model": "wan26_image", "input": {"messages": messages}}
    message = caller.submit("gateway", document).json()["error"]["message"]
    assert message.startswith(f"{field}: ")


def test_text_is_cut_silently_not_refused(caller, request_of):
    """Beyond 2000 code points the service cuts: what is beyond does not count, nor is it an error."""
    pictures = []
    for text in ("狐" * 2000, "狐" * 2000 + "!" * 50):
        task_id = caller.task("gateway", request_of(text=text, max_images=1, negative_prompt="x" * 501))
        caller.clock.advance(10)
        pictures.append(caller.fetch(caller.result_urls("gateway", task_id)[0]).content)
    assert pictures[0] == pictures[1]


class TestImages:
    """What an input image must be."""

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
    def test_the_documented_formats_are_accepted(self, caller, request_of, data_url, kind):
        """JPEG, PNG, BMP and WEBP pass, as grey pictures too."""
        for mode in ("RGB", "L"):
            assert caller.submit("gateway", request_of(images=[data_url(kind=kind, mode=mode)])).status_code == 200

    @pytest.mark.parametrize("case", ["gif", "alpha", "grey alpha", "239 px", "8001 px", "cut", "text", "11 MB"])
    def test_what_breaks_a_rule_is_refused(self, data_url, case):
        """Formats, transparency, sides, size in bytes, and files that cannot be decoded."""
        source = {
            "gif": lambda: data_url(kind="GIF", mode="P").replace("image/gif", "image/png"),
            "alpha": lambda: data_url(mode="RGBA"),
            "grey alpha": lambda: data_url(mode="LA"),
            "239 px": lambda: data_url((239, 400)),
            "8001 px": lambda: data_url((8001, 240), mode="L"),
            "cut": lambda: data_url(kind="BMP")[:4000],
            "text": lambda: "data:image/png;base64," + base64.b64encode(b"hello").decode(),
            "11 MB": lambda: data_url((2000, 2000), kind="BMP"),
        }[case]()
        with pytest.raises(ApiError, match=r"^here: "):
            read_input(source, "here")

    def test_a_transparent_palette_is_transparency(self, data_url):
        """A PNG with a transparent colour is a PNG with transparency."""
        with pytest.raises(ApiError, match="transparency"):
            read_input(data_url(mode="P", transparency=0), "here")

    def test_a_huge_picture_is_refused_by_its_header(self, data_url):
        """Sides beyond the limit are refused before anything is decoded, without a warning."""
        with pytest.raises(ApiError, match=r"9500\*9500"):
            read_input(data_url((9500, 9500), mode="1"), "here")

    def test_an_http_picture_is_never_fetched(self):
        """A URL stands for a picture of its own, always the same; no request leaves the process."""
        first, second = read_input(PICTURE, "here"), read_input(PICTURE, "here")
        assert first == second
        assert first.jpeg == b""

    def test_orientation_decides_the_shape(self, data_url):
        """A picture that its EXIF turns has the shape that people see."""
        picture = read_input(
            data_url(
                (640, 480), kind="JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
            ),
            "x",
        )
        assert (picture.width_px, picture.height_px) == (480, 640)


SIDES = st.integers(240, 8000)


class TestSizes:
    """The size of results."""

    @pytest.mark.parametrize(
        ("size", "mode", "last_input", "expected"),
        [
            (None, "interleave", None, (1280, 1280)),
            (None, "interleave", (1000, 700), (1000, 700)),
            (None, "interleave", (3000, 4000), (1104, 1472)),
            (None, "edit", (3000, 4000), (1104, 1472)),
            ("1K", "edit", (500, 500), (1280, 1280)),
            ("2K", "edit", (4000, 3000), (2368, 1776)),
            ("1000*1001", "edit", (500, 500), (1008, 1008)),
            ("1344*576", "interleave", None, (1344, 576)),
            ("768*768", "interleave", None, (768, 768)),
        ],
    )
    def test_documented_sizes(self, size, mode, last_input, expected):
        """Tiers follow the last input, explicit sizes go to the nearest multiple of 16, interleaved follows."""
        assert output_size(size, mode=mode, last_input=last_input) == expected

    @pytest.mark.parametrize(
        ("size", "mode"),
        [("767*768", "interleave"), ("1280*1281", "interleave"), ("2048*2049", "edit"), ("1601*400", "edit")],
    )
    def test_one_pixel_beyond_a_limit_is_refused(self, size, mode):
        """The limits are exact: the rounding to the grid comes after them."""
        with pytest.raises(ApiError, match=r"parameters\.size"):
            output_size(size, mode=mode, last_input=(500, 500))

    @given(width=SIDES, height=SIDES, tier=st.sampled_from(["1K", "2K"]))
    def test_tiers_keep_shape_and_total(self, width, height, tier):
        """Any input gives about the tier's pixels, in its shape, on the grid."""
        total = {"1K": 1280, "2K": 2048}[tier] ** 2
        out_width, out_height = output_size(tier, mode="edit", last_input=(width, height))
        assert out_width % 16 == out_height % 16 == 0
        assert abs(out_width - (total * width / height) ** 0.5) <= 8 or out_width == 16
        assert abs(out_height - (total * height / width) ** 0.5) <= 8 or out_height == 16

    @given(width=st.integers(1, 6000), height=st.integers(1, 6000), mode=st.sampled_from(["edit", "interleave"]))
    def test_explicit_sizes_obey_total_and_aspect(self, width, height, mode):
        """A size is accepted exactly when total pixels and aspect ratio allow it."""
        most = {"edit": 2048, "interleave": 1280}[mode] ** 2
        allowed = 768**2 <= width * height <= most and max(width, height) <= 4 * min(width, height)
        try:
            output_size(f"{width}*{height}", mode=mode, last_input=(500, 500))
        except ApiError:
            assert not allowed
        else:
            assert allowed


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.floats(allow_nan=False)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "input", "messages", "role", "content", "text", "image", "params", "parameters", "n"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(input_field=JSON, parameters=JSON)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_no_request_crashes_the_checks(input_field, parameters):
    """Whatever JSON comes, it is an order or an error of the service, never a crash."""
    body = json.dumps({"model": "wan26_image", "input": input_field, "parameters": parameters}).encode()
    with contextlib.suppress(ApiError):
        order = read_order(unwrap(parse_json(body), "both"), GATEWAY, read_input)
        assert order.images_n >= 0


def test_half_a_surrogate_pair_is_text_too(caller, request_of):
    """A text that JSON allows and UTF-8 does not is served like any other."""
    body = json.dumps(request_of(text="a \ud83e fox", max_images=1)).encode()
    response = caller.request("POST", "/model/v1/generation", content=body, headers=caller.headers)
    assert response.status_code == 200
    caller.clock.advance(10)
    (url,) = caller.result_urls("gateway", response.json()["id"])
    assert caller.fetch(url).status_code == 200


def test_a_long_wrong_value_is_not_echoed_whole(caller, request_of):
    """An error shows enough of a wrong value to know it, not megabytes."""
    assert len(caller.submit("gateway", request_of(size="9" * 10_000)).content) < 300
