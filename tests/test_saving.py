"""Copies of pictures elsewhere: the format that the name says, and never over what was not made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.bundle_kit import png
from wan_notebook.errors import StoreError
from wan_notebook.jobs.saving import Copy, target_of, targets_of, write_copies
from wan_notebook.recipe import Recipe, RecipeParameters, embed, read_any, read_recipe

RECIPE = Recipe(
    model="wan2.6-image",
    provider="gateway",
    mode="text to image",
    prompt="a fox in snow, 雪",
    parameters=RecipeParameters(seed=5),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder of pictures."""
    folder = tmp_path / "wan-pictures"
    folder.mkdir()
    return folder


def made(seed: int = 1) -> bytes:
    """A picture with its recipe inside."""
    return embed(png(seed), RECIPE)


def write(path: Path, data: bytes, store: Path, **options: Any) -> Path:
    """Save one picture that is kept as PNG."""
    return write_copies([Copy(path, data, ".png")], store=store, **{"overwrite": False, **options})[0]


@pytest.mark.parametrize("name", ["thesis.png", "cat.jpg", "figure.webp"])
def test_what_was_not_made_here_is_left_alone(tmp_path: Path, store: Path, name: str) -> None:
    """A photograph, or anything else under that name, stays; the error says how to replace it all the same."""
    target = tmp_path / name
    target.write_bytes(b"somebody's only copy")

    with pytest.raises(StoreError, match=r"left alone.*--force.*overwrite=True"):
        write(target, made(), store)
    assert target.read_bytes() == b"somebody's only copy"
    write(target, made(), store, overwrite=True)
    assert read_recipe(target.read_bytes()) == RECIPE


@pytest.mark.parametrize("name", ["fox.png", "fox.jpg", "fox.webp"])
def test_a_picture_made_here_is_replaced(tmp_path: Path, store: Path, name: str) -> None:
    """A cell that saves its picture can run again, with another picture too: the recipe inside says whose it is."""
    write(tmp_path / name, made(1), store)
    first = (tmp_path / name).read_bytes()
    write(tmp_path / name, made(2), store)

    assert (tmp_path / name).read_bytes() != first


def test_the_same_bytes_are_no_conflict(tmp_path: Path, store: Path) -> None:
    """A clean copy, which says nothing of its origin, can be saved again by a cell that runs again."""
    write(tmp_path / "clean.png", png(1), store)
    assert write(tmp_path / "clean.png", png(1), store) == tmp_path / "clean.png"
    with pytest.raises(StoreError, match="left alone"):
        write(tmp_path / "clean.png", png(2), store)


def test_nothing_is_written_if_one_of_several_is_in_the_way(tmp_path: Path, store: Path) -> None:
    """Several pictures are saved whole or not at all."""
    (tmp_path / "a-2.png").write_text("mine")
    copies = [Copy(path, made(i), ".png") for i, path in enumerate(targets_of(tmp_path / "a.png", ["x.png", "y.png"]))]
    with pytest.raises(StoreError):
        write_copies(copies, store=store, overwrite=False)
    assert [p.name for p in tmp_path.glob("a-*")] == ["a-2.png"]


def test_the_kept_pictures_are_never_replaced(store: Path) -> None:
    """Not even by force: what is in the folder of pictures is the only original."""
    kept = store / "1432-a-fox-s5-1.png"
    kept.write_bytes(made(1))
    for overwrite in (False, True):
        with pytest.raises(StoreError, match="folder of pictures"):
            write(kept, made(2), store, overwrite=overwrite)
    assert kept.read_bytes() == made(1)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP"), ("a.png", "PNG")]
)
def test_the_ending_says_the_format(tmp_path: Path, store: Path, name: str, kind: str) -> None:
    """A .jpg holds JPEG bytes; the recipe comes along, in ours and in the form that others read."""
    path = write(tmp_path / name, made(), store)

    with Image.open(path) as image:
        assert (image.format, image.size) == (kind, (48, 48))
    assert read_recipe(path.read_bytes()) == RECIPE
    assert read_any(path.read_bytes()) == RECIPE


def test_a_png_stays_byte_for_byte(tmp_path: Path, store: Path) -> None:
    """Nothing is encoded again where the format is the same."""
    assert write(tmp_path / "a.png", made(), store).read_bytes() == made()


def test_a_clean_copy_has_no_recipe_in_any_format(tmp_path: Path, store: Path) -> None:
    """What is left out of the PNG does not come back by converting it."""
    for name in ("a.jpg", "a.webp"):
        assert read_any(write(tmp_path / name, png(1), store).read_bytes()) is None


@pytest.mark.parametrize("name", ["a.docx", "a.gif", "a.ipynb", "fox v1.2"])
def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path, store: Path, name: str) -> None:
    """No file that says one thing and holds another."""
    with pytest.raises(StoreError, match=r"\.png, \.jpg, \.jpeg, \.webp"):
        write(tmp_path / name, made(), store)
    assert not (tmp_path / name).exists()


def test_a_video_keeps_its_own_ending(tmp_path: Path, store: Path) -> None:
    """What is no picture is not converted into one."""
    with pytest.raises(StoreError, match=r"Known endings: \.mp4"):
        write_copies([Copy(tmp_path / "a.png", b"\0\0\0\x18ftypmp42", ".mp4")], store=store, overwrite=False)


def test_no_ending_gets_the_right_one(tmp_path: Path) -> None:
    """A bare name is a file, a folder that is there holds the picture's own name, several make a folder."""
    assert target_of(tmp_path / "fox", "kept.png") == tmp_path / "fox.png"
    assert target_of(tmp_path, "kept.png") == tmp_path / "kept.png"
    assert target_of(f"{tmp_path}/new/", "kept.png") == tmp_path / "new" / "kept.png"
    assert targets_of(tmp_path / "foxes", ["a.png", "b.png"]) == [tmp_path / "foxes" / n for n in ("a.png", "b.png")]


def test_several_pictures_do_not_go_into_a_file(tmp_path: Path) -> None:
    """A file where a folder is needed is named, not stumbled over."""
    (tmp_path / "Makefile").touch()
    with pytest.raises(StoreError, match="2 pictures need a folder"):
        targets_of(tmp_path / "Makefile", ["a.png", "b.png"])


def test_a_name_as_long_as_can_be(tmp_path: Path, store: Path) -> None:
    """The temporary file beside it has a name of its own."""
    name = "a" * 250 + ".png"
    assert write(tmp_path / name, made(), store).read_bytes() == made()


def test_a_link_stays_one(tmp_path: Path, store: Path) -> None:
    """What it leads to is replaced, if it may be."""
    write(tmp_path / "real.png", made(1), store)
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    write(tmp_path / "link.png", made(2), store)
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == made(2)


def test_a_recipe_too_long_for_exif_is_left_out(tmp_path: Path, store: Path) -> None:
    """The picture is saved all the same."""
    long = Recipe(model="m", provider="p", mode="text to image", prompt="a" * 60_000)
    path = write(tmp_path / "a.jpg", embed(png(1), long), store)
    assert read_recipe(path.read_bytes()) is None
