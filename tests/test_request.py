"""Every rule of a request, and that all problems come at once."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook import catalog
from wan_notebook.errors import RequestError
from wan_notebook.inputs import InputImage, PendingImage
from wan_notebook.request import ImageRequest
from wan_notebook.rules import Mode, expected_size, parse_size, size_like


def picture(
    name: str = "ref", width_px: int = 900, height_px: int = 1200, identity: str = "bytes:sha256:00"
) -> InputImage:
    """Return an input of a given shape."""
    return InputImage(name=name, identity=identity, data=b"x", mime="image/png", width_px=width_px, height_px=height_px)


def problems(**fields: Any) -> dict[str, str]:
    """Return the problems of a request by field."""
    with pytest.raises(RequestError) as caught:
        ImageRequest(**{"prompt": "a fox", **fields})
    return {p.field: str(p) for p in caught.value.problems}


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prompt": "  \n"}, "prompt", "empty"),
        ({"prompt": "x" * 2001}, "prompt", "2001 characters"),
        ({"negative_prompt": "x" * 501}, "negative_prompt", "Shorten it by 1"),
        ({"images": [picture()] * 5}, "images", "1 to 4"),
        ({"images": [picture()] * 2, "interleave": True}, "images", "at most 1"),
        ({"n": 0}, "n", "1 to 200"),
        ({"n": 5, "images": [picture()]}, "n", "1 to 4"),
        ({"n": 2, "interleave": True}, "n", "--max-images"),
        ({"n": "three"}, "n", "whole number"),
        ({"n": True}, "n", "whole number"),
        ({"max_images": 2}, "max_images", "illustrated text"),
        ({"max_images": 6, "interleave": True}, "max_images", "1 to 5"),
        ({"prompt_extend": True}, "prompt_extend", "editing"),
        ({"seed": -1}, "seed", "2147483647"),
        ({"seed": 2**31}, "seed", "2147483647"),
        ({"seed": 1.5}, "seed", "whole number"),
        ({"size": "banana"}, "size", "16:9"),
        ({"size": "100x100"}, "size", "10,000 pixels"),
        ({"size": "5000x100"}, "size", "1:4 to 4:1"),
        ({"size": "2K"}, "size", "edit the result at 2K"),
        ({"size": "1K", "interleave": True}, "size", "no tiers"),
        ({"size": "1281x1280"}, "size", "1280×1280"),
        ({"size": "2049x2048", "images": [picture()]}, "size", "2048×2048"),
        ({"model": "wan3"}, "model", "wan2.6-image"),
        ({"sise": "1K"}, "sise", "no field"),
    ],
)
def test_each_rule_names_field_value_and_hint(fields: dict[str, Any], field: str, words: str) -> None:
    """A broken rule says which field, which value, and what to do."""
    assert words in problems(**fields)[field]


def test_all_problems_come_together() -> None:
    """Type errors and broken rules of one request are one error."""
    found = problems(prompt="", n="x", seed=-1, size="banana", images=[picture()] * 5)

    assert set(found) == {"prompt", "n", "seed", "size", "images"}


def test_characters_are_code_points() -> None:
    """A Chinese character and an emoji count as one each (WAN_API §1)."""
    assert ImageRequest(prompt="狐" * 2000).prompt
    assert "2001" in problems(prompt="🦊" * 2001)["prompt"]


@pytest.mark.parametrize("size", ["1280*720", "1280x720", "1280X720", "1280×720", " 1280 x 720 ", "16:9"])
def test_all_separators_and_ratio_names_mean_the_same_size(size: str) -> None:
    """People write sizes in many ways; one goes out."""
    assert ImageRequest(prompt="a", size=size).parameters()["size"] == "1280*720"


def test_each_field_is_sent_only_in_its_mode() -> None:
    """``n`` always; ``max_images`` only when interleaved, ``prompt_extend`` only when editing (WAN_API §1)."""
    edit = ImageRequest(prompt="a", images=[picture()], n=3).parameters()
    text = ImageRequest(prompt="a").parameters()
    story = ImageRequest(prompt="a", interleave=True).parameters()

    assert edit == {"enable_interleave": False, "watermark": False, "n": 3, "prompt_extend": True, "size": "1K"}
    assert text == {"enable_interleave": True, "watermark": False, "n": 1, "max_images": 1}
    assert story == {"enable_interleave": True, "watermark": False, "n": 1, "max_images": 5}


def test_several_pictures_from_text_are_tasks_with_consecutive_seeds() -> None:
    """Seeds s … s+n−1, each task one picture; the last seed wraps instead of leaving the range."""
    tasks = ImageRequest(prompt="a", n=3).split(catalog.SEED_MAX - 1)

    assert [task.seed for task in tasks] == [catalog.SEED_MAX - 1, catalog.SEED_MAX, 0]
    assert {task.n for task in tasks} == {1}
    assert len(ImageRequest(prompt="a", images=[picture()], n=3).split(5)) == 1


def test_the_expected_size_follows_the_last_image() -> None:
    """The card says which shape the result takes."""
    request = ImageRequest(prompt="a", images=[picture("a", 500, 500), picture("b"), picture("ref")])

    assert expected_size(request) == (1108, 1478, "shape of image 3 (ref)")
    assert expected_size(ImageRequest(prompt="a")) == (1280, 1280, "default")
    assert expected_size(ImageRequest(prompt="a", images=[picture(width_px=640, height_px=480)], interleave=True)) == (
        640,
        480,
        "shape of image 1 (ref)",
    )
    assert expected_size(ImageRequest(prompt="a", images=[PendingImage("fox", "a3f")])) is None


def test_like_gives_an_allowed_size_in_the_shape_of_a_picture() -> None:
    """--like sends an explicit size, a multiple of 16 a side, within the limits of its mode."""
    assert size_like(picture(), None, Mode.EDIT) == "1104*1472"
    assert size_like(picture(), "2K", Mode.EDIT) == "1760*2352"
    assert size_like(picture(), "2K", Mode.TEXT_TO_IMAGE) == "1104*1472"


def test_a_fingerprint_ignores_names_and_knows_pictures() -> None:
    """Renaming an input changes nothing; other bytes, another order or another parameter do."""
    one = picture(identity="bytes:sha256:01")
    two = picture(identity="bytes:sha256:02")
    base = ImageRequest(prompt="a", images=[one, two]).fingerprint(with_seed=False)

    assert (
        ImageRequest(prompt="a", images=[picture("x", identity=one.identity), two]).fingerprint(with_seed=False) == base
    )
    assert ImageRequest(prompt="a", images=[two, one]).fingerprint(with_seed=False) != base
    assert ImageRequest(prompt="a", images=[one, two], n=2).fingerprint(with_seed=False) != base
    assert ImageRequest(prompt="a", images=[one, two], size="1K").fingerprint(with_seed=False) == base
    assert ImageRequest(prompt="a", images=[one, two], seed=5).fingerprint(with_seed=False) == base
    assert ImageRequest(prompt="a", images=[one, two], seed=5).fingerprint(with_seed=True) != base


def test_a_fingerprint_never_changes_with_the_code() -> None:
    """A notebook of last year finds its pictures: this hash is for ever."""
    request = ImageRequest(prompt="a red fox", size="16:9", seed=5)

    assert request.fingerprint(with_seed=True) == FOX


FOX = "wan1:sha256:92d3cae38922b277fe7dc16e6ec0bbafa534b07c0dd84d33e697d1a7e1b869f8"


def test_integers_of_numpy_are_integers() -> None:
    """A seed from ``np.arange`` is a seed."""
    assert ImageRequest(prompt="a", seed=np.int64(5)).seed == 5


@given(st.text(max_size=30))
def test_a_size_is_read_or_refused(text: str) -> None:
    """Whatever is typed as a size is a tier, two numbers, or no size."""
    found = parse_size(text)
    assert found is None or isinstance(found, str | tuple)


@given(
    st.dictionaries(
        st.sampled_from([*ImageRequest.model_fields, "other"]),
        st.one_of(st.none(), st.integers(), st.text(), st.booleans(), st.floats(), st.lists(st.integers(), max_size=2)),
        max_size=6,
    )
)
def test_any_fields_make_a_request_or_a_request_error(fields: dict[str, Any]) -> None:
    """Nothing but our own error comes out, whatever goes in."""
    with suppress(RequestError):
        ImageRequest(**fields)
