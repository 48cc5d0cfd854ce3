"""The folder of pictures: what has a name is whole, named once, never overwritten, and inside the folder."""

import datetime as dt
import errno
import itertools
import os
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.environment import ROOT
from tests.fakes.disks import FullDisk
from wan_notebook.errors import StoreError
from wan_notebook.images import InputImage
from wan_notebook.storage import Storage

AT = dt.datetime(2026, 11, 24, 14, 32, tzinfo=dt.UTC)
NAME = "2026-11-24/1432-a-fox-s5-1.png"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A storage whose folder does not exist yet."""
    return Storage(tmp_path / "wan-pictures")


def part_of(storage: Storage, data: bytes, index: int = 0) -> Path:
    """Return a download with these bytes."""
    part = storage.part_path("abc", index)
    storage.ensure()
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(data)
    return part


def save(storage: Storage, part: Path, data: bytes | None = None) -> str:
    """Stage and publish under the usual name."""
    return storage.publish(storage.stage(part, data), NAME)


def files_of(storage: Storage) -> list[str]:
    """Return every file of the folder, except the one for version control."""
    found = [str(path.relative_to(storage.folder)) for path in storage.folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != ".gitignore")


def failing(code: int) -> Any:
    """Return a call that fails as the system does."""

    def call(*_args: Any, **_options: Any) -> None:
        raise OSError(code, os.strerror(code))

    return call


def image(data: bytes = b"a picture", mime: str = "image/png") -> InputImage:
    """Return an input picture."""
    return InputImage(name="photo", identity="x", data=data, mime=mime, width_px=1, height_px=1)


def test_looking_makes_nothing_and_a_new_folder_stays_out_of_version_control(storage: Storage) -> None:
    """Reading and asking create no folder; the first write brings a .gitignore, which is then the person's own."""
    storage.clean_parts()
    assert not any([storage.exists(NAME), storage.holds(NAME, "x")])
    storage.delete(NAME)
    assert storage.picture_name(AT, "a fox", 5, 0, ".png") == NAME
    with pytest.raises(StoreError, match=r"fox-s5-1\.png \(No such file"):
        storage.read(NAME)
    assert not storage.folder.exists()
    storage.check_writable()
    ignore = storage.folder / ".gitignore"
    assert "*" in ignore.read_text().splitlines()
    ignore.unlink()
    storage.save_input(image())
    assert not ignore.exists()


@pytest.mark.parametrize("has_links", [True, False])
def test_no_file_is_ever_overwritten(storage: Storage, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    """Another picture of a name gets a number, on a memory card without links too; folders and links keep theirs."""
    if not has_links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
    names = [NAME, *(NAME.replace(".png", f"_{number}.png") for number in range(2, 6))]
    # The same bytes, fetched again after a crash, are kept once.
    assert [save(storage, part_of(storage, data)) for data in (b"one", b"two", b"one")] == [*names[:2], NAME]
    (storage.folder / names[2]).mkdir()
    (storage.folder / names[3]).symlink_to("nowhere")
    assert save(storage, part_of(storage, b"three")) == names[4]
    assert [storage.read(names[at]) for at in (0, 1, 4)] == [b"one", b"two", b"three"]
    assert not storage.part_path("abc", 0).exists()


def test_bytes_are_durable_before_they_are_named_and_the_name_after(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another order could show a name without its bytes after a power cut."""
    events: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes")
        fsync(descriptor)

    def linked(*args: Any, **options: Any) -> None:
        events.append("name")
        link(*args, **options)

    part = part_of(storage, b"png")
    (storage.folder / NAME).parent.mkdir()
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    staged = storage.stage(part)
    assert not storage.exists(NAME)
    storage.publish(staged, NAME)
    save(storage, part, b"png!")
    assert [event for event, _ in itertools.groupby(events)] == ["bytes", "name", "folder"] * 2


def test_a_sidecar_follows_its_picture_and_never_costs_it(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    """It takes any text, goes with the picture, and a place that is taken is only noted."""
    storage.publish(storage.stage(storage.part_path("abc", 0), b"png"), NAME, '{"prompt": "狐 \ud800"}')
    assert storage.read(f"{NAME}.json").decode() == '{"prompt": "狐 \\ud800"}'
    storage.add("2026-11-24/other.png", b"b")
    storage.delete(NAME)
    assert files_of(storage) == ["2026-11-24/other.png"]
    (storage.folder / f"{NAME}.json").mkdir()
    assert storage.publish(storage.stage(storage.part_path("abc", 0), b"png"), NAME, "{}") == NAME
    assert "metadata" in caplog.text


def test_an_input_is_kept_once_under_its_hash(storage: Storage) -> None:
    """What is sent is what is kept, even if the kept file was edited by hand; the edit stays too."""
    name = storage.save_input(image())
    assert name == f"inputs/{image().sha256[:16]}.png" == storage.save_input(image())
    assert storage.save_input(image(b"jpg", "image/jpeg")).endswith(".jpg")
    (storage.folder / name).write_bytes(b"edited")
    second = storage.save_input(image())
    assert (storage.read(second), storage.read(name)) == (b"a picture", b"edited")
    assert len(files_of(storage)) == 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_takes_nothing_is_told_before_money_is_spent_and_loses_nothing(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Full, read-only or broken: the error says which, where and what to do; afterwards the same save succeeds."""
    disk, part = FullDisk(storage.folder, monkeypatch), part_of(storage, b"paid picture")
    disk.errno = code
    saves = (lambda: save(storage, part), lambda: save(storage, part, b"paid picture"))
    for call in (storage.check_writable, *saves, lambda: storage.save_input(image())):
        with pytest.raises(StoreError, match=os.strerror(code)) as caught:
            call()
        assert str(storage.folder) in str(caught.value)
        assert "WAN_HOME" in caught.value.hint
        assert "\n" not in str(caught.value)
    disk.errno = 0
    with monkeypatch.context() as patch:  # the bytes arrive, but not for good
        patch.setattr(os, "fsync", failing(code))
        with pytest.raises(StoreError, match=os.strerror(code)):
            save(storage, part)
    assert not storage.exists(NAME)
    assert save(storage, part) == NAME
    assert (files_of(storage), storage.read(NAME)) == ([NAME], b"paid picture")


def test_an_ascii_only_locale_saves_under_ascii_names(storage: Storage) -> None:
    """CASES H4: a picture that is paid must not be lost to its name; what was named elsewhere is told in one line."""
    code = f"""
import datetime as dt, pathlib
from wan_notebook.storage import Storage
storage = Storage(pathlib.Path({str(storage.folder)!r}))
for prompt in ("\\u706f\\u53f0", "a ch\\u00e2teau, \\u96ea"):
    print(storage.add(storage.picture_name(dt.datetime(2026, 11, 24, 14, 32), prompt, 1, 0, ".png"), prompt.encode()))
print(storage.exists("2026-11-24/\\u706f.png"), storage.holds("2026-11-24/\\u706f.png", ""))
storage.read("2026-11-24/\\u706f.png")
"""
    locale = {"PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env = {**os.environ, **locale}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    names = ["2026-11-24/1432-picture-s1-1.png", "2026-11-24/1432-a-chateau-s1-1.png"]
    assert done.stdout.splitlines() == [*names, "False False"]
    assert "StoreError: cannot read" in done.stderr


def test_parts_that_can_no_longer_be_finished_go(storage: Storage) -> None:
    """What a killed kernel's downloads left is deleted when the service keeps the result no more; nothing else is."""
    part = part_of(storage, b"half")
    assert part == storage.part_path("abc", 0) != Storage(storage.folder).part_path("abc", 0)
    old = [part.with_name(name) for name in ("new-1.0f.ready", "old-0.0f.part", "notes.txt")]
    for path in old:
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    storage.clean_parts()
    assert {*part.parent.iterdir()} == {part, old[2]}


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("A fox, in SNOW!", "a-fox-in-snow"),
        ("../../etc/passwd", "etc-passwd"),
        ("\u202egnp.exe\x00 <img onerror=alert(1)>", "gnp-exe-img-onerror-alert-1"),
        ("e\u0301te\u0301", "été"),
        ("हिन्दी", "हिन्दी"),
        ("word " * 100, "-".join(["word"] * 12)),
    ],
)
def test_prompts_become_words_of_a_name(storage: Storage, prompt: str, words: str) -> None:
    """A name says what was asked, in the prompt's own script, without anything a system could trip over."""
    assert storage.picture_name(AT, prompt, None, 1, ".png") == f"2026-11-24/1432-{words}-2.png"
    edited = storage.picture_name(AT, prompt, 5, 0, ".png", "my Cat " + "and more " * 9)
    assert edited == f"2026-11-24/1432-{words}-my-cat-and-more-and-more-s5-1.png"


@given(st.text(max_size=300), st.integers(0, 2**31 - 1) | st.none(), st.integers(0, 9))
def test_any_prompt_makes_a_name_for_every_system(prompt: str, seed: int | None, index: int) -> None:
    """Whatever the prompt, the name is safe, short, NFC, lower case, inside the folder, and the same each time."""
    storage = Storage(Path("/nonexistent"))
    name = storage.picture_name(AT, prompt, seed, index, ".webp", prompt)
    assert name == storage.picture_name(AT, prompt, seed, index, ".webp", prompt)
    day, _, file = name.partition("/")
    assert (day, len(file.encode()) <= 120, file == file.lower()) == ("2026-11-24", True, True)
    assert not set(file) & set('/\\:*?"<>|\x00')
    assert file.isprintable()
    assert unicodedata.normalize("NFC", file) == file
    assert storage.path(name) == Path("/nonexistent") / name


BAD_PATHS = ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./x", "a/.", "C:\\x", "a\\b", "x\x00", "a:b", "a "]
TOO_LONG = ["n" * 300, "2026-11-24/" + "n" * 300 + ".png"]


@pytest.mark.parametrize("bad", BAD_PATHS + TOO_LONG)
def test_no_path_leads_out_of_the_folder(storage: Storage, bad: str) -> None:
    """One that could, on any system, or that the system does not take, from a ledger, bundle or person: one line."""
    is_long = len(bad) > 200
    uses = (storage.read, storage.exists, storage.delete, storage.path)
    for use in (*(() if is_long else uses), lambda path: storage.add(path, b"x")):
        with pytest.raises(StoreError, match="too long" if is_long else "not a path inside") as caught:
            use(bad)
        assert len(str(caught.value)) < 400


OURS = ["2026-11-24", ".parts", ".cache", "inputs", "ledger.db", "ledger.db-wal", "ledger.db-journal", ".gitignore"]


@pytest.mark.parametrize("name", OURS)
def test_planted_links_are_refused_before_anything_is_sent(storage: Storage, tmp_path: Path, name: str) -> None:
    """Attack: somebody else's folder leads pictures, inputs or the ledger elsewhere, or has us wait for a pipe."""
    storage.ensure()
    (tmp_path / "outside").mkdir()
    for plant in (os.mkfifo, lambda path: path.symlink_to(tmp_path / "outside")):
        (storage.folder / name).unlink(missing_ok=True)
        plant(storage.folder / name)
        for check in (storage.ensure, storage.check_writable, lambda: storage.save_input(image())):
            with pytest.raises(StoreError, match=r"is a link|through a link") as caught:
                check()
            assert "Remove" in caught.value.hint
    assert not list((tmp_path / "outside").iterdir())
    assert not name[0].isdigit() or not storage.folder.joinpath(".parts").exists()


def test_what_stands_in_the_way_is_told_early_and_no_link_is_followed(storage: Storage, tmp_path: Path) -> None:
    """A picture could not be saved there after it was paid; a link deeper inside leads nowhere either."""
    storage.ensure()
    (storage.folder / "2026-11-24").write_text("in the way")
    with pytest.raises(StoreError, match="2026-11-24 is a link or a file"):
        storage.check_writable()
    (storage.folder / "own").symlink_to(tmp_path)
    for use in (storage.read, storage.exists, storage.delete):
        with pytest.raises(StoreError, match="through a link"):
            use("own/x.png")


def test_a_planted_pipe_or_file_of_holes_is_not_read(storage: Storage) -> None:
    """One would stop the kernel for ever, the other fill its memory."""
    storage.ensure()
    os.mkfifo(storage.folder / "pipe.png")
    with (storage.folder / "holes.png").open("wb") as file:
        file.truncate(2**36)
    for name in ("pipe.png", "holes.png"):
        assert not storage.holds(name, "")
        with pytest.raises(StoreError, match="not a file, or is too large"):
            storage.read(name)
