"""Anything a person calls an image, to a checked upload; checks for downloads; previews.

Pillow is imported by the first picture, NumPy never: an array can only come from a process that has it already.
"""

from __future__ import annotations

from wan_notebook.images.containers import check_picture, probe
from wan_notebook.images.ducks import looks_like_image
from wan_notebook.images.facts import MAX_PIXELS, NotAPictureError, PictureFacts, mime_of
from wan_notebook.images.files import read_url
from wan_notebook.images.load import load_image
from wan_notebook.images.previews import contact_sheet, data_url, describe, preview

__all__ = [
    "MAX_PIXELS",
    "NotAPictureError",
    "PictureFacts",
    "check_picture",
    "contact_sheet",
    "data_url",
    "describe",
    "load_image",
    "looks_like_image",
    "mime_of",
    "preview",
    "probe",
    "read_url",
]
