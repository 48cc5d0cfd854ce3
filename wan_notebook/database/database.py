"""``Database``: every job with its events, its money and its pictures, in one SQLite file or on a server."""

from .history import History
from .leases import Leases
from .transfer import Transfer


class Database(Leases, History, Transfer):
    """A ledger, open for this process. Make one with ``Database.open``.

    Every method is one short transaction, blocks for a few milliseconds and may be called from any thread. What it
    returns is a snapshot, detached from the database; a change returns a new row. Errors are ``StoreError``; of these
    only ``DatabaseUnavailable`` (disk full, locked, connection lost) is worth another try.
    """
