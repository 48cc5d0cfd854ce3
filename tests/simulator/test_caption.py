"""What is written on the pictures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wan_notebook.simulator import caption
from wan_notebook.simulator.order import Order


def make_order(**changes):
    """Make an order for one square picture."""
    content = {"model": "m", "mode": "edit", "prompt": "p", "inputs": ("i",), "images_n": 1, "seed": 5}
    return Order(**{**content, "width_px": 1280, "height_px": 720, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "edit  ·  seed 5  ·  1280 x 720"),
        ({"images_n": 3}, "edit  ·  seed 5  ·  1280 x 720  ·  2 of 3"),
        ({"mode": "interleave", "inputs": ()}, "text to image  ·  seed 5  ·  1280 x 720"),
        ({"mode": "interleave", "images_n": 2}, "illustrated text  ·  seed 5  ·  1280 x 720  ·  2 of 2"),
    ],
)
def test_the_band_says_simulated_mode_seed_and_size(changes, expected):
    """A picture is honest about what it is, and can be told from its siblings."""
    assert caption.caption_lines(make_order(**changes), 1) == ("SIMULATED", expected)


@pytest.mark.parametrize("size", [(1280, 1280), (224, 7392), (7392, 224), (2048, 2048)])
def test_the_band_is_seen_at_any_size(size):
    """Even on the oddest shape the band changes the picture, and nothing fails."""
    picture = Image.new("RGB", size, (0, 128, 0))
    caption.draw_band(picture, caption.caption_lines(make_order(images_n=4), 0), "a prompt " * 40)
    colours = {colour for _, colour in picture.getcolors(size[0] * size[1])}
    assert (255, 196, 64) in colours


def test_the_watermark_is_in_the_lower_right_corner():
    """The mark changes that corner alone."""
    picture = Image.new("RGB", (800, 800), (0, 128, 0))
    caption.draw_watermark(picture)
    left, top, right, bottom = Image.eval(picture.getchannel("R"), lambda value: value).getbbox()
    assert left > 500
    assert top > 700
    assert right <= 800
    assert bottom <= 800


def test_without_a_font_for_it_a_script_is_counted_not_boxed(monkeypatch):
    """What the font lacks is named by its length, so that no row of boxes stands for it."""
    monkeypatch.setattr(caption, "_CJK_FONTS", ())
    text, _ = caption._drawable("狐狸 in snow 🦊", 20)
    assert text == "(2 characters this font lacks) in snow (1 characters this font lacks)"


@given(text=st.text(max_size=300), width_px=st.integers(40, 2000))
@settings(max_examples=50)
def test_lines_fit(text, width_px):
    """However a text is broken, there are at most two lines, and each fits the width or is a single sign."""
    drawable, face = caption._drawable(text, 16)
    lines = caption._wrap(drawable, face, width_px, most_lines=2)
    assert len(lines) <= 2
    assert all(face.getlength(line) <= width_px or len(line) <= 1 for line in lines)
