"""A picture's copy elsewhere: in the format that its name says, and never over what was not made here."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import RecipeError, StoreError
from ..images import NotAPictureError, mime_of
from ..images.pillow import open_picture, reading
from ..images.pixels import plain_rgb
from ..recipe import embed, exif_block, read_recipe

QUALITY: Final = 95
_FORMATS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_OWN_MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True)
class Copy:
    """One file to write: ``data`` is a picture as it is kept, ``suffix`` its own ending, ``path`` where it goes."""

    path: Path
    data: bytes
    suffix: str


def write_copies(copies: Iterable[Copy], *, store: Path, overwrite: bool) -> list[Path]:
    """Write copies in the formats that their names say; all of them are looked at before the first is written.

    Raises ``StoreError`` for an ending that is not known, for a file that is there and was not made here (unless
    ``overwrite``), for one that the store keeps, and if the place cannot be written.
    """
    made = [(copy.path, _converted(copy)) for copy in copies]
    wanted = [(path, data) for path, data in made if not _is_there(path, data, store.resolve(), overwrite=overwrite)]
    for path, data in wanted:
        _write(path, data)
    return [path for path, _ in made]


def target_of(given: str | Path, name: str) -> Path:
    """Return where one picture goes: into a folder under its own name, else to this file; no ending gets its own."""
    path = Path(given).expanduser()
    if path.is_dir() or str(given).endswith(("/", os.sep)):
        return path / name
    return path if path.suffix else path.with_name(f"{path.name}{Path(name).suffix}")


def targets_of(given: str | Path, names: list[str]) -> list[Path]:
    """Return where several go: into a folder by their names, or to numbered files. Raises ``StoreError``."""
    if len(names) == 1:
        return [target_of(given, names[0])]
    path = Path(given).expanduser()
    if path.is_file() and not path.suffix:
        message = f"{path} is a file, and {len(names)} pictures need a folder: it was left alone."
        raise StoreError(message, hint="Name a folder, or a file such as fox.png, which gets numbers.")
    if not path.suffix or path.is_dir():
        return [path / name for name in names]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(names) + 1)]


def _converted(copy: Copy) -> bytes:
    """Return the bytes for a name's ending: the very same for its own format, else made anew with the recipe."""
    wanted, own = copy.path.suffix.lower(), copy.suffix.lower()
    if wanted == own or (wanted in _FORMATS and _FORMATS[wanted] == _FORMATS.get(own)):
        return copy.data
    known = ", ".join(dict.fromkeys((*_FORMATS, own)))
    if wanted not in _FORMATS or not (mime_of(copy.data) or "").startswith("image/"):
        message = f"{copy.path.name}: this picture cannot be saved as {wanted}."
        raise StoreError(message, hint=f"Known endings: {known if wanted not in _FORMATS else own}.")
    try:
        return _encoded(copy.data, _FORMATS[wanted])
    except NotAPictureError as error:
        message = f"the picture cannot be converted to {wanted}: {error.message}."
        raise StoreError(message, hint=f"Save it as {own}, byte for byte.") from error


def _encoded(data: bytes, kind: str) -> bytes:
    buffer = io.BytesIO()
    recipe = None
    with suppress(RecipeError):  # a damaged recipe must not cost the picture
        recipe = read_recipe(data)
    with reading(), open_picture(data, mime_of(data)) as picture:
        rgb, _ = plain_rgb(picture, owned=True)
        if kind == "PNG":
            rgb.save(buffer, kind)
        else:
            rgb.save(buffer, kind, quality=QUALITY, exif=exif_block(recipe) if recipe is not None else b"")
    made = buffer.getvalue()
    return embed(made, recipe) if recipe is not None else made


def _is_there(path: Path, data: bytes, store: Path, *, overwrite: bool) -> bool:
    """Say whether a file holds these very bytes already. Raises ``StoreError`` if it must not be replaced."""
    try:
        if not path.exists():
            return False
        if not path.is_file():
            message = f"{path} is there already and is no file: it was left alone."
            raise StoreError(message, hint="Choose another name.")
        size = path.stat().st_size
        old = path.read_bytes() if size <= _OWN_MAX_BYTES else b""
    except OSError as error:
        message = f"cannot look at {path} ({error.strerror or error})."
        raise StoreError(message, hint="Choose another place.") from error
    if old == data:
        return True
    if path.resolve().is_relative_to(store):
        message = f"{path} is in the folder of pictures, whose files are kept as they are: it was left alone."
        raise StoreError(message, hint="Choose another place.")
    if not overwrite and not _is_ours(old):
        message = f"{path} is there already and is no picture with a recipe of wan_notebook: it was left alone."
        raise StoreError(message, hint="Choose another name, or `--force` (`overwrite=True` in Python).")
    return False


def _is_ours(data: bytes) -> bool:
    try:
        return read_recipe(data) is not None
    except RecipeError:  # damaged or of a newer version: not ours to throw away
        return False


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step: what was there is whole until the new one is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        final = path.resolve()  # a link stays one
        part = final.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.part")  # a name may be as long as can be
        try:
            part.write_bytes(data)
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot write {path} ({error.strerror or error})."
        raise StoreError(message, hint="Choose another place, or make room.") from error
