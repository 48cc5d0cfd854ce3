"""Pictures: anything a person gives as one checked upload, checks of what arrives, and small copies of it.

Pillow is imported by the first name that needs it, NumPy never.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .inputs import SUFFIXES, UNFETCHED, InputImage, PendingImage, PictureOf, is_job, looks_like_image, mime_of

if TYPE_CHECKING:
    from .encode import fit_request_body
    from .inspect import BadImageError, ImageInfo, image_info, open_header, open_image, png_chunks, strip_metadata
    from .load import former_identity, load_image
    from .pixels import pixel_identity, plain_rgb
    from .similarity import assert_same_picture, assert_similar, distance
    from .thumbnails import contact_sheet, data_url, thumbnail

_WITH_PILLOW = ("inspect", "pixels", "encode", "load", "thumbnails", "similarity")

__all__ = [
    "SUFFIXES",
    "UNFETCHED",
    "BadImageError",
    "ImageInfo",
    "InputImage",
    "PendingImage",
    "PictureOf",
    "assert_same_picture",
    "assert_similar",
    "contact_sheet",
    "data_url",
    "distance",
    "fit_request_body",
    "former_identity",
    "image_info",
    "is_job",
    "load_image",
    "looks_like_image",
    "mime_of",
    "open_header",
    "open_image",
    "pixel_identity",
    "plain_rgb",
    "png_chunks",
    "strip_metadata",
    "thumbnail",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        modules = (import_module(f".{module}", __name__) for module in _WITH_PILLOW)
        return next(getattr(module, name) for module in modules if hasattr(module, name))
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
