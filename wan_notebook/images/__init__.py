"""Pictures: anything a person gives as one checked upload, checks of what arrives, and small copies of it.

Pillow is imported by the first name that needs it, NumPy never.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .inputs import SUFFIXES, UNFETCHED, InputImage, PendingImage, PictureOf, is_job, looks_like_image, mime_of

if TYPE_CHECKING:
    from .encode import fit_request_body, pixel_identity, plain_rgb, saved
    from .inspect import BadImageError, image_info, open_header, open_image, png_chunks
    from .load import former_identity, load_image
    from .thumbnails import assert_same_picture, assert_similar, contact_sheet, data_url, distance, thumbnail

__all__ = ["SUFFIXES", "UNFETCHED", "InputImage", "PendingImage", "PictureOf", "is_job", "looks_like_image", "mime_of"]
__all__ += ["BadImageError", "image_info", "open_header", "open_image", "png_chunks"]
__all__ += ["fit_request_body", "former_identity", "load_image", "pixel_identity", "plain_rgb", "saved"]
__all__ += ["assert_same_picture", "assert_similar", "contact_sheet", "data_url", "distance", "thumbnail"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = (import_module(f".{m}", __name__) for m in ("inspect", "encode", "load", "thumbnails"))
    return next(getattr(module, name) for module in modules if hasattr(module, name))
