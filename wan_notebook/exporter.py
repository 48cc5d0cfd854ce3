"""``jupyter nbconvert --to wan-markdown``: Markdown whose pictures GitHub shows.

GitHub drops pictures that are inside a page; as files beside it, with their captions and tables, they stay.
"""

import base64
import re
from copy import deepcopy
from pathlib import PurePosixPath
from typing import Any, Final

from nbconvert import MarkdownExporter

_INLINE: Final = re.compile(r'(?<=src=")data:image/(\w+);base64,([^"]*)(?=")')
_BLANK_LINE: Final = re.compile(r"\n[ \t]*(?=\n)")  # it would end the HTML, and what follows would be Markdown


class WanMarkdownExporter(MarkdownExporter):
    """nbconvert's Markdown, with the pictures of our outputs as files."""

    def from_notebook_node(self, nb: Any, resources: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Return the text, and with the resources the files that it shows."""
        nb, files = deepcopy(nb), dict[str, bytes]()
        folder = PurePosixPath((resources or {}).get("output_files_dir") or "")
        for cell in nb.cells:
            for output in cell.get("outputs", ()):
                data = output.get("data", {})
                if "wan" in output.get("metadata", {}) and "text/html" in data:
                    data.pop("image/jpeg", None)  # the same pictures as one sheet
                    html = _INLINE.sub(lambda found: _moved(found, folder, files), data["text/html"])
                    data["text/html"] = _BLANK_LINE.sub("&#10;", html)
        text, told = super().from_notebook_node(nb, resources, **options)
        return text, {**told, "outputs": {**(told.get("outputs") or {}), **files}}


def _moved(found: re.Match[str], folder: PurePosixPath, files: dict[str, bytes]) -> str:
    """Keep an inline picture as a file; return its name."""
    name = str(folder / f"wan_{len(files)}.{found[1]}")
    files[name] = base64.b64decode(found[2])
    return name
