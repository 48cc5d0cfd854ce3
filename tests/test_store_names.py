"""Names of picture files, made from any prompt; paths, which never lead out of the folder."""

from __future__ import annotations

import datetime as dt
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.errors import StoreError
from wan_notebook.store import Store, picture_name, safe_relative
from wan_notebook.store.names import NAME_MAX_BYTES, slug

AT = dt.datetime(2026, 11, 24, 14, 32, tzinfo=dt.UTC)
NAME = "2026-11-24/1432-a-fox-s5-1.png"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose folder does not exist yet."""
    return Store(tmp_path / "wan-pictures")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A fox, in SNOW!", "a-fox-in-snow"),
        ("  ", "picture"),
        ("../../etc/passwd", "etc-passwd"),
        ("CON", "con"),
        ("狐狸在雪中", "狐狸在雪中"),
        ("<img onerror=alert(1)>", "img-onerror-alert-1"),
        ("\u202egnp.exe\x00", "gnp-exe"),
        ("e\u0301te\u0301", "été"),
        ("हिन्दी", "हिन्दी"),
        ("\u0301\u0301", "picture"),
        ("🦊🦊", "picture"),
        ("a" * 500, "a" * 60),
        ("狐" * 500, "狐" * 20),
        ("word " * 100, "-".join(["word"] * 12)),
    ],
)
def test_prompts_become_words_of_a_name(prompt: str, expected: str) -> None:
    """A name says what was asked, in the prompt's own script, without anything a system could trip over."""
    assert slug(prompt) == expected


@given(
    st.text(alphabet=st.characters(), max_size=300),
    st.integers(0, 2**31 - 1) | st.none(),
    st.integers(0, 9),
    st.text(max_size=8),
)
def test_any_prompt_makes_a_name_for_every_system(prompt: str, seed: int | None, idx: int, ext: str) -> None:
    """Whatever the prompt, the name is safe, short, NFC, lower case, inside the folder, and the same each time."""
    name = picture_name(AT, prompt, seed, idx, ext)
    assert name == picture_name(AT, prompt, seed, idx, ext)
    day, _, file = name.partition("/")
    assert day == "2026-11-24"
    assert len(file.encode()) <= NAME_MAX_BYTES
    assert file == file.lower()
    assert not set(file) & set('/\\:*?"<>|\x00')
    assert file.isprintable()
    assert unicodedata.normalize("NFC", file) == file
    assert file.startswith("1432-")
    assert not file.endswith((" ", "."))
    assert str(safe_relative(name)) == name


def test_a_taken_name_is_numbered(store: Store) -> None:
    """Two pictures of one minute, prompt and seed are told apart."""
    store.add(NAME, b"x")
    assert store.picture_name(AT, "a fox", 5, 0, "png") == "2026-11-24/1432-a-fox-s5-1_2.png"
    assert store.picture_name(AT, "a fox", 5, 1, "png") == "2026-11-24/1432-a-fox-s5-2.png"
    assert store.picture_name(AT, "a fox", None, 0, "PNG") == "2026-11-24/1432-a-fox-1.png"
    with pytest.raises(StoreError, match="too many"):
        picture_name(AT, "a fox", 5, 0, "png", lambda _: True)


BAD_PATHS = [
    "",
    "/etc/passwd",
    "../x",
    "a/../../x",
    "a//b",
    "./x",
    "a/.",
    "C:\\x",
    "a\\b",
    "x\x00",
    "a:b",
    "a ",
    "a./b",
]


@pytest.mark.parametrize("bad", BAD_PATHS)
def test_no_path_leads_out_of_the_folder(store: Store, bad: str) -> None:
    """A path from a ledger, a bundle or a person is refused if it could leave the folder on any system."""
    store.ensure()
    for use in (
        store.read,
        store.exists,
        store.delete,
        lambda path: store.add(path, b"x"),
        lambda p: store.holds(p, "x"),
    ):
        with pytest.raises(StoreError, match="no path inside"):
            use(bad)


@given(st.text(alphabet="ab./\\:\x00 ~-", max_size=12))
def test_a_path_that_is_let_through_stays_inside(text: str) -> None:
    """Whatever is accepted, joined to a folder, is below it."""
    try:
        path = safe_relative(text)
    except StoreError:
        return
    joined = os.path.normpath(Path("/store") / path)
    assert joined.startswith("/store/")


def test_a_link_does_not_lead_out_of_the_folder(store: Store, tmp_path: Path) -> None:
    """A folder of the store that is a link to elsewhere is not followed."""
    store.ensure()
    (tmp_path / "outside").mkdir()
    (store.folder / "day").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="leads out"):
        store.add("day/x.png", b"x")
    assert not list((tmp_path / "outside").iterdir())
