"""A picture's file, opened as an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import StoreError

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
        raise StoreError(message, hint="Look with `%wan verify` what is missing.") from error
