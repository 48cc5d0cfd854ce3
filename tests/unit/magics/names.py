"""A notebook's variables, and a source of pictures that remembers what it was asked."""

from dataclasses import replace
from typing import Any

import pytest

from wan_notebook.errors import ImageInputError, RequestError
from wan_notebook.images import InputImage, PendingImage, PictureOf
from wan_notebook.magics import cell_parser, command_parsers, read_cell
from wan_notebook.replay import Submission


def picture(name: str, width_px: int = 640, height_px: int = 480) -> InputImage:
    """Return a picture without a file behind it."""
    return InputImage(name, f"test:{name}", b"data", "image/png", width_px, height_px)


class Pictures:
    """Takes pictures, paths and lists of them; jobs are those whose id begins with ``a``, with two pictures each."""

    def __init__(self, **namespace: Any) -> None:
        self.namespace = namespace
        self.asked: list[tuple[object, object]] = []

    def image(self, value: object, name: str) -> tuple[InputImage | PendingImage, ...]:
        if isinstance(value, list | tuple):
            return tuple(one for k, item in enumerate(value) for one in self.image(item, f"{name}[{k}]"))
        if isinstance(value, PictureOf):
            self.asked.append((value.job, value.index))
            return (picture(name),)
        self.asked.append((value, name))
        if isinstance(value, InputImage | PendingImage):
            return (replace(value, name=name),)
        if isinstance(value, str):
            return (picture(name),)
        raise ImageInputError(name, f"it is {type(value).__name__}, not an image.", hint="Give a picture.")

    def former_image(self, value: object, name: str) -> InputImage | None:
        return InputImage(f"former {name}", f"former:{name}", b"", "", 0, 0) if isinstance(value, float) else None


def notebook(**more: Any) -> Pictures:
    """Return a notebook's variables."""
    names = {"photo": picture("x"), "photo1": picture("y", 300, 900), "running": PendingImage("z", "a3f9c2", 0)}
    values = {"animal": "fox", "count": 3, "seeds": [3, 4, 5], "width": 1280, "shape": (1024, 768), "nothing": None}
    return Pictures(**(names | values | more))


def call(line: str, body: str = "a fox", names: Any = None) -> tuple[Submission, float | None]:
    """Read a cell; return its submission and the longest wait."""
    return read_cell(cell_parser().read(line), body, names or notebook())


def made(line: str, names: Any = None) -> Submission:
    """Read a ``%wan make`` line."""
    read = command_parsers()["make"].read_with_text(line)
    return read_cell(read, read.text, names or notebook())[0]


def request(line: str, body: str = "a fox", names: Any = None) -> Any:
    """Return the one request of a cell."""
    (only,) = call(line, body, names)[0].requests
    return only


def problems_of(line: str, body: str = "a fox", names: Any = None) -> str:
    """Return the text of the one error that a cell gives."""
    with pytest.raises(RequestError) as caught:
        call(line, body, names)
    return "\n".join(caught.value.lines())
