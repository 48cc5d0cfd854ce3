"""Zip files from strangers: names that lead elsewhere, links, bombs, lies about sizes; none is unpacked."""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import bundle_kit
from tests.bundle_kit import Project, code, pack, png, shown, tree, unpack, zip_of
from wan_notebook.bundle.archive import Limits, opened
from wan_notebook.bundle.names import checked_name, key_of, refuse_twins
from wan_notebook.bundle.unpack import check
from wan_notebook.errors import RecipeError, WanError

project, other = bundle_kit.project, bundle_kit.other

BAD_NAMES = [
    "../evil.png", "a/../../evil.png", "..", ".", "a/./b", "/etc/passwd", "//host/share/x", "a//b", "a/", "",
    "C:/x.png", "C:x.png", "c:\\x.png", "a\\b.png", "..\\evil", "\\\\host\\share", "x.png:stream", "nul", "NUL.txt",
    "con.png", "a/AUX", "COM1", "com¹.png", "lpt9.tar.gz", "conout$", "clock$.x", "a\0b", "x\n.png", "x\x1b[31m.png",
    "x\u202egnp.exe", "a\u200b.png", "trailing.", "trailing ", "a /b", " leading", ".hidden", "a/.git/config",
    "wan-pictures/.cache/x.webp", "what?.png", "star*.png", "a|b", "<b>", 'quote".png', "\ud800.png", "x" * 401,
    "y" * 201, "a/" * 9 + "x", "aux.ipynb", "\u2028x",
]  # fmt: skip


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


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("name", BAD_NAMES)
def test_hostile_names_are_refused(name: str) -> None:
    """What leads elsewhere, on any system, or cannot be printed safely, is no name; the error shows it escaped."""
    with pytest.raises(RecipeError) as caught:
        checked_name(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["a.png", "wan-pictures/2026-11-25/1432-狐-im-schnee-s5-1.png", "data/Été 2.jpg", "x.tar.gz", "common.png"]
)
def test_honest_names_pass(name: str) -> None:
    """Letters of any script, spaces inside, several dots, and names that merely begin like a device are fine."""
    assert checked_name(name) == name


@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "", "a", "C:", "\\", "nul", " "])).map("/".join))
def test_a_name_that_passes_stays_inside(name: str) -> None:
    """Whatever passes is relative, has no way up, and means the same under POSIX and Windows rules."""
    try:
        checked_name(name)
    except RecipeError:
        return
    windows = PureWindowsPath(name)
    assert not PurePosixPath(name).is_absolute()
    assert not windows.drive
    assert not windows.root
    assert windows.as_posix() == str(PurePosixPath(name)) == name
    assert ".." not in windows.parts
    assert not windows.is_reserved() if hasattr(windows, "is_reserved") else True


@pytest.mark.parametrize(
    "names",
    [
        ("a.png", "a.png"),
        ("a.png", "A.PNG"),
        ("caf\u00e9", "cafe\u0301"),
        ("a", "a/b"),
        ("A/x", "a"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_names_that_some_system_takes_for_one_are_refused(names: tuple[str, str]) -> None:
    """The second of two such files would overwrite the first on a Mac or on Windows."""
    with pytest.raises(RecipeError):
        refuse_twins(names)


@given(st.text(max_size=20))
def test_the_key_of_a_name_is_stable(name: str) -> None:
    """Neither case nor Unicode form makes a difference."""
    assert key_of(key_of(name)) == key_of(name) == key_of(unicodedata.normalize("NFD", name))


# ------------------------------------------------------------------ zip files


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil", "C:/x.png", "a\\b.png", "wan-pictures/nul.png", ".x"])
def test_a_zip_with_a_hostile_name_is_refused(bundle: Path, other: Project, tmp_path: Path, name: str) -> None:
    """Even a file that the manifest does not name may not have such a name."""
    with zipfile.ZipFile(bundle) as zipped:
        members = {n: zipped.read(n) for n in zipped.namelist()}
    refused(zip_of(tmp_path / "bad.zip", {**members, name: b"x"}), other, "refused")


def test_a_name_that_is_empty_to_pythons_reader_is_refused(other: Project, tmp_path: Path) -> None:
    """Python cuts a name at a NUL; one that begins with it must not surprise anybody."""
    path = tmp_path / "nul.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("QQQ.png", b"x")
    path.write_bytes(path.read_bytes().replace(b"QQQ.png", b"\0QQ.png"))
    refused(path, other, "leads elsewhere")


def test_links_and_devices_are_refused(bundle: Path, other: Project, tmp_path: Path) -> None:
    """An entry that would become a symbolic link, a device or a pipe is refused."""
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK):
        bad = tmp_path / f"{kind}.zip"
        bad.write_bytes(bundle.read_bytes())
        info = zipfile.ZipInfo("wan-pictures/link.png")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        with zipfile.ZipFile(bad, "a") as zipped:
            zipped.writestr(info, "/etc/passwd")
        refused(bad, other, "link or a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_are_refused(bundle: Path, other: Project, tmp_path: Path) -> None:
    """Two entries of one name: one reader takes the first, another the last."""
    bad = tmp_path / "twice.zip"
    bad.write_bytes(bundle.read_bytes())
    with zipfile.ZipFile(bad, "a") as zipped:
        zipped.writestr("ledger.jsonl", "{}")
    refused(bad, other, "twice")


def test_bombs_are_refused(other: Project, tmp_path: Path) -> None:
    """Too many entries, too many bytes, too tight a ratio: each is refused from the directory alone."""
    zip_of(tmp_path / "ratio.zip", {"manifest.json": b" " * 50_000_000})
    refused(tmp_path / "ratio.zip", other, "would unpack to 50000000 bytes")
    many = zip_of(tmp_path / "many.zip", {f"{i}.png": b"x" for i in range(300)})
    for limits, match in (
        (Limits(entries=299), "300 files"),
        (Limits(directory_bytes=1000), "300 files"),
        (Limits(total_bytes=299), "would unpack to"),
        (Limits(file_bytes=0), "would unpack to"),
    ):
        with pytest.raises(RecipeError, match=match):
            unpack(many, other, limits=limits)
    assert tree(other.store.folder).keys() == {".gitignore"}


def test_files_that_share_bytes_are_refused(bundle: Path, other: Project, tmp_path: Path) -> None:
    """Directory entries that overlap let a small zip unpack to any amount: refused."""
    with zipfile.ZipFile(tmp_path / "overlap.zip", "w") as zipped:
        zipped.writestr("a.png", png(1))
        first = zipped.filelist[0]
        twin = zipfile.ZipInfo("b.png")
        for field in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
            setattr(twin, field, getattr(first, field))
        zipped.filelist.append(twin)
        zipped.NameToInfo["b.png"] = twin
    refused(tmp_path / "overlap.zip", other, "shares its bytes")


def test_sizes_that_lie_are_refused(bundle: Path, other: Project, tmp_path: Path) -> None:
    """An entry whose content is longer or shorter than it says is refused."""
    data = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as zipped:
        start = zipped.start_dir
    for change in (-1, 1):
        bad = bytearray(data)
        size = struct.unpack_from("<L", bad, start + 24)[0]
        struct.pack_into("<L", bad, start + 24, size + change)
        path = tmp_path / f"lie{change}.zip"
        path.write_bytes(bad)
        refused(path, other, "manifest says|cannot be read|as long as")


def test_encrypted_and_exotic_entries_are_refused(other: Project, tmp_path: Path) -> None:
    """A bundle is never encrypted, and packed in two ways only."""
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as zipped:
        zipped.writestr("manifest.json", "{}")
    refused(tmp_path / "lzma.zip", other, "packed in a way")
    data = bytearray(zip_of(tmp_path / "plain.zip", {"manifest.json": b"{}"}).read_bytes())
    data[data.rfind(b"PK\1\2") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    refused(tmp_path / "locked.zip", other, "encrypted")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes_are_no_bundle(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any bytes at all give the error that every reader of bundles gives, and nothing else."""
    path = tmp_path_factory.getbasetemp() / "any.zip"
    path.write_bytes(data)
    with pytest.raises(RecipeError), opened(path) as archive:
        archive.read("manifest.json")


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spots=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), cut=st.floats(0, 1))
def test_a_damaged_bundle_is_refused_or_whole(
    spots: list[tuple[float, int]], cut: float, sound: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A bundle with bytes changed anywhere either reads exactly as the sound one, or is refused: never half of it."""
    data = bytearray(sound)
    for place, value in spots:
        data[min(len(data) - 1, int(place * len(data)))] = value
    if cut < 0.2:
        del data[int(cut * 5 * len(data)) :]
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(data)
    (path.parent / "sound.zip").write_bytes(sound)
    with opened(path.parent / "sound.zip") as archive:
        expected = {name: archive.read(name) for name in archive.entries}
    try:
        with opened(path) as archive:
            checked = check(archive)
            found = {item.path: archive.read(item.path) for item in checked.manifest.items}
    except WanError:
        return
    assert all(expected.get(name) == content for name, content in found.items())


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small sound bundle."""
    root = tmp_path_factory.mktemp("sound") / "paper"
    root.mkdir()
    made = bundle_kit.open_project(root)
    made.write_notebook(shown(made.job()))
    data = pack(made, root / "sound.zip").read_bytes()
    made.ledger.close()
    return data
