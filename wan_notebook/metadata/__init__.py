"""Metadata of generated pictures: our own, in the file and beside it, and that of other programs.

The keys and the JSON on disk are those of the first edition, which called this a recipe.
"""

from .a1111 import split_parameters, write_parameters
from .embed import (
    can_embed,
    changed_in,
    embed,
    exif_block,
    read_metadata,
    read_sidecar,
    strip,
    write_sidecar,
)
from .importers import ForeignMetadata, from_parameters, read_any, read_foreign
from .model import SCHEMA, VERSION, Metadata, MetadataInput, MetadataParameters, MetadataPicture, public_name

__all__ = [
    "SCHEMA",
    "VERSION",
    "ForeignMetadata",
    "Metadata",
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
    "split_parameters",
    "strip",
    "write_parameters",
    "write_sidecar",
]
