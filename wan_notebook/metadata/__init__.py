"""Metadata of generated pictures: our own, in the file and beside it, and that of other programs.

The keys and the JSON on disk are those of the first edition, which called this a recipe.
"""

from .embed import Metadata, can_embed, changed_in, embed, exif_block, public_name, read_metadata, read_sidecar, strip
from .importers import ForeignMetadata, read_any

__all__ = ["ForeignMetadata", "Metadata", "can_embed", "changed_in", "embed", "exif_block", "public_name"]
__all__ += ["read_any", "read_metadata", "read_sidecar", "strip"]
