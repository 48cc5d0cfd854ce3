"""Bundles from strangers: whatever is wrong with one, it is refused whole, before anything is unpacked."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import bundle_kit
from tests.bundle_kit import Project, code, pack, png, rezip, shown, tree, unpack, zip_of
from wan_notebook.bundle.document import document_of
from wan_notebook.bundle.manifest import read_manifest
from wan_notebook.errors import RecipeError, WanError
from wan_notebook.recipe import embed, read_recipe

project, other = bundle_kit.project, bundle_kit.other
Members = dict[str, bytes]


@pytest.fixture
def bundle(project: Project, tmp_path: Path) -> Path:
    """A sound bundle."""
    fox = project.job(inputs=[project.input("photo", png(77))])
    (project.root / "cat.png").write_bytes(png(3))
    project.write_notebook(shown(fox), code('open("cat.png")'))
    return pack(project, tmp_path / "sound.zip")


def refused(path: Path, other: Project, match: str) -> None:
    """Opening is refused for this reason, and nothing at all was written."""
    before = tree(other.root)
    with pytest.raises(WanError, match=match):
        unpack(path, other)
    assert tree(other.root) == before
    assert other.ledger.history().total_rows == 0


# ------------------------------------------------------------------ manifests and rows


def json_of(members: Members, name: str = "manifest.json") -> dict:
    """Return a JSON member."""
    return json.loads(members[name])


def rows_of(members: Members) -> list[dict]:
    """Return the exported rows."""
    return [json.loads(line) for line in members["ledger.jsonl"].splitlines()]


def set_rows(members: Members, rows: list[dict]) -> None:
    """Write the exported rows."""
    members["ledger.jsonl"] = b"\n".join(json.dumps(row).encode() for row in rows)


def row_change(change: Callable[[dict], None]) -> Callable[[Members], None]:
    """Change the first exported row."""

    def apply(members: Members) -> None:
        rows = rows_of(members)
        change(rows[0])
        set_rows(members, rows)

    return apply


def picture_file(name: str, **more: object) -> Callable[[Members], None]:
    """Name another file as the first job's picture."""
    return row_change(lambda row: row["pictures"][0].update(file=name, **more))


def without_picture(members: Members) -> None:
    """Leave a picture out."""
    del members[next(name for name in members if name.endswith(".png") and "1200" in name)]


def other_picture(members: Members) -> None:
    """Put another picture in its place."""
    name = next(name for name in members if name.endswith(".png") and "1200" in name)
    members[name] = png(4242)


def other_recipe(members: Members) -> None:
    """Let the picture say something else of itself."""
    name = next(name for name in members if name.endswith(".png") and "1200" in name)
    recipe = read_recipe(members[name])
    assert recipe is not None
    members[name] = embed(members[name], replace(recipe, prompt="forged"))


def cat_is_code(members: Members) -> None:
    """Let a named picture be a script."""
    members["cat.png"] = b"#!/bin/sh\nrm -rf /"


def twice(members: Members) -> None:
    """Name every job twice."""
    set_rows(members, rows_of(members) * 2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (without_picture, "not in the bundle as it says"),
        (other_picture, "is not the picture that its job says"),
        (other_recipe, "is not the picture that its job says"),
        (cat_is_code, "is no picture"),
        (twice, "names a job twice"),
        (picture_file("../../evil.png"), "no path inside|leads up"),
        (picture_file("ledger.db"), "no picture of a store"),
        (picture_file("ledger.db", saved_at=None), "no picture of a store"),
        (picture_file(".cache/x.webp"), "hidden"),
        (picture_file("2026-11-25/evil.sh"), "no picture of a store"),
        (picture_file("2026-11-25/nul.png"), "device"),
        (row_change(lambda row: row["pictures"][0].update(corrupt_file="../x.corrupt")), "no path inside|leads up"),
        (row_change(lambda row: row["inputs"][0].update(file="/etc/passwd")), "no path inside|absolute"),
        (row_change(lambda row: row["job"].update(prompt="x", fp_sent="wan1:sha256:" + "0" * 64)), "another request"),
        (row_change(lambda row: row["job"].update(state="running")), "not finished"),
        (row_change(lambda row: row["job"].update(cost_amount="NaN")), "amount"),
        (row_change(lambda row: row["job"].update(id="../x")), "proper id"),
        (row_change(lambda row: row.update(ledger=99)), "newer wan_notebook"),
        (row_change(lambda row: row.update(ledger="1")), "no exported row"),
        (row_change(lambda row: row["job"].update(evil=1)), "columns that no ledger has"),
        (lambda members: members.update({"ledger.jsonl": b"{]"}), "no JSON"),
        (lambda members: members.update({"ledger.jsonl": b"[1]"}), "no object"),
    ],
)
def test_rows_that_are_not_sound_are_refused(
    bundle: Path, other: Project, tmp_path: Path, change: Callable[[Members], None], match: str
) -> None:
    """A row may name only files of its store that are in the bundle and are what it says; else all is refused."""
    refused(rezip(bundle, tmp_path / "bad.zip", change), other, match)


def test_a_job_that_names_another_one_s_picture_is_refused(project: Project, other: Project, tmp_path: Path) -> None:
    """Each job that names a file must say of it what it is, or it would be shown as what it is not."""
    project.write_notebook(shown(project.job(), project.job(seed=6)))
    sound = pack(project, tmp_path / "two.zip")
    for taker, owner in ((0, 1), (1, 0)):

        def take(members: Members, taker: int = taker, owner: int = owner) -> None:
            rows = rows_of(members)
            rows[taker]["pictures"][0]["file"] = rows[owner]["pictures"][0]["file"]
            set_rows(members, rows)

        refused(rezip(sound, tmp_path / "bad.zip", take), other, "is not the picture that its job says")


def manifest_change(**changes: object) -> Callable[[dict], dict]:
    """Change fields of the manifest."""
    return lambda manifest: {**manifest, **changes}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (manifest_change(version=2), "version 2.*reads up to 1"),
        (manifest_change(version=True), "damaged"),
        (manifest_change(schema="other/bundle"), "no bundle of wan_notebook"),
        (manifest_change(files=[]), "damaged"),
        (manifest_change(files={}), "damaged"),
        (manifest_change(notebook="other.ipynb"), "damaged"),
        (manifest_change(notebook="ledger.jsonl"), "damaged"),
        (manifest_change(named=["/etc/passwd"]), "damaged"),
        (manifest_change(named=["study.ipynb"]), "no picture that a cell reads"),
        (manifest_change(fetched={"replay": "inputs/x.png"}), "damaged"),
        (manifest_change(fetched={"url:" + "0" * 64: "ledger.db"}), "no picture of a store"),
        (manifest_change(store="/"), "damaged"),
    ],
)
def test_manifests_that_are_not_sound_are_refused(
    bundle: Path, other: Project, tmp_path: Path, change: Callable[[dict], dict], match: str
) -> None:
    """A newer version is told as such with the hint; anything else that is wrong refuses the whole bundle."""
    with zipfile.ZipFile(bundle) as zipped:
        members = {n: zipped.read(n) for n in zipped.namelist()}
    members["manifest.json"] = json.dumps(change(json_of(members))).encode()
    refused(zip_of(tmp_path / "bad.zip", members), other, match)


def test_a_wrong_hash_is_refused(bundle: Path, other: Project, tmp_path: Path) -> None:
    """Each file must be what the manifest says, whichever it is."""
    with zipfile.ZipFile(bundle) as zipped:
        members = {n: zipped.read(n) for n in zipped.namelist()}
    for name in [n for n in members if n not in ("manifest.json", "ledger.jsonl")]:
        bad = {**members, name: members[name][:-1] + bytes([members[name][-1] ^ 1])}
        refused(zip_of(tmp_path / "bad.zip", bad), other, "hash differs")


def test_a_newer_bundle_says_what_to_do(bundle: Path, other: Project, tmp_path: Path) -> None:
    """The message about a newer version names the update."""
    with zipfile.ZipFile(bundle) as zipped:
        members = {n: zipped.read(n) for n in zipped.namelist()}
    members["manifest.json"] = json.dumps({**json_of(members), "version": 7}).encode()
    with pytest.raises(RecipeError) as caught:
        unpack(zip_of(tmp_path / "new.zip", members), other)
    assert "pip install -U wan-notebook" in caught.value.hint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "schema",
    "version",
    "notebook",
    "store",
    "ledger",
    "named",
    "fetched",
    "files",
    "path",
    "size_bytes",
    "sha256",
]


@given(st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_as_a_manifest(data: bytes) -> None:
    """The manifest's reader gives its own error for anything that is none."""
    with pytest.raises(RecipeError):
        read_manifest(data)


@given(st.data())
def test_a_manifest_with_any_field_changed(data: st.DataObject) -> None:
    """Whatever stands in a field, it is read as a sound manifest or refused with the reader's own error."""
    item = {"path": "a.ipynb", "size_bytes": 1, "sha256": "0" * 64}
    manifest = {
        "schema": "wan-notebook/bundle", "version": 1, "notebook": "a.ipynb", "store": "wan-pictures",
        "ledger": "ledger.jsonl", "named": [], "fetched": {}, "files": [item, {**item, "path": "ledger.jsonl"}],
    }  # fmt: skip
    read_manifest(json.dumps(manifest).encode())
    target = data.draw(st.sampled_from([manifest, item]))
    target[data.draw(st.sampled_from(FIELDS))] = data.draw(json_values)
    with contextlib.suppress(RecipeError):
        read_manifest(json.dumps(manifest).encode())


@given(st.binary(max_size=200) | json_values.map(lambda v: json.dumps({"cells": v}).encode()))
def test_any_bytes_as_a_notebook(data: bytes) -> None:
    """The notebook's reader gives its own error or a document that can be walked."""
    try:
        document = document_of(data, "x.ipynb")
    except RecipeError:
        return
    assert isinstance(document.named(), list)
    assert isinstance(document.code, list)


def test_deep_nesting_is_refused(bundle: Path, other: Project, tmp_path: Path) -> None:
    """JSON that nests ten thousand levels deep is an error, not a crash."""
    deep = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    refused(rezip(bundle, tmp_path / "deep.zip", lambda m: m.update({"ledger.jsonl": deep})), other, "no JSON")
    with pytest.raises(RecipeError):
        read_manifest(deep)


@pytest.mark.parametrize("depth", [300, 700, 960, 990])
def test_nesting_that_json_can_just_read_does_no_harm(bundle: Path, other: Project, tmp_path: Path, depth: int) -> None:
    """A row that nests as deep as the parser allows is taken or refused; the reader does not fall over."""

    def nest(members: Members) -> None:
        row_change(lambda row: row["job"].update(usage={"a": "DEEP"}))(members)
        members["ledger.jsonl"] = members["ledger.jsonl"].replace(b'"DEEP"', b"[" * depth + b"]" * depth)

    with contextlib.suppress(WanError):
        unpack(rezip(bundle, tmp_path / "deep.zip", nest), other)
