"""The last resort at every entry: an unforeseen exception becomes one line with an id, its traceback a private file."""

import logging
import secrets
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import WanError
from ..files import write_private
from ..text import mask_keys

log = logging.getLogger(__name__)


@contextmanager
def last_resort(entry: str) -> Iterator[None]:
    """Let our own errors and interrupts through, and turn every other exception into a ``WanError``.

    Nothing of the environment and no local variable is kept: a traceback shows places and the exception's text.
    """
    try:
        yield
    except WanError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary to the notebook
        failure = error
    else:
        return
    raise _unexpected(entry, failure) from None


def _unexpected(entry: str, error: Exception) -> WanError:
    error_id = secrets.token_hex(4)
    text = mask_keys("".join(traceback.format_exception(error)))
    log.error("%s: error %s\n%s", entry, error_id, text)
    path = Path(tempfile.gettempdir()) / f"wan_notebook-{error_id}.log"
    where = ""
    with suppress(OSError):
        write_private(path, text)
        where = f" Its traceback is in {path}."
    message = f"something unexpected went wrong ({type(error).__name__}, error {error_id})."
    hint = f"What was sent is in `%wan history`.{where} Please report it with that id."
    return WanError(message, hint=hint)
