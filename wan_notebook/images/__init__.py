"""Pictures: anything a person gives as one checked upload, checks of what arrives, and small copies of it.

Pillow is imported by the first name that needs it, NumPy never.
"""

from typing import TYPE_CHECKING

from ..lazy import lazily
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

__getattr__ = lazily(__name__, ("inspect", "encode", "load", "thumbnails"), __all__)
