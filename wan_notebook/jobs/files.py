"""A picture's file: opened as an image, copied elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import StoreError, WanError
from ..images import preview

if TYPE_CHECKING:  # Pillow is loaded by the first picture
    from PIL.Image import Image

SHOWN_PX: Final = 1024
SHOWN_BYTES: Final = 300_000


def open_image(path: Path) -> Image:
    """Open and load a picture; the file is closed again."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image.copy() if image.mode == "RGB" else image.convert("RGB")
    except OSError as error:
        message = f"the picture {path} cannot be opened ({error})."
        raise StoreError(message, remedy="Look with `%wan verify` what is missing.") from error


def shown_copy(path: Path) -> bytes | None:
    """Return a JPEG small enough for a notebook; None if the picture is gone."""
    try:
        return preview(path.read_bytes(), max_px=SHOWN_PX, max_bytes=SHOWN_BYTES, format="jpeg")[0]
    except (OSError, WanError):
        return None


def write_copy(path: Path, data: bytes) -> Path:
    """Write a copy and return its path. Raises ``StoreError``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        message = f"cannot write {path} ({error.strerror or error})."
        raise StoreError(message, remedy="Choose another place, or make room.") from error
    return path


def copy_targets(path: Path, names: Sequence[str]) -> list[Path]:
    """Return where copies go: into a folder by their names, else to one file, or to numbered ones."""
    if not path.suffix or path.is_dir():
        return [path / name for name in names]
    if len(names) == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(names) + 1)]
