"""The folder of pictures: what is in it is whole, named once, and never overwritten."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from pathlib import Path

import pytest

from wan_notebook.errors import StoreError
from wan_notebook.inputs import InputImage
from wan_notebook.store import Saved, Store

AT = dt.datetime(2026, 11, 24, 14, 32, tzinfo=dt.UTC)
NAME = "2026-11-24/1432-a-fox-s5-1.png"


def sha256(data: bytes) -> str:
    """Return a hash in hex."""
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose folder does not exist yet."""
    return Store(tmp_path / "wan-pictures")


def part_of(store: Store, data: bytes, job_id: str = "abc", idx: int = 0) -> Path:
    """Return a download with these bytes."""
    part = store.part_path(job_id, idx)
    store.ensure()
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(data)
    return part


def save(store: Store, part: Path, *pieces: bytes) -> Saved:
    """Stage and publish under the usual name."""
    return store.publish(store.stage(part, NAME, pieces=pieces))


def files_of(store: Store) -> list[str]:
    """Return every file of the store."""
    return sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file())


def image(data: bytes = b"a picture", mime: str = "image/png") -> InputImage:
    """Return an input picture."""
    return InputImage(name="photo", identity="x", data=data, mime=mime, width_px=1, height_px=1)


def test_looking_makes_nothing(store: Store) -> None:
    """Reading, asking and measuring create no folder."""
    assert not store.exists(NAME)
    assert not store.holds(NAME, "x")
    assert (store.usage().files, store.clean_parts(), store.delete(NAME)) == (0, [], False)
    assert store.picture_name(AT, "a fox", 5, 0, "png") == NAME
    with pytest.raises(StoreError, match="not there"):
        store.read(NAME)
    assert not store.folder.exists()


def test_a_new_folder_stays_out_of_version_control(store: Store) -> None:
    """The first write brings a .gitignore, which is the person's own from then on."""
    store.check_writable()
    ignore = store.folder / ".gitignore"
    assert "*" in ignore.read_text().splitlines()
    ignore.write_text("mine")
    store.save_input(image())
    assert ignore.read_text() == "mine"
    ignore.unlink()
    store.save_input(image(b"another"))
    assert not ignore.exists()


def test_a_picture_gets_its_name_and_the_part_goes(store: Store) -> None:
    """A finished download becomes the file, byte for byte, and nothing is left beside it."""
    part = part_of(store, b"png bytes")
    assert save(store, part) == Saved(NAME, 9)
    assert store.read(NAME) == b"png bytes"
    assert store.holds(NAME, sha256(b"png bytes"))
    assert not store.holds(NAME, sha256(b"other"))
    assert files_of(store) == [".gitignore", NAME]


def test_the_recipe_is_embedded_on_the_way(store: Store) -> None:
    """What is in memory is written as it stands, in its pieces."""
    saved = save(store, store.part_path("abc", 0), b"png", b" with recipe")
    assert saved == Saved(NAME, 15)
    assert store.read(NAME) == b"png with recipe"
    assert files_of(store) == [".gitignore", NAME]


def test_no_file_is_ever_overwritten(store: Store) -> None:
    """Another picture of the same name gets a number; the first one keeps its bytes."""
    assert save(store, part_of(store, b"one")).file == NAME
    second = save(store, part_of(store, b"two")).file
    third = save(store, part_of(store, b"three")).file
    assert (second, third) == ("2026-11-24/1432-a-fox-s5-1_2.png", "2026-11-24/1432-a-fox-s5-1_3.png")
    assert [store.read(name) for name in (NAME, second, third)] == [b"one", b"two", b"three"]


def test_the_same_bytes_are_kept_once(store: Store) -> None:
    """A picture that is fetched again after a crash is recognised, not doubled."""
    save(store, part_of(store, b"one"))
    assert save(store, part_of(store, b"one")).file == NAME
    assert files_of(store) == [".gitignore", NAME]


def test_a_name_that_something_else_has_is_left_to_it(store: Store) -> None:
    """A folder of that name, or a link that leads nowhere, is no reason to fail: the picture gets the next name."""
    store.path(NAME).mkdir(parents=True)
    second = save(store, part_of(store, b"one")).file
    assert second == "2026-11-24/1432-a-fox-s5-1_2.png"
    store.path(second).unlink()
    (store.folder / second).symlink_to("nowhere")
    assert save(store, part_of(store, b"one")).file == "2026-11-24/1432-a-fox-s5-1_3.png"


def test_two_kernels_that_save_at_once_lose_nothing(store: Store) -> None:
    """Eight threads with one name end as eight files."""
    names: list[str] = []

    def put(at: int) -> None:
        names.append(save(store, part_of(store, f"{at}".encode(), idx=at)).file)

    threads = [threading.Thread(target=put, args=[at]) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.read(name) for name in set(names)) == [f"{at}".encode() for at in range(8)]


def test_staged_bytes_have_no_name_yet(store: Store) -> None:
    """Who noted the name of staged bytes can tell afterwards whether the file got it."""
    staged = store.stage(store.part_path("abc", 0), NAME, pieces=(b"png", b"!"))
    assert not store.exists(staged.file)
    store.publish(staged)
    assert store.read(staged.file) == b"png!"


def test_bytes_that_are_no_picture_are_kept_beside(store: Store) -> None:
    """A corrupt download is kept for the person, under a name that says so."""
    assert store.keep_corrupt(part_of(store, b"<html>"), NAME) == f"{NAME}.corrupt"
    assert store.keep_corrupt(part_of(store, b"<HTML>"), NAME) != f"{NAME}.corrupt"
    assert store.read(f"{NAME}.corrupt") == b"<html>"


def test_a_sidecar_follows_its_picture(store: Store) -> None:
    """The sidecar is replaced whole, takes any text, and goes with the picture."""
    save(store, part_of(store, b"png"))
    assert store.write_sidecar(NAME, "{}") == f"{NAME}.json"
    store.write_sidecar(NAME, '{"prompt": "狐 \ud800"}')
    assert store.read(f"{NAME}.json").decode() == '{"prompt": "狐 \\ud800"}'
    assert store.delete(NAME)
    assert files_of(store) == [".gitignore"]
    assert not (store.folder / "2026-11-24").exists()
    assert not store.delete(NAME)


def test_a_sidecar_that_fails_does_not_cost_its_picture(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The picture is what was paid for; its description can be had from the ledger."""
    (store.folder / f"{NAME}.json").mkdir(parents=True)  # in the way
    staged = store.stage(store.part_path("abc", 0), NAME, pieces=(b"png",), sidecar="{}")
    assert store.publish(staged).file == NAME
    assert store.read(NAME) == b"png"
    assert "description" in caplog.text


def test_what_a_killed_write_left_is_replaced(store: Store) -> None:
    """The process may have died while it wrote, and another one may have its number now."""
    part = store.part_path("abc", 0)
    store.ensure()
    part.parent.mkdir()
    part.with_name(part.name.replace(".part", ".ready")).write_bytes(b"half of an old pict")
    save(store, part, b"png")
    assert store.read(NAME) == b"png"


def test_deleting_keeps_what_else_is_in_the_folder(store: Store) -> None:
    """A day's folder goes with its last picture, not before."""
    store.add(NAME, b"a")
    store.add("2026-11-24/other.png", b"b")
    store.delete(NAME)
    assert store.read("2026-11-24/other.png") == b"b"


def test_an_input_is_kept_once_under_its_hash(store: Store) -> None:
    """The same picture given ten times is one file; its name is its content."""
    name = store.save_input(image())
    assert name == f"inputs/{sha256(b'a picture')[:16]}.png"
    before = (store.folder / name).stat().st_mtime_ns
    assert store.save_input(image()) == name
    assert (store.folder / name).stat().st_mtime_ns == before
    assert store.save_input(image(b"jpg", "image/jpeg")).endswith(".jpg")
    assert store.save_input(image(b"?", "application/x")).endswith(".bin")


def test_an_input_that_somebody_changed_is_kept_beside(store: Store) -> None:
    """What is sent is what is kept, even if the kept file was edited by hand; the edit stays too."""
    first = store.save_input(image())
    (store.folder / first).write_bytes(b"edited")
    second = store.save_input(image())
    assert second == f"inputs/{sha256(b'a picture')}.png"
    assert store.read(second) == b"a picture"
    assert store.save_input(image()) == second
    (store.folder / second).write_bytes(b"edited too")
    with pytest.raises(StoreError, match="changed by hand"):
        store.save_input(image())


def test_usage_counts_all(store: Store) -> None:
    """``doctor`` can say how large the folder is."""
    store.add(NAME, b"12345")
    store.add("inputs/x.png", b"123")
    usage = store.usage()
    assert usage.files == 3
    assert usage.size_bytes == 8 + (store.folder / ".gitignore").stat().st_size


def test_each_process_downloads_to_its_own_part(tmp_path: Path) -> None:
    """Two kernels that fetch one picture do not write into one file; job and picture are in the name."""
    places = {
        Store(tmp_path, pid=pid, host=host).part_path(job, idx)
        for pid in (1, 2)
        for host in ("a", "b")
        for job in ("x1", "x2")
        for idx in (0, 1)
    }
    assert len(places) == 16
    assert all(place.name.endswith(".part") for place in places)


def test_a_part_keeps_its_path_within_a_process(store: Store) -> None:
    """A download that was broken off is resumed, so its path may not change."""
    assert store.part_path("abc", 1) == store.part_path("abc", 1)
