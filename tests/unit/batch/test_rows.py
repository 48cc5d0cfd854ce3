"""Rows of a table become valid requests, or one error that names every row."""

import csv
import io
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from wan_notebook.batch import Grid, PlannedRow, grid, plan_rows
from wan_notebook.errors import CellError, Problem, RequestError
from wan_notebook.request import ImageRequest
from wan_notebook.resolver import Resolver

ANIMALS = [{"animal": "fox", "seed": 1}, {"animal": "owl", "seed": 2}]
PHOTO = Image.effect_noise((640, 480), 60).convert("RGB")
NAMES: dict[str, Any] = {"place": "snow", "photo": PHOTO, "cfg": {"style": "ink"}, "animal": "a variable"}


def resolver(names: Mapping[str, Any] = NAMES) -> Resolver:
    """Return what turns values into pictures, without a project and without a network."""
    return Resolver(names, None, lambda url: pytest.fail(f"asked for {url}"))


def plan(rows: object, prompt: str | None = "a fox", **given: Any) -> tuple[PlannedRow, ...]:
    """Plan rows with parameters as `wan.map` takes them."""
    return noted(rows, prompt, **given)[0]


def noted(rows: object, prompt: str | None = "a fox", **given: Any) -> tuple[tuple[PlannedRow, ...], tuple[str, ...]]:
    """Plan rows, and return the notes too."""
    own = {name: given.pop(name) for name in ("images", "limit", "raw") if name in given}
    return plan_rows(rows, prompt, resolver=resolver(), **own, parameters=given)


def refusal(rows: object, prompt: str | None = "a fox", **given: Any) -> list[str]:
    """Return the problems of rows that are refused, one line each, and what is left out."""
    with pytest.raises(RequestError) as refused:
        plan(rows, prompt, **given)
    assert str(refused.value).count("; ") >= len(refused.value.problems) - 1
    return [line.removeprefix("  • ") for line in refused.value.lines()[1:]]


# ------------------------------------------------------------------ tables


def test_a_grid_is_every_combination_in_the_order_of_its_axes() -> None:
    """The last axis changes fastest; any iterable is an axis, and the grid says what it is."""
    made = grid(animal=("fox", "owl"), seed=range(2))
    assert isinstance(made, Grid)
    assert made == [{"animal": a, "seed": s} for a in ("fox", "owl") for s in (0, 1)]
    assert made.axes == {"animal": ("fox", "owl"), "seed": (0, 1)}
    assert repr(made) == "<Grid of 4 rows: animal (2) × seed (2)>"
    assert list(grid(image=[PHOTO], x=np.array([1, 2]), y=(letter for letter in "ab")).axes) == ["image", "x", "y"]


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({}, ["no axis"]),
        ({"style": "ink"}, ["style = 'ink'", "style=['ink']"]),
        ({"seed": 5}, ["seed = 5", "seed=[5]"]),
        ({"style": []}, ["no values"]),
        ({"style": {"ink", "oil"}}, ["no order", "sorted"]),
        ({"image": PHOTO}, ["one value"]),
        ({"image": np.zeros((64, 64, 3), np.uint8)}, ["one value"]),
        ({"a": range(2000), "b": range(2000)}, ["4,000,000 rows"]),
    ],
)
def test_an_axis_that_is_none_is_refused(axes: dict[str, Any], words: list[str]) -> None:
    """A text would become its letters, and a picture its rows of pixels: each paid."""
    with pytest.raises(RequestError) as refused:
        grid(**axes)
    assert [word for word in words if word not in str(refused.value)] == []


def as_file(folder: Path, kind: str) -> Any:
    """Write the table of two animals in one of the forms that people have."""
    path = folder / f"animals.{kind}"
    table, frame = pa.Table.from_pylist(ANIMALS), pd.DataFrame(ANIMALS)
    texts = {
        "csv": "animal,seed\nfox,1\nowl,2\n",
        "tsv": "animal\tseed\r\nfox\t1\r\n\r\nowl\t2",
        "semicolon.csv": '\ufeff"animal";seed;\n"fox";1;\nowl; 2;\n;;\n',
        "jsonl": "\n".join(map(json.dumps, ANIMALS)),
        "json": json.dumps(ANIMALS),
    }
    if kind in texts:
        path.write_text(texts[kind], "utf-8")
        return path
    if kind == "parquet":
        parquet.write_table(table, path)
        return str(path)
    memory = {"pandas": frame, "nullable": frame.convert_dtypes(), "arrow": table, "batch": table.to_batches()[0]}
    return {**memory, "generator": (row for row in ANIMALS)}[kind]


KINDS = ["csv", "tsv", "semicolon.csv", "jsonl", "json", "parquet", "pandas", "nullable", "arrow", "batch", "generator"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_of_a_table_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    """Frames, files and dicts: the same requests, and so the same hashes; texts of a file are read as options are."""
    rows = plan(as_file(tmp_path, kind), "a {animal} in {place}")
    assert [row.request for row in rows] == [
        ImageRequest(prompt="a fox in snow", seed=1),
        ImageRequest(prompt="a owl in snow", seed=2),
    ]
    assert [row.columns["animal"] for row in rows] == ["fox", "owl"]
    assert [str(row.columns["seed"]) for row in rows] == ["1", "2"]


def test_polars_frames_are_tables() -> None:
    """Where polars is installed."""
    polars = pytest.importorskip("polars")
    assert plan(polars.DataFrame(ANIMALS), "a {animal}") == plan(ANIMALS, "a {animal}")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"animal,seed\n", "empty"),
        ("a.csv", b"animal,seed\nfox,1,2\n", "row 1: has more cells than the header."),
        ("a.csv", b"a,b,a\n1,2,3\n", "rows = a: more than one column has this name."),
        ("a.csv", b'a,b\n"fox,2\n', "not a valid CSV file"),
        ("a.csv", "a\nfür\n".encode("latin-1"), "not UTF-8"),
        ("a.jsonl", b'{"a": 1}\n{"a": 2\n[3]', "row 2 is not JSON"),
        ("a.jsonl", b'{"a": 1}\n[3]', "row 2 = [3]: is of type list"),
        ("a.jsonl", b'{"a": 1, "a": 2}', "more than one column"),
        ("a.json", b'{"a": [1, 2]}', "not a list of objects"),
        ("a.json", b"[1", "cannot be read"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.xlsx", b"", "pandas.read_excel"),
        ("a.doc", b"", "not a table that can be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_reason(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    """The file, the row or column, and what to do."""
    (tmp_path / name).write_bytes(data)
    assert words in refusal(tmp_path / name)[0]


def test_parquet_needs_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency: without it the error says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(CellError, match="pyarrow is not installed"):
        plan("a.parquet")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "the table is empty"),
        (pd.DataFrame({"a": []}), "the table is empty"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column"),
        (pa.table([[1], [2]], names=["a", "a"]), "more than one column"),
        ({"a": [1, 2]}, "wan.grid"),
        (5, "not a table"),
        (b"abc", "not a table"),
        (["fox"], "row 1 = 'fox': is of type str"),
        ("nix.csv", "No such file"),
        ("a fox", "not a table that can be read"),
    ],
)
def test_what_is_no_table_is_refused(rows: object, words: str) -> None:
    """Before anything is read from it."""
    assert words in refusal(rows)[0]


# ------------------------------------------------------------------ columns


def test_columns_set_parameters_or_stand_in_braces(tmp_path: Path) -> None:
    """A column in the braces is text only; others set what they are named after; what nothing uses is kept."""
    PHOTO.save(tmp_path / "cat.png")
    table = [
        {
            "size": "ratio 9:16",
            "image": str(tmp_path / "cat.png"),
            "seed": "7",
            "n": 2.0,
            "negative_prompt": "fog",
            "prompt_extend": "FALSE",
            "watermark": np.True_,
            "tags": "a, b ,,a",
            "other": date(2026, 11, 24),
        }
    ]
    (row,) = plan(table, "make it {size}")
    request = row.request
    assert (request.prompt, request.size, request.seed, request.n) == ("make it ratio 9:16", None, 7, 2)
    assert (request.negative_prompt, request.prompt_extend, request.watermark) == ("fog", False, True)
    assert (row.tags, request.images[0].name, request.mode) == (("a", "b"), "cat.png", "edit")
    assert row.columns == {**table[0], "watermark": True, "other": "2026-11-24"}


def test_missing_values_are_not_given() -> None:
    """None, NaN, NA, NaT and empty texts of a parameter are as if the column were not there."""
    for value in (None, float("nan"), pd.NA, pd.NaT, np.float64("nan"), Decimal("NaN"), "", "  "):
        (row,) = plan([{"seed": value, "size": value, "image": value, "tags": value, "watermark": value}])
        assert row.request == ImageRequest(prompt="a fox")
    assert [row.request.seed for row in plan(pd.DataFrame({"seed": [1, None]}))] == [1, None]


def test_braces_take_columns_first_and_then_variables() -> None:
    """Any name of a column will do; variables, formats and doubled braces as in a cell; a value is not expanded."""
    rows = [{"animal": "{place}", "Art style: fine": "oil", "class": 3.14159}]
    text = "{animal} {Art style: fine} {class:.2f} {place} {cfg[style]} {{x}}"
    (row,) = plan(rows, text, negative_prompt="no {animal}", tags=["t-{place}", "x"])
    assert row.request.prompt == "{place} oil 3.14 snow ink {x}"
    assert (row.request.negative_prompt, row.tags) == ("no {place}", ("t-snow", "x"))
    (row,) = plan(rows, text, raw=True)
    assert row.request.prompt == text
    (row,) = plan([{"prompt": "as {it} stands"}], None)
    assert row.request.prompt == "as {it} stands"


def test_seeds_multiply_the_rows() -> None:
    """Each row with each seed, in a column that braces can show; `limit` counts afterwards; one seed is for all."""
    rows = plan([{"a": 1}, {"a": 2}], "{a} {seed}", seed=range(3), limit=5)
    assert [row.request.prompt for row in rows] == ["1 0", "1 1", "1 2", "2 0", "2 1"]
    assert [row.request.seed for row in rows] == [0, 1, 2, 0, 1]
    assert rows[4].columns == {"a": 2, "seed": 1}
    assert plan([{"a": 1}], seed=np.int64(5))[0] == PlannedRow(
        columns={"a": 1}, request=ImageRequest(prompt="a fox", seed=5)
    )
    _, notes = noted([{"a": 1}], seed=[1, 1])
    assert "listed twice" in notes[0]


def test_values_are_kept_as_json_holds_them() -> None:
    """Dates, numbers of other kinds and paths as text; pictures by their names; nothing that JSON cannot hold."""
    values = {
        "day": datetime(2026, 11, 24, 14, 32, tzinfo=UTC),
        "stamp": pd.Timestamp("2026-11-24"),
        "np": np.datetime64("2026-11-24", "ns"),
        "cost": Decimal("0.030"),
        "path": Path("a/b"),
        "f32": np.float32(0.5),
        "inf": float("inf"),
        "list": (1, np.int8(2), {"k": {3}}),
        "known": PHOTO,
        "photo": PHOTO.copy(),
        "object": object(),
        "url": "data:image/png;base64,AAAA",
        "": True,
    }
    (row,) = plan([values])
    json.dumps(dict(row.columns), allow_nan=False)
    assert row.columns | {"np": ""} == {
        "day": "2026-11-24T14:32:00+00:00",
        "stamp": "2026-11-24T00:00:00",
        "np": "",
        "cost": "0.030",
        "path": str(Path("a/b")),
        "f32": 0.5,
        "inf": "inf",
        "list": [1, 2, {"k": [3]}],
        "known": "photo",
        "photo": "picture",
        "object": "<object>",
        "url": "picture",
        "": True,
    }


# ------------------------------------------------------------------ pictures


def test_images_are_for_all_rows_or_name_columns(tmp_path: Path) -> None:
    """A name of a column comes before a path; several stand in the order of the argument; each is read once."""
    PHOTO.save(tmp_path / "a.png")
    PHOTO.rotate(90, expand=True).save(tmp_path / "b.png")
    table = [{"left": str(tmp_path / "a.png"), "k": k} for k in range(3)]
    rows = plan(table, images=["left", tmp_path / "b.png", PHOTO])
    assert [image.name for image in rows[0].request.images] == ["a.png", "b.png", "photo"]
    first, last = rows[0].request.images, rows[2].request.images
    assert all(one is other for one, other in zip(first, last, strict=True))
    (row,) = plan([{"images": [str(tmp_path / "a.png"), PHOTO]}])
    assert ([image.name for image in row.request.images], row.columns) == (
        ["a.png", "photo"],
        {"images": [str(tmp_path / "a.png"), "photo"]},
    )


def test_like_gives_its_shape_to_each_row() -> None:
    """By column or for all rows, as in `generate`; with a size in pixels both would set the shape."""
    rows = plan([{"like": PHOTO}, {"like": None}], size=None)
    assert [row.request.size for row in rows] == ["1472*1104", None]
    assert plan([{"shape": PHOTO.rotate(90, expand=True)}], like="shape")[0].request.size == "1104*1472"
    assert plan([{"a": 1}], images=PHOTO, like=PHOTO, size="2K")[0].request.size == "2352*1760"
    assert refusal([{"like": PHOTO, "size": "1280x720"}])[0].startswith("row 1, like = photo: cannot be combined")


def test_a_picture_that_cannot_be_used_is_named_once_or_with_its_row() -> None:
    """For all rows once, in a column with its row; a gap would make another picture `image 2`."""
    assert refusal([{"a": 1}, {"a": 2}], images="nix.png")[0].startswith("images = nix.png: there is no file")
    found = refusal([{"pic": "nix.png"}, {"pic": None}, {"pic": PHOTO}], images="pic")
    assert [line.partition(":")[0] for line in found] == ["row 1, pic = nix.png", "row 2, pic"]
    assert "Did you mean pic?" in refusal([{"pic": PHOTO}], images="pik")[0]


# ------------------------------------------------------------------ problems


@pytest.mark.parametrize(
    ("rows", "prompt", "given", "lines"),
    [
        ([{"a": 1}], None, {}, ["prompt: is missing."]),
        ([{"a": 1}], 5, {}, ["prompt = 5: must be text."]),
        ([{"animal": 1}] * 3, "{anmal} {anmal} {b}", {}, ["prompt = {anmal}: no column", "prompt = {b}: no column"]),
        ([{"image": PHOTO, "images": PHOTO}], "x", {}, ["images: the columns image and images both set it."]),
        ([{"prompt": "y"}], "x", {}, ["prompt: is an argument, and the column prompt"]),
        ([{"image": PHOTO}], "x", {"images": PHOTO}, ["images: is an argument, and the column image"]),
        ([{"seed": 1}], "x", {"seed": [1, 2]}, ["seed: is an argument, and the column seed"]),
        ([{"seed": 1}], "{seed}", {"seed": [1, 2]}, ["seed: is an argument, and the column seed"]),
        (
            [{"a": 1}] * 2,
            "x",
            {"sede": 1, "nam": "zoo", "limit": 0},
            [
                "sede = 1: not a parameter. Did you mean seed?",
                "nam = 'zoo': not a parameter. Did you mean name?",
                "limit = 0: must be",
            ],
        ),
        ([{"a": 1}] * 2, "x", {"seed": [1, "b"]}, ["seed = 'b': must be a whole number."]),
        ([{"a": 1}] * 2, "x", {"seed": []}, ["seed = []: the list is empty."]),
        ([{"a": 1}] * 2, "x", {"seed": [1, 2], "n": 2}, ["n = 2: without input pictures"]),
        ([{"a": 1}] * 2, "x", {"tags": [5]}, ["tags = 5: must be text."]),
        ([{"a": None}, {"a": float("nan")}, {}, {"a": 1}], "{a}", {}, [f"row {n}, a: has no value" for n in (1, 2, 3)]),
        ([{"a": 1}, {"a": "b"}], "{a:.1f}", {}, ["row 2, prompt = {a:.1f}: raised ValueError"]),
        ([{"prompt": "x"}, {"prompt": None}], None, {}, ["row 2, prompt: is required."]),
        ([{"watermark": "maybe", "seed": 1.5}], "x", {}, ["row 1, watermark = 'maybe'", "row 1, seed = 1.5"]),
        ([{"model": "wan9", "tags": [1]}], "x", {}, ["row 1, tags = 1", "row 1, model = wan9: unknown model."]),
        ([{"n": 0, "size": "9K", "seed": -1}], "x", {}, ["row 1, n = 0", "row 1, seed = -1", "row 1, size = '9K'"]),
        ([{"prompt_extend": True}], "x", {}, ["row 1, prompt_extend = True: only edits are rewritten"]),
        ([{"a": 1}, {"a": 2}], "x", {"size": "9K"}, ["size = '9K': not a valid size."]),
        ([{"a": 1, "image": PHOTO}, {"a": 2}], "x", {"size": "2K"}, ["row 2, size = 2K: belongs to edits"]),
    ],
)
def test_everything_that_is_wrong_is_said_at_once(
    rows: object, prompt: Any, given: dict[str, Any], lines: list[str]
) -> None:
    """With the row, the column and the value; what is wrong with an argument, in all rows, is said once."""
    found = refusal(rows, prompt, **given)
    assert len(found) == len(lines), found
    assert [want for want, line in zip(lines, found, strict=True) if not line.startswith(want)] == []


def test_a_missing_column_names_those_that_exist() -> None:
    """A typing error shows its remedy."""
    (line,) = refusal(ANIMALS, "a {aninal}")
    assert "Did you mean animal? Columns: animal, seed." in line


def test_of_many_rows_with_problems_the_first_are_listed() -> None:
    """A person reads twenty; the rest are counted."""
    found = refusal([{"size": "9K"}] * 1000)
    assert (len(found), found[0][:11], found[-1]) == (21, "row 1, size", "and 980 more rows with problems")
    assert len(refusal([{"size": "9K", "n": 0, "seed": -1}] * 7)) == 20


def test_a_column_that_is_almost_a_parameter_is_worth_a_note() -> None:
    """It is kept and used by nothing, which may not be what is meant."""
    rows, notes = noted([{"Negative prompt": "fog", "kind": 1}])
    assert rows[0].request.negative_prompt == ""
    assert notes == ("nothing uses the column Negative prompt: Did you mean negative_prompt?",)


def test_ten_thousand_rows_are_planned_in_seconds() -> None:
    """Nothing grows with the square of the rows: ten times the rows take about ten times as long."""
    rows = [{"animal": f"fox {k}", "style": "ink", "seed": k} for k in range(10_000)]
    started = time.process_time()
    assert len(plan(rows, "a {animal} in {style} and {place}", size="1:1")) == 10_000
    assert time.process_time() - started < 5


# ------------------------------------------------------------------ any table

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=9)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), st.sampled_from(",;\t"), st.booleans())
def test_what_a_file_holds_is_what_is_asked(cells: list[tuple[str, str]], delimiter: str, has_mark: bool) -> None:
    """Any text comes out of CSV and JSONL as it went in, whatever separates it and however Excel marks the file."""
    rows = [{"a,b": one, "c;d": other} for one, other in cells]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        table, lines = Path(folder, "t.csv"), Path(folder, "t.jsonl")
        table.write_text(text.getvalue(), "utf-8-sig" if has_mark else "utf-8", newline="")
        lines.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
        for path in (table, lines):
            assert [row.columns for row in plan(path)] == rows


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(1, 5), st.none() | st.integers(1, 30))
def test_seeds_multiply_row_by_row(seeds: list[int], count: int, limit: int | None) -> None:
    """Each row with each seed, each seed once; a limit takes the first ones of the same list."""
    each = list(dict.fromkeys(seeds))
    rows = plan([{"k": k} for k in range(count)], "{k}", seed=seeds, limit=limit)
    wanted = [(str(k), seed) for k in range(count) for seed in each][:limit]
    assert [(row.request.prompt, row.request.seed) for row in rows] == wanted
    assert [row.columns["seed"] for row in rows] == [seed for _, seed in wanted]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.decimals(), st.dates(), st.binary()
)
NAMES_OF_COLUMNS = st.sampled_from(["a", "b c", "seed", "size", "n", "tags", "like", "model", "watermark", "{", ""])


@given(
    st.lists(st.dictionaries(NAMES_OF_COLUMNS, VALUES, max_size=4), min_size=1, max_size=4),
    st.lists(st.sampled_from(["{a}", "{b c}", "{seed}", "{size!r}", "{place}", "x", "{", "{{", "{a:>9}"])).map("".join),
)
def test_any_table_is_planned_or_refused(rows: list[dict[str, Any]], prompt: str) -> None:
    """Never another exception; what is planned is JSON, in the order of the rows, and every problem has a place."""
    planned: tuple[PlannedRow, ...] = ()
    refused: tuple[Problem, ...] = ()
    try:
        planned = plan(rows, prompt)
    except RequestError as error:
        refused = error.problems
    assert all(problem.field for problem in refused)
    assert bool(planned) is not bool(refused)
    for row, given_row in zip(planned, rows, strict=not refused):
        json.dumps(dict(row.columns), allow_nan=False)
        assert row.columns.keys() >= given_row.keys()
