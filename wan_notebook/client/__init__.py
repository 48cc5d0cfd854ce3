"""The only importer of httpx: submit, status, cancel, list, download."""

from .client import Client
from .download import Downloaded
from .sinks import DownloadProgress
from .timeouts import Timeouts

__all__ = ["Client", "DownloadProgress", "Downloaded", "Timeouts"]
