"""A request written as a cell reads back as the same request, also through IPython."""

from __future__ import annotations

import ast
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from wan_notebook.cell import read_cell
from wan_notebook.cell_text import cell_text, image_expression
from wan_notebook.errors import CellError, RequestError
from wan_notebook.inputs import InputImage
from wan_notebook.request import ImageRequest


class Anything:
    """Takes everything for a picture."""

    namespace = {"d": {"key": 1, "a b": 2}, "photo": 1, "a": [1, 2], "f": lambda *_: 1}  # noqa: RUF012

    def image(self, value, name):
        return (InputImage(name, f"test:{name}", b"data", "image/png", 640, 480),)

    def job_image(self, job_id, index, name):
        return self.image(job_id, name)[0]


def through_ipython(cell):
    """Return line and body as the magic gets them."""
    code = TransformerManager().transform_cell(cell)
    call = ast.parse(code).body[0].value
    magic, line, body = (argument.value for argument in call.args)
    assert magic == "wan"
    return line, body


def back(cell):
    """Read a cell's text, once directly and once through IPython, which must agree."""
    first, _, body = cell.partition("\n")
    direct = read_cell(first.removeprefix("%%wan"), body, Anything())
    assert read_cell(*through_ipython(cell), Anything()) == direct
    return direct


def test_only_what_is_not_the_default_is_written():
    """A recalled cell is as short as the one that a person would have typed."""
    assert cell_text(ImageRequest(prompt="A fox"), image_expressions=(), seed=None) == "%%wan\nA fox"


def test_a_full_cell_is_one_that_a_person_would_type():
    """The order of options and the quotes are those of the documentation."""
    image = Anything().image(None, 'd["key"]')
    request = ImageRequest(
        prompt="A {fox}",
        images=image,
        n=2,
        size="2K",
        seed=5,
        prompt_extend=False,
        watermark=True,
        negative_prompt="dark, {x}",
    )
    written = cell_text(request, image_expressions=['d["key"]'], name="fox", tags=["a", "b c"], seed=5)
    assert written == (
        '%%wan -i d["key"] -n 2 --size 2K --seed 5 --no-rewrite --watermark --as fox --tag a --tag "b c"\n'
        "A {{fox}}\n"
        "Negative prompt: dark, {{x}}"
    )
    call = back(written)
    assert call.requests == (request,)
    assert (call.name, call.tags) == ("fox", ("a", "b c"))


@pytest.mark.parametrize(
    "prompt",
    [
        "%%time\nfoo?",
        "%matplotlib",
        "!ls",
        ">>> a fox\n>>> a cat",
        "a\n  >>> b\n... c",
        "...: a\nIn [1]: b",
        "a\\\nb\\",
        "a fox\nNegative prompt: dark",
        "Negative prompt: dark",
        "{name} {{x}} } {",
        "  a fox \n\n",
        "\n\t\na",
        "a\r\nb\rc",
        "a\u2028b\x0bc\x85d",
        "狐狸在雪中\n第二行",
        "a 👩‍👩‍👧 and \ufeff",
        '{"a": [1]}',
        'it\'s "quoted"',
        "--seed 5",
        "a\x00b",
        "'''\n\"\"\"",
    ],
)
@pytest.mark.parametrize(
    "negative", ["", "dark", "two\nlines", " edges ", "{x}", "Negative prompt: y", ">>> x", "\u2028"]
)
def test_awkward_texts_come_back(prompt, negative):
    """Whatever a prompt holds, the cell that is written asks for exactly that."""
    request = ImageRequest(prompt=prompt, negative_prompt=negative)
    assert back(cell_text(request, image_expressions=(), seed=None)).requests == (request,)


@pytest.mark.parametrize(
    ("given_text", "written"),
    [
        ("photo", "photo"),
        ('d["a b"]', 'd["a b"]'),
        ("f(1, 2)", "f(1, 2)"),
        ("f(1) if a else f(2)", "(f(1) if a else f(2))"),
        ("cat.png", "cat.png"),
        ("my cat.png", '"my cat.png"'),
        ('say "hi" x.png', "'say \"hi\" x.png'"),
        ("a3f9c2[0]", "a3f9c2[0]"),
        ("-x.png", '"-x.png"'),
        ("https://example.org/a.png", "https://example.org/a.png"),
    ],
)
def test_pictures_are_written_so_that_they_are_one_word(given_text, written):
    """An expression with spaces gets brackets, a path gets quotes."""
    request = ImageRequest(prompt="x", images=Anything().image(None, given_text))
    cell = cell_text(request, image_expressions=[given_text], seed=None)
    assert cell == f"%%wan -i {written}\nx"
    assert len(back(cell).requests[0].images) == 1


@pytest.mark.parametrize("path", ["a b.png", "x y", "it's a.png", 'a "b" c.png', "plain.png", "-a.png"])
def test_a_path_is_written_as_a_path(path):
    """A recalled input is named by its file, which is never taken for an expression."""
    call = read_cell(f"-i {image_expression(path)}", "x", Anything())
    assert call.requests[0].images[0].name == path


# Properties ----------------------------------------------------------------------------------------------------------

nasty = st.sampled_from(
    ["{", "}", "\n", "\r", "\\", '"', "'", "%", ">>> ", "...", "Negative prompt: ", "?", " ", "\u2028", "\t"]
)
texts = st.lists(st.one_of(nasty, st.text(max_size=5)), max_size=10).map("".join)


@st.composite
def requests(draw):
    """Make a request that the rules allow, of any mode."""
    mode = draw(st.sampled_from(["edit", "text", "illustrated"]))
    images = tuple(Anything().image(None, "photo")[0] for _ in range({"edit": draw(st.integers(1, 4))}.get(mode, 0)))
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
    elif mode == "text":
        fields |= {"n": draw(st.integers(1, 100))}
    else:
        fields |= {"interleave": True, "max_images": draw(st.none() | st.integers(1, 5))}
    try:
        return ImageRequest(**fields)
    except RequestError:  # a lone surrogate
        return ImageRequest(**{**fields, "prompt": "a fox", "negative_prompt": ""})


@given(requests(), st.lists(texts, max_size=2, unique=True), st.sampled_from(["", "fox_1", "größe"]))
def test_every_request_comes_back(request, tags, name):
    """Copy as cell, paste, run: the same request, the same fingerprint, never paid again."""
    cell = cell_text(
        request, image_expressions=["photo"] * len(request.images), name=name, tags=tags, seed=request.seed
    )
    call = back(cell)
    assert call.requests == (request,)
    assert call.requests[0].fingerprint(with_seed=True) == request.fingerprint(with_seed=True)
    assert (call.name, call.tags) == (name, tuple(tags))


@given(texts, texts, texts)
def test_no_cell_makes_reading_fail(line, body, value):
    """Whatever stands in a cell ends in requests or in one of our errors."""
    names = Anything()
    names.namespace = {"value": value, "photo": 1, "n": value}
    for first in (line, f"-i {line}", f"--seed {line}", f"-n {line} --tag {body}", "-i photo " + line):
        with contextlib.suppress(RequestError, CellError):
            assert read_cell(first, body, names).requests
