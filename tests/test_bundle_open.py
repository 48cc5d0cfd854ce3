"""Opening a bundle: all of it arrives, once, and nothing that was there is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import bundle_kit
from tests.bundle_kit import Project, code, pack, png, rezip, sha256, shown, tree, unpack
from wan_notebook.bundle import Project as Bundled
from wan_notebook.bundle import plan_bundle, select, write_bundle
from wan_notebook.errors import RecipeError, StoreError
from wan_notebook.ledger import HistoryQuery
from wan_notebook.recipe import changed_in, read_recipe

project, other = bundle_kit.project, bundle_kit.other


@pytest.fixture
def bundle(project: Project, tmp_path: Path) -> Path:
    """A bundle of two jobs, one of them with an input."""
    project.job(seed=5, pictures=2, inputs=[project.input("photo", png(77))])
    project.job("an owl", seed=6)
    (project.root / "cat.png").write_bytes(png(3))
    rows = reversed(project.ledger.history().rows)
    project.write_notebook(shown(*rows), code('open("cat.png")'))
    return pack(project, tmp_path / "paper.zip")


def test_everything_arrives(project: Project, other: Project, bundle: Path) -> None:
    """Jobs, pictures byte for byte, sidecars, inputs, the notebook and the pictures that its cells read."""
    done = unpack(bundle, other)

    theirs, mine = tree(project.store.folder), tree(other.store.folder)
    assert mine == theirs
    assert len(done.added) == 2
    assert set(done.placed) == {"study.ipynb", "cat.png"}
    assert (other.root / "study.ipynb").read_bytes() == project.notebook.read_bytes()
    for row in project.ledger.history().rows:
        here = other.ledger.get(row.id)
        assert (here.prompt, here.seed, here.fp_sent, here.pictures[0].sha256) == (
            row.prompt, row.seed, row.fp_sent, row.pictures[0].sha256,
        )  # fmt: skip
        assert here.imported_at is not None


def test_imported_costs_count_in_no_sum(other: Project, bundle: Path) -> None:
    """What somebody else paid is shown with the job and adds to no total, budget or price."""
    done = unpack(bundle, other)

    assert str(other.ledger.get(done.added[0]).cost) == "$0.06"
    assert str(other.ledger.spend().total) == "$0.00"
    assert str(other.ledger.history().total) == "$0.00"
    assert other.ledger.spend().pictures_made == 0


def test_opening_again_changes_nothing(other: Project, bundle: Path) -> None:
    """A second opening adds no job and no file."""
    unpack(bundle, other)
    before = tree(other.root)
    done = unpack(bundle, other)

    assert (done.added, done.written, done.restored, done.placed) == ((), (), (), ())
    assert len(done.present) == 2
    assert tree(other.root) == before
    assert other.ledger.history().total_rows == 2


def test_a_bundle_of_an_older_version_opens_and_restores(other: Project, bundle: Path, tmp_path: Path) -> None:
    """Its rows have the hash of each file in the place of the recipe's: they are compared by what they have."""

    def age(members: dict[str, bytes]) -> None:
        rows = [json.loads(line) for line in members["ledger.jsonl"].splitlines()]
        for row in rows:
            row["ledger"] = 1
            for picture in row["pictures"]:
                del picture["recipe_sha256"]
                picture["file_sha256"] = sha256(members[f"wan-pictures/{picture['file']}"])
        members["ledger.jsonl"] = b"\n".join(json.dumps(row).encode() for row in rows)

    older = rezip(bundle, tmp_path / "older.zip", age)
    assert len(unpack(older, other).added) == 2
    picture = other.ledger.history().rows[0].pictures[0]
    whole = other.store.read(picture.file)
    assert changed_in(whole, picture) == ""
    other.store.path(picture.file).unlink()
    assert picture.file in unpack(older, other).restored
    assert other.store.read(picture.file) == whole


def test_the_store_does_not_become_a_replay_only_one(other: Project, bundle: Path) -> None:
    """A project of one's own goes on buying: only the bundle's own store is replay-only."""
    unpack(bundle, other)
    assert other.ledger.meta_get("replay") is None


def test_files_of_the_same_name_are_never_overwritten(project: Project, other: Project, bundle: Path) -> None:
    """Where another file has the name, the picture gets the next one, its row says so, and a repeat knows it."""
    row = project.ledger.history(HistoryQuery(seed=5)).rows[0]
    taken = other.store.path(row.pictures[0].file)
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    (other.root / "study.ipynb").write_text("my own notebook")
    done = unpack(bundle, other)
    here = other.ledger.get(row.id).pictures[0]

    assert taken.read_bytes() == b"mine"
    assert here.file == row.pictures[0].file.replace(".png", "_2.png")
    assert changed_in(other.store.read(here.file), row.pictures[0]) == ""
    assert json.loads(other.store.read(f"{here.file}.json"))["job_id"] == row.id
    assert (other.root / "study.ipynb").read_text() == "my own notebook"
    assert any("study.ipynb is here already and differs" in note for note in done.notes)
    before = tree(other.root)
    unpack(bundle, other)
    assert tree(other.root) == before


def test_a_crash_between_files_and_rows_is_harmless(project: Project, other: Project, bundle: Path) -> None:
    """Files that an interrupted opening left are found again, under whatever name they got."""
    row = project.ledger.history(HistoryQuery(seed=5)).rows[0]
    other.store.add(row.pictures[0].file, b"mine")
    original = other.ledger.import_rows
    other.ledger.import_rows = _crash
    with pytest.raises(KeyboardInterrupt):
        unpack(bundle, other)
    other.ledger.import_rows = original
    before = tree(other.store.folder)
    done = unpack(bundle, other)

    assert len(done.added) == 2
    assert done.written == ()
    assert tree(other.store.folder) == before


def _crash(_rows: object) -> None:
    raise KeyboardInterrupt


def test_what_was_lost_is_put_back(project: Project, other: Project, bundle: Path) -> None:
    """Opening the bundle again restores a deleted picture and input under their names, and says so."""
    unpack(bundle, other)
    row = other.ledger.get(project.ledger.history(HistoryQuery(seed=5)).rows[0].id)
    lost, kept = other.file(row), other.store.path(row.inputs[0].file)
    lost.unlink()
    kept.unlink()
    done = unpack(bundle, other)

    assert set(done.restored) == {row.pictures[0].file, row.inputs[0].file}
    assert changed_in(lost.read_bytes(), row.pictures[0]) == ""
    assert done.added == ()


def test_another_job_with_the_same_id_is_left_alone(other: Project, bundle: Path, tmp_path: Path) -> None:
    """Ids are short: a stranger with the same id stays as he is, and the person is told."""
    unpack(bundle, other)
    ids = [row.id for row in other.ledger.history().rows]

    def stranger(members: dict[str, bytes]) -> None:
        rows = [json.loads(line) for line in members["ledger.jsonl"].splitlines()]
        rows[0]["job"]["created_at"] += 1
        members["ledger.jsonl"] = b"\n".join(json.dumps(row).encode() for row in rows)

    done = unpack(rezip(bundle, tmp_path / "other.zip", stranger), other)
    assert len(done.conflicts) == 1
    assert "was left alone" in done.notes[-1]
    assert sorted(row.id for row in other.ledger.history().rows) == sorted(ids)


def test_files_that_the_manifest_does_not_name_stay_in_the_zip(other: Project, bundle: Path, tmp_path: Path) -> None:
    """A licence that somebody added to the zip does no harm, and is not unpacked."""

    def add(members: dict[str, bytes]) -> None:
        members["LICENSE"] = b"CC-BY"
        members["wan-pictures/2026-11-25/extra.png"] = png(1)

    unpack(rezip(bundle, tmp_path / "licensed.zip", add), other)
    assert not (other.root / "LICENSE").exists()
    assert not other.store.exists("2026-11-25/extra.png")


def test_recipes_say_the_same_after_the_journey(project: Project, other: Project, bundle: Path) -> None:
    """A picture that arrived carries its recipe as it was written."""
    unpack(bundle, other)
    row = other.ledger.history(HistoryQuery(seed=6)).rows[0]
    recipe = read_recipe(other.file(row).read_bytes())

    assert recipe is not None
    assert (recipe.job_id, recipe.prompt, recipe.picture.sha256) == (row.id, "an owl", row.pictures[0].sha256)


def test_kept_addresses_arrive_and_never_replace(project: Project, other: Project, tmp_path: Path) -> None:
    """A kept copy of an address comes along; one that this project has already stays."""
    urls = ["https://example.test/a.png", "https://example.test/b.png"]
    for seed, url in enumerate(urls):
        file = project.store.add(f"inputs/fetched-000000000000000{seed}.png", png(seed)).file
        project.ledger.meta_set(f"url:{sha256(url.encode())}", file)
    project.write_notebook(shown(project.job(), source=f"%%wan -i {urls[0]} -i {urls[1]}\nx"))
    other.ledger.meta_set(f"url:{sha256(urls[1].encode())}", "inputs/mine.png")
    unpack(pack(project, tmp_path / "paper.zip"), other)

    first = other.ledger.meta_get(f"url:{sha256(urls[0].encode())}")
    assert first is not None
    assert other.store.read(first) == png(0)
    assert other.ledger.meta_get(f"url:{sha256(urls[1].encode())}") == "inputs/mine.png"


def test_a_read_only_store_is_told_before_anything_is_written(
    other: Project, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that cannot take the pictures is an error first, not after half of them."""

    def full(need_bytes: int = 0) -> None:
        raise StoreError(f"full: {need_bytes > 10_000}")

    monkeypatch.setattr(other.store, "check_writable", full)
    with pytest.raises(StoreError, match="full: True"):
        unpack(bundle, other)
    assert [name for name in tree(other.root) if not name.endswith(".gitignore")] == []


def test_a_missing_bundle_is_named(other: Project, tmp_path: Path) -> None:
    """A path that leads nowhere, a folder and an empty file are errors that name it."""
    (tmp_path / "empty.zip").write_bytes(b"")
    for name in ("nothing.zip", "empty.zip", "."):
        with pytest.raises(RecipeError, match="cannot be read"):
            unpack(tmp_path / name, other)


def test_a_link_in_the_project_leads_nothing_out(project: Project, other: Project, tmp_path: Path) -> None:
    """A folder of the project that is a link to elsewhere is not written through."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (other.root / "chapters").symlink_to(outside)
    fox = project.job()
    notebook = project.write_notebook(shown(fox), path=project.root / "chapters" / "two.ipynb")
    plan = plan_bundle(Bundled.of(notebook, project.ledger, project.store), select(project.ledger, [fox.id]))
    write_bundle(plan, tmp_path / "paper.zip")
    done = unpack(tmp_path / "paper.zip", other)

    assert list(outside.iterdir()) == []
    assert any("by a link" in note for note in done.notes)
