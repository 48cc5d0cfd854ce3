"""A notebook's variables for the tests of cells, and a resolver that remembers what it was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wan_notebook.cell import read_cell
from wan_notebook.errors import ImageInputError, RequestError
from wan_notebook.inputs import InputImage, PendingImage


def picture(name, width_px=640, height_px=480):
    """Make a picture without a file behind it."""
    return InputImage(name, f"test:{name}", b"data", "image/png", width_px, height_px)


class Pictures:
    """Resolves what a test puts into it, and remembers what it was asked."""

    def __init__(self, **namespace):
        self.namespace = namespace
        self.asked = []

    def image(self, value, name):
        self.asked.append((value, name))
        if isinstance(value, InputImage):
            return (replace(value, name=name),)
        if isinstance(value, PendingImage):
            return (replace(value, name=name),)
        raise ImageInputError(name, f"it is {type(value).__name__}, not an image.", hint="Give a picture.")

    def job_image(self, job_id, index, name):
        self.asked.append((job_id, index))
        if index is None:
            raise ImageInputError(name, "it made 2 pictures.", hint=f"Choose {job_id}[0] or {job_id}[1].")
        return picture(name)


def notebook():
    """A notebook's variables."""
    return Pictures(
        photo=picture("x"),
        photo1=picture("y", 300, 900),
        running=PendingImage("z", "a3f9c2", 0),
        animal="fox",
        count=3,
        seeds=[3, 4, 5],
        width=1280,
    )


def problems_of(line, body, resolver):
    """Return the text of the one error that a cell gives."""
    with pytest.raises(RequestError) as caught:
        read_cell(line, body, resolver)
    return "\n".join(caught.value.lines())
