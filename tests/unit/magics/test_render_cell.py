"""A request written as a cell reads back as the same request, also through IPython."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from tests.unit.magics.names import Pictures, call, picture
from wan_notebook.errors import RequestError
from wan_notebook.magics import quoted_path, transform_lines, write_cell
from wan_notebook.request import ImageRequest
from wan_notebook.template import escape

NAMES = Pictures(d={"key": "1", "a b": "2"}, photo="1", a=["1", "2"], f=lambda *_: "1")


def back(cell):
    """Read a cell, once directly and once through IPython, which must agree; return its submission."""
    manager = TransformerManager()
    manager.cleanup_transforms.append(transform_lines)
    magic, line, body = (one.value for one in ast.parse(manager.transform_cell(str(cell))).body[0].value.args)
    assert magic == "wan"
    direct, _ = call(cell.line, cell.body, NAMES)
    assert call(line, body, NAMES)[0] == direct
    return direct


@pytest.mark.parametrize(
    "prompt",
    [
        *("%%time\nfoo?", "!ls", "a\n  >>> b\n... c", "...: a\nIn [1]: b", "a\\\nb\\", "Negative prompt: dark"),
        *(
            "{name} {{x}} } {",
            "\n\t\na ",
            "a\r\nb\rc\u2028d\x0b\x85\x00",
            "\x1b[2J\u202ea\u2066",
            "a\nSteps: 20, Sampler: x",
        ),
    ],
)
def test_awkward_texts_come_back(prompt):
    """Whatever a prompt holds, the cell that is written asks for exactly that, in the order that is seen."""
    for negative in ("", "two\nlines", " edges ", "{x}", "Negative prompt: y", ">>> x", "\u2028", "Steps: 1, A: b"):
        cell = write_cell(escape(prompt), escape(negative))
        asked = ImageRequest(prompt=prompt, negative_prompt=negative)
        assert back(cell).requests == (asked,), negative
        assert not set(str(cell)) & set("\x1b\u202e\u2066")


@pytest.mark.parametrize(
    ("given_text", "written"),
    [
        ('d["a b"]', 'd["a b"]'),
        ("f(1) if a else f(2)", "(f(1) if a else f(2))"),
        ("my cat.png", '"my cat.png"'),
        ("-x.png", '"-x.png"'),
        ("https://example.org/a.png", "https://example.org/a.png"),
    ],
)
def test_pictures_are_written_so_that_they_are_one_word(given_text, written):
    """An expression with spaces gets brackets, a path gets quotes, and is never taken for an expression."""
    for path in ("x y", "it's a.png", 'a "b" c.png', "plain.png", "a[1].png", given_text):
        assert call(f"-i {quoted_path(path)}", names=NAMES)[0].requests[0].images[0].name == path.rpartition("/")[2]
    cell = write_cell("x", images=[given_text])
    assert str(cell) == f"%%wan -i {written}\nx"
    assert len(back(cell).requests[0].images) == 1


nasty = st.sampled_from(
    ["{", "}", "\n", "\r", "\\", '"', "'", "%", ">>> ", "...", "Negative prompt: ", "\nSteps: 1, A: b", "?", "\u2028"]
)
texts = st.lists(st.one_of(nasty, st.text(max_size=5)), max_size=10).map("".join)


@st.composite
def requests(draw):
    """Make a request that the rules allow, of any mode."""
    mode = draw(st.sampled_from(["edit", "text", "illustrated", "set"]))
    images = tuple(picture("photo") for _ in range({"edit": draw(st.integers(1, 4))}.get(mode, 0)))
    fields = {
        "prompt": draw(texts.filter(str.strip)),
        "negative_prompt": draw(texts),
        "images": images,
        "watermark": draw(st.booleans()),
        "seed": draw(st.none() | st.integers(0, 2**31 - 1)),
        "size": draw(st.none() | st.sampled_from(["16:9", "1280x720", "1280 * 720", "1100×1100"])),
    }
    if mode == "edit":
        fields |= {"n": draw(st.integers(1, 4)), "prompt_extend": draw(st.none() | st.booleans())}
    elif mode == "set":
        fields |= {"model": "wan2.7-image", "sequential": True, "n": draw(st.integers(2, 12)), "negative_prompt": ""}
        fields |= {"size": draw(st.none() | st.sampled_from(["1K", "2K", "16:9"]))}
    elif mode == "text" and draw(st.booleans()):
        model = draw(st.sampled_from(["wan2.6-t2i", "wan2.7-image-pro"]))
        field = {"wan2.6-t2i": "prompt_extend"}.get(model, "thinking")
        fields |= {"model": model, "n": draw(st.integers(1, 4)), field: draw(st.none() | st.just(False))}
        fields |= {"size": draw(st.none() | st.just("9:16")), "negative_prompt": ""}
    elif mode == "text":
        fields |= {"n": draw(st.integers(1, 100))}
    else:
        fields |= {"interleave": True, "max_images": draw(st.none() | st.integers(1, 5))}
    try:
        return ImageRequest(**fields)
    except RequestError:  # a lone surrogate
        return ImageRequest(**{**fields, "prompt": "a fox", "negative_prompt": ""})


@given(requests(), st.lists(texts, max_size=2, unique=True), st.sampled_from(["", "fox_1", "größe"]))
def test_every_request_comes_back(asked, tags, name):
    """Copy as cell, paste, run: the same request, the same hash, never paid again."""
    options = dict(asked) | {"images": ["photo"] * len(asked.images), "name": name, "tags": map(escape, tags)}
    cell = write_cell(escape(options.pop("prompt")), escape(options.pop("negative_prompt")), **options)
    found = back(cell)
    assert found.requests == (asked,)
    assert found.requests[0].request_hash(with_seed=True) == asked.request_hash(with_seed=True)
    assert (found.name, found.tags) == (name, tuple(tags))
