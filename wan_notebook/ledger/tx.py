"""Statements inside the writer's transaction: SQLAlchemy Core to say them, the driver's connection to run them.

Compiled once and run on the driver's connection: through SQLAlchemy's execution a state change costs 0.30 ms of CPU,
this way 0.05 ms, and the difference would be most of what a job's writes may cost. Reads elsewhere use Core as usual.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import sqlalchemy as sa

from . import schema
from .connect import dialect


class Read(Protocol):
    """How a query is asked: on a reading connection, or inside the writer's transaction.

    With ``values`` the statement is a constant one whose parameters they are: it is compiled once, and costs a tenth.
    """

    def __call__(
        self, statement: sa.Select[Any], values: Mapping[str, Any] | None = None, /
    ) -> Sequence[Sequence[Any]]:
        """Return the rows."""


Condition = sa.ColumnElement[bool] | sa.TextClause


@cache
def compiled(statement: sa.ClauseElement) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
    """Return a statement as SQL, the names of its parameters in their order, and the values it brings itself."""
    made: Any = statement.compile(dialect=dialect())
    own = {name: value for name, value in made.params.items() if value is not None}
    return str(made), tuple(made.positiontup or ()), own


@cache
def insert(table: sa.Table, columns: Sequence[str], returning: Sequence[sa.Column[Any]] = ()) -> sa.Insert:
    """Return ``INSERT`` of the named columns, giving back some; its parameters bear their names."""
    made = table.insert().values({name: sa.bindparam(name) for name in columns})
    return made.returning(*returning) if returning else made


@cache
def update(table: sa.Table, columns: Sequence[str], key: str, returning: bool = False) -> sa.Update:
    """Return ``UPDATE`` of the named columns where ``key`` is the parameter ``where``, giving back the job's row."""
    made = table.update().where(table.c[key] == sa.bindparam("where"))
    made = made.values({name: sa.bindparam(f"set_{name}") for name in columns})
    return made.returning(*schema.JOB) if returning else made


class Tx:
    """The writer's open transaction. ``now`` is its wall clock."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self.connection = connection
        self.now = now

    def run(self, statement: sa.ClauseElement, values: Mapping[str, Any] | None = None) -> sqlite3.Cursor:
        """Run one statement with its parameters by name."""
        sql, order, own = compiled(statement)
        given = {**own, **values} if own and values else values or own
        return self.connection.execute(sql, [given[name] for name in order])

    def read(self, statement: sa.Select[Any], values: Mapping[str, Any] | None = None, /) -> Sequence[Sequence[Any]]:
        """Ask a query; it sees what this transaction did."""
        if values is not None:
            return self.run(statement, values).fetchall()
        made: Any = statement.compile(dialect=dialect(), compile_kwargs={"render_postcompile": True})
        return self.connection.execute(str(made), [made.params[name] for name in made.positiontup or ()]).fetchall()

    def run_many(self, statement: sa.ClauseElement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run one statement for each row of parameters."""
        sql, order, _own = compiled(statement)
        self.connection.executemany(sql, [[row[name] for name in order] for row in rows])

    def update(self, table: sa.Table, key: str, where: Any, values: Mapping[str, Any]) -> None:
        """Set columns (already encoded) of the rows whose ``key`` is ``where``."""
        if values:
            statement = update(table, tuple(values), key)
            self.run(statement, {"where": where, **{f"set_{name}": value for name, value in values.items()}})

    def update_job(self, seq: int, values: Mapping[str, Any]) -> Sequence[Any]:
        """Set columns (already encoded) of one job, and return its row."""
        statement = update(schema.jobs, tuple(values), "seq", returning=True)
        cursor = self.run(statement, {"where": seq, **{f"set_{name}": value for name, value in values.items()}})
        row: Sequence[Any] = cursor.fetchone()
        return row
