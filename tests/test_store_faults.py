"""The store on disks that fail: nothing is called saved that is not, and nothing that was paid is thrown away."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wan_notebook.errors import StoreError
from wan_notebook.inputs import InputImage
from wan_notebook.store import Files, Saved, Store
from wan_notebook.store.parts import FORGOTTEN_S, clean, process_lives

NAME = "2026-11-24/1432-a-fox-s5-1.png"


class BrokenFiles(Files):
    """Files on which one call fails with one error, as often as it is called."""

    def __init__(self, call: str = "", code: int = 0, free: int = 10**12) -> None:
        self.call = call
        self.code = code
        self.free = free
        self.calls: list[str] = []

    def _do(self, call: str, *given: Any) -> Any:
        self.calls.append(call)
        if call == self.call:
            raise OSError(self.code, os.strerror(self.code))
        return getattr(super(), call)(*given)

    def write_new(self, path: Path, *pieces: bytes | memoryview) -> None:
        if self.call == "write_new" and self.code == errno.ENOSPC:
            path.write_bytes(pieces[0][: len(pieces[0]) // 2])  # a disk fills up in the middle of a file
        self._do("write_new", path, *pieces)

    def sync(self, path: Path) -> None:
        self._do("sync", path)

    def sync_folder(self, path: Path) -> None:
        self._do("sync_folder", path)

    def publish(self, temporary: Path, final: Path) -> None:
        self._do("publish", temporary, final)

    def make_folder(self, path: Path) -> bool:
        return bool(self._do("make_folder", path))

    def free_bytes(self, path: Path) -> int:
        return self.free


class NoLinks(Files):
    """A file system without hard links, such as a memory card's."""

    def link(self, temporary: Path, final: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "wan-pictures"


def part_of(store: Store, data: bytes) -> Path:
    """Return a download with these bytes."""
    part = store.part_path("abc", 0)
    store.ensure()
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(data)
    return part


def save(store: Store, part: Path, *pieces: bytes) -> Saved:
    """Stage and publish under the usual name."""
    return store.publish(store.stage(part, NAME, pieces=pieces))


def left(folder: Path) -> list[str]:
    """Return the files beside ``.gitignore``."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".gitignore")


FAULTS = [
    (errno.ENOSPC, "disk is full", "Free some space"),
    (errno.EDQUOT, "disk is full", "Free some space"),
    (errno.EROFS, "not writable", "WAN_HOME"),
    (errno.EACCES, "not writable", "WAN_HOME"),
    (errno.EIO, "Input/output error", "doctor"),
]


@pytest.mark.parametrize(("code", "said", "hint"), FAULTS)
@pytest.mark.parametrize("call", ["write_new", "make_folder"])
def test_a_disk_that_cannot_be_written_is_found_before_money_is_spent(
    folder: Path, call: str, code: int, said: str, hint: str
) -> None:
    """Full, read-only or broken: the check says which, where, and what to do, and leaves nothing behind."""
    Store(folder).ensure()
    files = BrokenFiles("", 0)
    store = Store(folder if call == "write_new" else folder / "new", files=files)
    files.call, files.code = call, code
    with pytest.raises(StoreError, match=said) as caught:
        store.check_writable()
    assert str(folder) in str(caught.value)
    assert hint in caught.value.hint
    assert left(folder) == []


def test_too_little_space_is_found_before_money_is_spent(folder: Path) -> None:
    """What the pictures will need is compared with what is free."""
    store = Store(folder, files=BrokenFiles(free=50_000_000))
    store.check_writable(need_bytes=50_000_000)
    with pytest.raises(StoreError, match="has 50 MB free, and this needs 60 MB"):
        store.check_writable(need_bytes=60_000_000)


@pytest.mark.parametrize(("code", "said", "hint"), FAULTS)
@pytest.mark.parametrize("call", ["write_new", "sync", "publish", "sync_folder"])
def test_a_save_that_fails_is_said_and_loses_nothing(folder: Path, call: str, code: int, said: str, hint: str) -> None:
    """Whichever step fails, the error is exact, no half picture has a name, and trying again succeeds."""
    files = BrokenFiles()
    store = Store(folder, files=files)
    store.ensure()
    part = part_of(store, b"paid picture")
    pieces = (b"paid picture", b"!") if call == "write_new" else ()
    files.call, files.code = call, code
    with pytest.raises(StoreError, match=said) as caught:
        save(store, part, *pieces)
    assert hint in caught.value.hint
    for path in folder.rglob("*.png"):
        assert path.read_bytes() in (b"paid picture", b"paid picture!")
    files.call = ""
    if not part.exists():  # it got its name, and only the folder could not be synced: fetched again, it is recognised
        part.write_bytes(b"paid picture")
    saved = save(store, part, *pieces)
    assert saved.file == NAME
    assert store.read(NAME).startswith(b"paid picture")
    part.unlink(missing_ok=True)  # whoever downloaded it drops it then
    assert left(folder) == [NAME.rpartition("/")[2]]


def test_a_picture_is_on_the_disk_before_it_has_its_name(folder: Path) -> None:
    """The order is: bytes synced, name given, folder synced. Another one could show a name without its bytes."""
    files = BrokenFiles()
    store = Store(folder, files=files)
    part = part_of(store, b"png")
    files.calls.clear()
    save(store, part)
    assert files.calls.index("sync") < files.calls.index("publish") < len(files.calls) - 1
    assert files.calls[-1] == "sync_folder"


def test_a_full_disk_leaves_no_half_input(folder: Path) -> None:
    """An input that could not be kept is an error before anything is sent, and no torn file takes its name."""
    files = BrokenFiles()
    store = Store(folder, files=files)
    store.ensure()
    files.call, files.code = "write_new", errno.ENOSPC
    image = InputImage(name="x", identity="x", data=b"x" * 1000, mime="image/png", width_px=1, height_px=1)
    with pytest.raises(StoreError, match="disk is full"):
        store.save_input(image)
    assert left(folder) == []


def test_a_file_system_without_links_overwrites_nothing_either(folder: Path) -> None:
    """Where names cannot be given by a link, a name is reserved first."""
    store = Store(folder, files=NoLinks())
    assert save(store, part_of(store, b"one")).file == NAME
    second = save(store, part_of(store, b"two"))
    assert store.read(NAME) == b"one"
    assert store.read(second.file) == b"two"
    assert len(left(folder)) == 2


def test_a_real_limit_of_the_system_is_said(folder: Path) -> None:
    """A write error of the system itself, not one of a test's, reads as well."""
    code = f"""
import resource, signal
from pathlib import Path
from wan_notebook.errors import StoreError
from wan_notebook.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path({str(folder)!r}))
store.ensure()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.add("x.png", b"x" * 100_000)
except StoreError as error:
    print(error)
"""
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50, cwd=root
    )
    assert "disk is full" in done.stdout
    assert left(folder) == []


def test_reading_what_is_gone_says_so(folder: Path) -> None:
    """A picture that somebody deleted is named."""
    store = Store(folder)
    store.ensure()
    with pytest.raises(StoreError, match=r"fox-s5-1\.png failed: it is not there"):
        store.read(NAME)


# ------------------------------------------------------------------ what crashes leave


def test_parts_of_dead_processes_go(tmp_path: Path) -> None:
    """A killed kernel's downloads are deleted; those of living ones and of other machines stay, for a day."""
    here, there = "0" * 8, "1" * 8
    names = {
        f"abc-0.{here}-11.part": True,
        f"abc-0.{here}-11.ready": True,
        f"new-ff.{here}-11.part": True,
        f"abc-1.{here}-22.part": False,
        f"abc-0.{there}-11.part": False,
        "notes.part": False,
        f"abc.{here}-x.part": False,
    }
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    gone = clean(tmp_path, here, lives=lambda pid: pid == 22)
    assert sorted(gone) == sorted(name for name, is_dead in names.items() if is_dead)
    later = (tmp_path / "notes.part").stat().st_mtime + FORGOTTEN_S + 60
    clean(tmp_path, here, lives=lambda _: True, now=lambda: later)
    assert sorted(path.name for path in tmp_path.glob("*.part")) == [f"abc.{here}-x.part", "notes.part"]


def test_one_s_own_parts_stay(folder: Path) -> None:
    """A kernel does not delete its own download."""
    store = Store(folder)
    part = part_of(store, b"half")
    assert store.clean_parts() == []
    assert part.exists()


def test_a_dead_process_is_told_from_a_living_one() -> None:
    """The own process lives; one that has been waited for does not; no number is an error."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_lives(os.getpid())
    assert process_lives(1)
    assert not process_lives(child.pid)
    assert process_lives(2**40)


@pytest.mark.parametrize("at_once", [1, 3, 5, 7, 100])
@pytest.mark.parametrize("has_writev", [True, False])
def test_a_disk_that_takes_a_little_at_a_time_gets_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, *, has_writev: bool
) -> None:
    """A call that writes less than it was given is followed by another one, from where it stopped."""
    write = os.write

    def some(descriptor: int, data: Any) -> int:
        return write(descriptor, bytes(data)[:at_once])

    monkeypatch.setattr(os, "write", some)
    if has_writev:
        monkeypatch.setattr(os, "writev", lambda descriptor, views: some(descriptor, b"".join(views)))
    else:
        monkeypatch.delattr(os, "writev", raising=False)
    Files().write_new(tmp_path / "a.png", b"head", b"", memoryview(b"block"), b"rest")
    assert (tmp_path / "a.png").read_bytes() == b"headblockrest"
