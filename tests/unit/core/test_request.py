"""Every rule of a request, all problems at once, and hashes that never change."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.errors import RequestError
from wan_notebook.images import InputImage, PendingImage
from wan_notebook.models import MODELS, TASKS_PER_CALL_MAX
from wan_notebook.request import ImageRequest, fields_of, hash_of_canonical
from wan_notebook.validation import Mode, Seeds, expected_size, name_problems, size_from_image, split_seeds

SEED_MAX = MODELS["wan2.6-image"].seed_max


def picture(name: str = "ref", width_px: int = 900, height_px: int = 1200, identity: Any = "bytes:sha256:00") -> Any:
    """Return an input of a given shape."""
    return InputImage(name=name, identity=identity, data=b"x", mime="image/png", width_px=width_px, height_px=height_px)


def problems(**fields: Any) -> dict[str, str]:
    """Return the problems of a request by field."""
    with pytest.raises(RequestError) as caught:
        ImageRequest(**{"prompt": "a fox", **fields})
    return {problem.field: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prompt": "  \n"}, "prompt", "must not be empty"),
        ({"prompt": "x" * 2001}, "prompt", "2001 characters"),
        ({"prompt": "half \ud800"}, "prompt", "lone surrogate"),
        ({"negative_prompt": "x" * 501}, "negative_prompt", "Shorten it by 1"),
        ({"images": [picture()] * 5}, "images", "at most 4"),
        ({"images": [picture()] * 2, "interleave": True}, "images", "at most 1"),
        ({"n": 0}, "n", "1 to 200"),
        ({"n": 5, "images": [picture()]}, "n", "1 to 4"),
        ({"n": 2, "interleave": True}, "n", "max_images"),
        ({"n": "three"}, "n", "whole number"),
        ({"max_images": 2}, "max_images", "illustrated text"),
        ({"max_images": 6, "interleave": True}, "max_images", "1 to 5"),
        ({"prompt_extend": True}, "prompt_extend", "only edits"),
        ({"seed": -1}, "seed", "2147483647"),
        ({"seed": 1.5}, "seed", "whole number"),
        ({"size": (1280, 720, 3)}, "size", "(1280, 720)."),
        ({"size": "banana"}, "size", "'banana': not a valid size"),
        ({"size": "100x100"}, "size", "10,000 pixels"),
        ({"size": "5000x100"}, "size", "1:4 and 4:1"),
        ({"size": "2K"}, "size", "edit the result at 2K"),
        ({"size": "1K", "interleave": True}, "size", "size in pixels"),
        ({"size": "1281x1280"}, "size", "1280×1280"),
        ({"size": "2049x2048", "images": [picture()]}, "size", "2048×2048"),
        ({"model": "wan3"}, "model", "wan2.6-image"),
        ({"sise": "1K"}, "sise", "not a parameter."),
    ],
)
def test_each_rule_names_field_value_and_hint(fields: dict[str, Any], field: str, words: str) -> None:
    """A broken rule says which field, which value, and what to do."""
    assert words in problems(**fields)[field]


def test_an_error_repeats_plain_values_only() -> None:
    """The repr of an unknown object may hold anything, a person's environment for one; its type is enough."""
    secretive = type("Secretive", (), {"__repr__": lambda _: "TOKEN"})()
    found = problems(prompt=secretive, n={"TOKEN": 1}, size=[secretive])
    assert "TOKEN" not in str(found)
    assert "<Secretive>" in found["prompt"]


@pytest.mark.parametrize(
    "size",
    [
        *("1280*720", "1280x720", "1280X720", "1280×720", " 1280 x 720 ", "16:9"),
        *("(1280, 720)", "1280, 720", (1280, 720), [1280, 720], (np.int64(1280), np.int32(720))),
    ],
)
def test_a_size_is_read_as_people_write_it(size: Any) -> None:
    """Any separator, a ratio's name, a pair of numbers (as PIL's own size is): one form goes out."""
    assert ImageRequest(prompt="a", size=size).parameters()["size"] == "1280*720"


def test_each_field_is_sent_only_in_its_mode() -> None:
    """``n`` always; ``max_images`` only when interleaved, ``prompt_extend`` only when editing (WAN_API §1)."""
    edit = ImageRequest(prompt="a", images=[picture()], n=3).parameters()
    assert edit == {"enable_interleave": False, "watermark": False, "n": 3, "prompt_extend": True, "size": "1K"}
    for fields, most in (({}, 1), ({"interleave": True}, 5)):
        sent = ImageRequest(prompt="a", **fields).parameters()
        assert sent == {"enable_interleave": True, "watermark": False, "n": 1, "max_images": most}


@pytest.mark.parametrize(
    "fields",
    [
        {"size": "1280x720", "seed": 5, "watermark": True},
        {"images": [picture()], "n": 3, "size": "2K", "prompt_extend": False},
        {"images": [picture()]},
        {"interleave": True, "max_images": 3},
    ],
)
def test_what_was_sent_gives_back_the_request(fields: dict[str, Any]) -> None:
    """A request that is read from its record has the hash of the one that was sent: it is never paid again."""
    asked = ImageRequest(prompt="a", **fields)
    found = ImageRequest(prompt="a", images=asked.images, **fields_of(asked.parameters(), asked.mode))
    assert found.request_hash(with_seed=True) == asked.request_hash(with_seed=True)
    assert not {"prompt", "images"} & fields_of({"prompt": 1, "images": 2}, asked.mode).keys(), "of a foreign picture"


def test_the_last_of_consecutive_seeds_wraps() -> None:
    """Instead of leaving the range."""
    assert [task.seed for task in ImageRequest(prompt="a", n=3).split(SEED_MAX - 1)] == [SEED_MAX - 1, SEED_MAX, 0]


def test_the_expected_size_follows_the_last_image() -> None:
    """The card says which shape the result takes; ``like`` needs one finished picture."""
    request = ImageRequest(prompt="a", images=[picture("a", 500, 500), picture("b"), picture("ref")])
    story = ImageRequest(prompt="a", images=[picture(width_px=640, height_px=480)], interleave=True)
    pending = PendingImage("fox", "a3f9c2d1e0")

    assert expected_size(request) == (1108, 1478, "shape of image 3 (ref)")
    assert expected_size(ImageRequest(prompt="a")) == (1280, 1280, "default")
    assert expected_size(ImageRequest(prompt="a", size="1000x1000")) == (992, 992, "as asked")
    assert expected_size(story) == (640, 480, "shape of image 1 (ref)")
    assert expected_size(ImageRequest(prompt="a", images=[pending])) is None
    assert size_from_image([picture()], shown="ref", size="2K", mode=Mode.EDIT) == ("1760*2352", [])
    for found, words in (([picture()] * 2, "holds 2 pictures"), ([pending], "%wan wait")):
        assert words in str(size_from_image(found, shown="ref", size=None, mode=Mode.EDIT)[1][0])


# Hashes --------------------------------------------------------------------------------------------------------------


def test_a_hash_ignores_names_and_knows_pictures() -> None:
    """Renaming an input changes nothing; other bytes, another order or another parameter do."""
    one, two = picture(identity="bytes:sha256:01"), picture(identity="bytes:sha256:02")

    def hashed(*, with_seed: bool = False, **fields: Any) -> str:
        return ImageRequest(**{"prompt": "a", "images": [one, two], **fields}).request_hash(with_seed=with_seed)

    base = hashed()
    stored = ImageRequest(prompt="a", images=[one, two]).canonical(with_seed=False)
    assert hash_of_canonical(dict(reversed(stored.items()))) == base  # in whatever order the ledger gives its keys
    assert hashed(images=[picture("x", identity=one.identity), two]) == base
    assert hashed(size="1K") == hashed(seed=5) == hashed(prompt_extend=True) == base
    others = [hashed(images=[two, one]), hashed(n=2), hashed(prompt_extend=False), hashed(seed=5, with_seed=True)]
    assert len({base, *others}) == 5


# Whole calls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_seeds", "n", "mode", "values", "words"),
    [
        (5, 2, Mode.TEXT_TO_IMAGE, (5,), ""),
        (range(5, 8), 1, Mode.TEXT_TO_IMAGE, (5, 6, 7), ""),
        (np.arange(2), 1, Mode.TEXT_TO_IMAGE, (0, 1), ""),
        ([], 1, Mode.TEXT_TO_IMAGE, (), "the list is empty"),
        (range(TASKS_PER_CALL_MAX + 1), 1, Mode.EDIT, None, "more than 200"),
        ([1, 2], 2, Mode.TEXT_TO_IMAGE, (1, 2), "overlap"),
        ([1, 2], 2, Mode.EDIT, (1, 2), ""),
        (range(100), 3, Mode.EDIT, None, "more than 200"),
    ],
)
def test_seeds_of_a_call(given_seeds: Any, n: int, mode: Mode, values: Any, words: str) -> None:
    """Ranges, lists and arrays are several seeds; what collides or is too much is said before anything is sent."""
    seeds = split_seeds(given_seeds, n=n, mode=mode)

    assert values is None or seeds.values == values
    assert all(type(value) is not np.int64 for value in seeds.values)
    assert (words in str(seeds.problems[0])) if words else not seeds.problems
    # Two equal tasks would be one job anyway.
    twice = split_seeds([5, 6, 5], n=1, mode=Mode.EDIT)
    assert twice == Seeds((5, 6), ("a seed that is listed twice is asked once",))


@pytest.mark.parametrize(
    ("name", "words"), [("fox_1", "[]"), ("class", "not a valid"), ("_x", "underscore"), ("print", "would hide")]
)
def test_a_name_is_one_that_a_notebook_can_use(name: str, words: str) -> None:
    """No keyword, no built-in, nothing that IPython sets itself."""
    assert words in str(name_problems(name, field="--as"))


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
