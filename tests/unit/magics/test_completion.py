"""What Tab offers."""

from pathlib import Path

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wan_notebook.magics import Known, complete

PHOTO = Image.new("RGB", (20, 20))


class Job:
    """Has what a job has; none of it may be asked, since that would wait."""

    @property
    def images(self):
        raise AssertionError("completion waited for a job")

    files = result = images


NAMES = {
    "_wan": Job(),
    "photo": PHOTO,
    "photos": [PHOTO],
    "phone": "not an image",
    "count": 3,
    "job": Job(),
    "table": [{"animal": "fox"}],
    "frame": pandas.DataFrame(),
    "_hidden": PHOTO,
    "Image": Image,
}
KNOWN = Known(NAMES, ("a3f9c2", "b77d01"), lambda: ["poster", "fig 2"], lambda: ["zoo", "", "an ark"])


@pytest.mark.parametrize(
    ("line", "fragment", "wanted", "unwanted"),
    [
        ("%wan ", "", ["make", "show", "history"], ["defaults", "status", "--seed"]),
        ("%%wan ", "", ["--image", "-n", "--seed", "--no-rewrite"], ["make", "photo"]),
        ("%%wan —se", "—se", ["--seed"], ["--size"]),
        ("%%wan --seed 5 --raw --tag x --", "--", ["--tag", "--image", "--size"], ["--seed", "--raw"]),
        ("%%wan --size=16", "16", ["16:9"], ["1K"]),
        (
            *("%%wan -i ", ""),
            ["photo", "photos", "job", "_wan", "a3f9c2", "cat.jpg", '"my cat.png"', "sub/"],
            ["phone", "count", "_hidden", "notes.txt", ".hidden.png"],
        ),
        ("%%wan -i sub/", "sub/", ["sub/dog.png"], ["photo", "sub/notes.txt"]),
        ('%%wan -i "my c', '"my c', ['"my cat.png"'], []),
        ("%%wan -i [photo, ph", "ph", ["photo", "photos"], []),
        ("%%wan --tag ", "", ["poster", '"fig 2"'], ["photo", "cat.jpg"]),
        ("%wan history --state ", "", ["running", "saved", '"in doubt"', '"not sent"'], ["intent", "in_doubt"]),
        ("%%wan --over ", "", ["table", "frame", "rows.csv", "sub/"], ["photos", "count", "job", "cat.jpg"]),
        ("%%wan --over [ta", "ta", ["table"], []),
        ("%wan history --batch ", "", ["zoo", '"an ark"'], ["", "poster"]),
        ("%wan resolve --batch z", "z", ["zoo"], []),
        ("%wan show ", "", ["job", "a3f9c2", "--all"], ["photo"]),
        ("%wan save job ", "", ["cat.jpg", "notes.txt", "--clean"], ["job"]),
        ("%wan help s", "s", ["show", "size", "seed"], []),
    ],
)
def test_what_fits_is_offered(line, fragment, wanted, unwanted):
    """Commands, options not yet given, and values by their kind."""
    for name in ("cat.jpg", "my cat.png", "notes.txt", "rows.csv", ".hidden.png", "sub/dog.png", "sub/notes.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    found = complete(line, KNOWN)
    assert found.matched_fragment == fragment
    assert [w for w in wanted if w not in found.candidates] == []
    assert [u for u in unwanted if u in found.candidates] == []


@pytest.mark.parametrize(
    "line",
    [
        *("", "%", "%wan", "%%wan", "%time ", "%wander ", "%%wander --", "x = %wan ", "print('%%wan ')"),
        *("%wan nonsense ", "%wan make a fox --se", "%wan make a fox ", "%%wan --as ", "%%wan --negative "),
        *("%%wan -i nowhere/x", "%%wan -i /\0/x"),
    ],
)
def test_nothing_is_offered_elsewhere(line):
    """Other lines, free text and names that only the person knows stay untouched."""
    assert complete(line, KNOWN).candidates == ()


PIECES = ("%wan ", "%%wan ", "make ", "show ", "help ", "-i ", "--seed=", "--tag ", "d[", "./", *'"[ —\0~é')


@given(st.lists(st.sampled_from(PIECES), max_size=7).map("".join), st.integers(0, 40))
def test_tab_never_fails(line, cursor):
    """An exception in a completer is printed over the person's cell; what is offered ends where the cursor stands."""
    found = complete(f"%%wan {line}"[:cursor], KNOWN)
    assert f"%%wan {line}"[:cursor].endswith(found.matched_fragment)
    complete(line[:cursor], KNOWN)
