"""Metadata of generated pictures: our own, in the file and beside it, and that of other programs.

The keys and the JSON on disk are those of the first edition, which called this a recipe.
"""

from .embed import (
    SCHEMA,
    Metadata,
    MetadataCost,
    MetadataInput,
    MetadataParameters,
    MetadataPicture,
    can_embed,
    changed_in,
    embed,
    exif_block,
    public_name,
    read_metadata,
    read_sidecar,
    strip,
    write_parameters,
    write_sidecar,
)
from .importers import ForeignMetadata, from_parameters, read_any, read_foreign

__all__ = [
    "SCHEMA",
    "ForeignMetadata",
    "Metadata",
    "MetadataCost",
    "MetadataInput",
    "MetadataParameters",
    "MetadataPicture",
    "can_embed",
    "changed_in",
    "embed",
    "exif_block",
    "from_parameters",
    "public_name",
    "read_any",
    "read_foreign",
    "read_metadata",
    "read_sidecar",
    "strip",
    "write_parameters",
    "write_sidecar",
]
