"""What may stand after ``-i``."""

from __future__ import annotations

import io
import types
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from wan_notebook.cell import DictResolver, read_cell
from wan_notebook.cell_images import pictures_of, place_name
from wan_notebook.errors import ImageInputError, RequestError
from wan_notebook.inputs import InputImage


def picture(name):
    """Make a picture without a file behind it."""
    return InputImage(name, f"test:{name}", b"data", "image/png", 640, 480)


class Log:
    """Takes every value and every job for a picture, and remembers them."""

    def __init__(self, **namespace):
        self.namespace = namespace
        self.values = []
        self.jobs = []

    def image(self, value, name):
        self.values.append((value, name))
        return (replace(value, name=name) if isinstance(value, InputImage) else picture(name),)

    def job_image(self, job_id, index, name):
        if job_id == "face":
            raise ImageInputError(name, "no job face.", hint="See %wan history.")
        self.jobs.append((job_id, index))
        return picture(name)


@pytest.mark.parametrize(
    ("text", "value", "name"),
    [
        ('"my cat.jpg"', "my cat.jpg", "my cat.jpg"),
        ("cat.jpg", "cat.jpg", "cat.jpg"),
        ("my-cat.PNG", "my-cat.PNG", "my-cat.PNG"),
        ("2026-11-24.png", "2026-11-24.png", "2026-11-24.png"),
        ("pics/cat", "pics/cat", "cat"),
        ("~/x.png", "~/x.png", "x.png"),
        ("./x", "./x", "x"),
        ("/tmp/x(1).png", "/tmp/x(1).png", "x(1).png"),
        ("cat(1).jpg", "cat(1).jpg", "cat(1).jpg"),
        ("cat's.jpg", "cat's.jpg", "cat's.jpg"),
        ("notes.txt", "notes.txt", "notes.txt"),
        ("my-plan.PDF", "my-plan.PDF", "my-plan.PDF"),
        ("C:\\new\\cat.png", "C:\\new\\cat.png", "cat.png"),
        ('"C:\\new\\cat.png"', "C:\\new\\cat.png", "cat.png"),
        ("https://example.org/a%20b.png?key=x", "https://example.org/a%20b.png?key=x", "a b.png"),
        ("https://example.org", "https://example.org", "example.org"),
        ("data:image/png;base64,AAAA", "data:image/png;base64,AAAA", "data URL"),
        ("“my cat.jpg”", "my cat.jpg", "my cat.jpg"),
    ],
)
def test_paths_and_urls_are_never_evaluated(text, value, name):
    """What is a path or a URL reaches the resolver as it stands, named by its last part."""
    log = Log()
    found = pictures_of(text, log)
    assert log.values == [(value, name)]
    assert [image.name for image in found] == [name]
    assert log.jobs == []


@pytest.mark.parametrize(
    ("text", "job"),
    [("a3f9c2", ("a3f9c2", None)), ("a3f9c2[0]", ("a3f9c2", 0)), ("3fa[1]", ("3fa", 1)), ("123", ("123", None)),
     ("12e4", ("12e4", None)), ("abc[-1]", ("abc", -1))],
)  # fmt: skip
def test_a_jobs_id_is_found_in_the_history(text, job):
    """An id works in any kernel, also where it is no identifier."""
    log = Log()
    assert pictures_of(text, log)[0].name == text
    assert log.jobs == [job]


def test_a_name_wins_over_a_job_and_over_a_file():
    """What the notebook calls ``abc`` or ``photo.png`` is what is meant."""
    log = Log(abc=[picture("first")], photo=types.SimpleNamespace(png=picture("attribute")), im=picture("i"))
    assert pictures_of("abc[0]", log)[0].identity == "test:first"
    assert pictures_of("photo.png", log)[0].identity == "test:attribute"
    assert log.jobs == []
    pictures_of("im.png", log)  # a picture has no attribute png: the file is meant
    assert log.values[-1] == ("im.png", "im.png")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[a, b]", ["a", "b"]),
        ("both", ["both[0]", "both[1]"]),
        ("[*both, a]", ["both[0]", "both[1]", "a"]),
        ("[a, [b, a]]", ["a", "b", "a"]),
        ('[cat.jpg, 3fa[0], "x y.png", d["k"]]', ["cat.jpg", "3fa[0]", "x y.png", 'd["k"]']),
        ("[x for x in both]", ["[x for x in both][0]", "[x for x in both][1]"]),
        ("(a, b)", ["(a, b)[0]", "(a, b)[1]"]),
        ("nested", ["nested[0]", "nested[1][0]"]),
        ("*both", None),
        ("[]", []),
    ],
)
def test_lists_are_taken_apart(text, names):
    """Every item of a list is what ``-i`` takes, named so that it can be pasted."""
    a, b = picture("1"), picture("2")
    log = Log(a=a, b=b, both=[a, b], nested=(a, [b]), d={"k": a})
    if names is None:
        with pytest.raises(RequestError):
            pictures_of(text, log)
    else:
        assert [image.name for image in pictures_of(text, log)] == names


def test_variables_that_hold_paths_are_named_as_variables():
    """The name in a caption is what was typed."""
    log = Log(where=Path("a.png"), url="https://example.org/x.png")
    pictures_of("where", log)
    pictures_of("url", log)
    assert log.values == [(Path("a.png"), "where"), ("https://example.org/x.png", "url")]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("photo2", ["photo2", "no variable photo2", "Nearest: photo"]),
        ("zzz", ["no variable zzz", "Define it"]),
        ("photo +", ["no Python expression"]),
        ("broken()", ["ValueError", "a bad day"]),
        ("silent()", ["KeyError"]),
        ("nested_name()", ["NameError"]),
        ("lambda: 1 +", ["no Python expression"]),
        ("'' ", ["no path"]),
        ("face", ["no job face", "%wan history", "Variables", "faces"]),
        ("(" * 300 + ")" * 300, ["no Python expression"]),
    ],
)
def test_an_expression_that_fails_says_how(text, parts):
    """Python's own words, the exception's type, the nearest names: never a traceback."""

    def broken():
        raise ValueError("a bad\nday")

    def silent():
        raise KeyError

    def nested_name():
        return undefined_elsewhere  # noqa: F821

    log = Log(photo=picture("1"), faces=1, broken=broken, silent=silent, nested_name=nested_name)
    with pytest.raises(RequestError) as caught:
        pictures_of(text.strip(), log)
    for part in parts:
        assert part in str(caught.value)
    assert len(str(caught.value)) < 300


def test_evaluating_leaves_the_namespace_alone():
    """``eval`` would write ``__builtins__`` into the person's own variables."""
    log = Log(photo=picture("1"))
    pictures_of("(lambda p: p)(photo)", log)
    pictures_of("[p for p in [photo] if photo]", log)
    assert set(log.namespace) == {"photo"}


def test_pictures_load_without_a_session(tmp_path):
    """The resolver of scripts and tests loads variables and files, and knows no jobs."""
    image = Image.new("RGB", (300, 400), "red")
    image.save("cat.png")
    content = io.BytesIO()
    image.save(content, "PNG")
    names = DictResolver({"photo": image, "d": {"key": content.getvalue()}, "loaded": picture("other")})
    call = read_cell('-i photo -i d["key"] -i cat.png -i loaded', "a fox", names)
    assert [i.name for i in call.requests[0].images] == ["photo", 'd["key"]', "cat.png", "loaded"]
    assert call.requests[0].images[0].width_px == 300
    with pytest.raises(RequestError, match="no history"):
        read_cell("-i a3f9c2[0]", "a fox", names)
    with pytest.raises(RequestError, match=r"missing\.png"):
        read_cell("-i missing.png", "a fox", names)


@pytest.mark.parametrize("place", ["/", "http://[", "a/", "\\\\", "data:"])
def test_every_place_has_a_name(place):
    """Names are shown, so there is always one."""
    assert place_name(place)
