"""Copies of pictures elsewhere: in the format that the name says, and never over a file that is not ours."""

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import RecipeError, StoreError
from ..files import atomic_write

QUALITY = 95
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
OWN_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Copy:
    """One file to write: ``data`` is a picture as it is kept, ``suffix`` its own ending, ``path`` where it goes."""

    path: Path
    data: bytes
    suffix: str


def targets_of(given: str | Path, names: Sequence[str]) -> list[Path]:
    """Return where pictures go: into a folder by their names, else to this file, or to numbered files for several.

    A name without ending gets the picture's own for one picture, and is a folder for several. Raises ``StoreError``.
    """
    path = Path(given).expanduser()
    if str(given).endswith(("/", os.sep)) or os.path.isdir(path):  # noqa: PTH112 - says no for a name that is too long
        return [path / name for name in names]
    if len(names) == 1:
        return [path if path.suffix else path.with_name(f"{path.name}{Path(names[0]).suffix}")]
    if path.suffix:
        return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(names) + 1)]
    if os.path.isfile(path):  # noqa: PTH113
        message = f"{path} is a file, and {len(names)} pictures need a folder: nothing was written."
        raise StoreError(message, hint="Name a folder, or a file such as fox.png, which gets numbers.")
    return [path / name for name in names]


def write_copies(copies: Sequence[Copy], *, project_folder: Path, overwrite: bool) -> list[Path]:
    """Write copies in the formats that their names say; all are checked before the first is written.

    Raises
    ------
    StoreError
        If an ending is not known, if a file is there that was not made here (unless ``overwrite``) or that the
        project keeps, or if the place cannot be written.
    """
    made = [(copy.path, _converted(copy)) for copy in copies]
    try:
        folder = project_folder.resolve()
        wanted = [(path, data) for path, data in made if not _is_there(path, data, folder, overwrite=overwrite)]
        for path, data in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path.resolve(), data)  # a link stays a link
    except OSError as error:
        message = f"cannot write {error.filename or made[0][0]} ({error.strerror or error})."
        raise StoreError(message, hint="Choose another place, or make room.") from error
    return [path for path, _ in made]


def _converted(copy: Copy) -> bytes:
    from ..images import BadImageError, open_image, plain_rgb
    from ..metadata import embed, exif_block, read_metadata

    wanted, own = copy.path.suffix.lower(), copy.suffix.lower()
    if wanted == own or (wanted in FORMATS and FORMATS[wanted] == FORMATS.get(own)):
        return copy.data
    if wanted not in FORMATS or own in (".mp4", ".webm"):
        known = own if wanted in FORMATS else ", ".join(dict.fromkeys((*FORMATS, own)))
        message = f"{copy.path.name}: this picture cannot be saved as {wanted}."
        raise StoreError(message, hint=f"Known endings: {known}.")
    buffer, metadata = io.BytesIO(), None
    with suppress(RecipeError):  # damaged metadata must not cost the picture
        metadata = read_metadata(copy.data)
    try:
        picture, _ = plain_rgb(open_image(copy.data))
        exif = exif_block(metadata) if metadata else b""
        picture.save(buffer, FORMATS[wanted], quality=QUALITY, **{} if wanted == ".png" else {"exif": exif})
    except BadImageError as error:
        message = f"the picture cannot be converted to {wanted}: {error.message}."
        raise StoreError(message, hint=f"Save it as {own}, byte for byte.") from error
    return embed(buffer.getvalue(), metadata) if metadata and wanted == ".png" else buffer.getvalue()


def _is_there(path: Path, data: bytes, project_folder: Path, *, overwrite: bool) -> bool:
    """Say whether a file holds these very bytes already. Raises ``StoreError`` if it must not be replaced."""
    if not path.exists():
        return False
    if not path.is_file():
        raise StoreError(f"{path} exists and is not a file: nothing was written.", hint="Choose another name.")
    old = path.read_bytes() if path.stat().st_size <= OWN_MAX_BYTES else b""
    if old != data and path.resolve().is_relative_to(project_folder):
        message = f"{path} is in the folder of pictures, whose files are kept as they are: nothing was written."
        raise StoreError(message, hint="Choose another place.")
    if old != data and not overwrite and not _is_ours(old):
        message = f"{path} exists and does not carry metadata of wan_notebook: it was left alone."
        raise StoreError(message, hint="Choose another name, or use `--force` (`overwrite=True` in Python).")
    return old == data


def _is_ours(data: bytes) -> bool:
    from ..metadata import read_metadata

    try:
        return read_metadata(data) is not None
    except RecipeError:  # damaged or of a newer version: not ours to throw away
        return False
