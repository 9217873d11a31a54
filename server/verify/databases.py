"""SQLite databases as the state that is judged: row sets, schema, and what SQL does to a database.

A file that a session left is opened in a fresh sandbox, read-only (`tools.database`), and never here. A gold
query runs in another one. What comes back is text, which is compared as such: numbers by value to ten
significant digits, everything else exactly.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from sandbox.limits import MIB
from sandbox.observation import Outcome
from server.verify.boxes import OpensSandboxes, ask
from server.verify.verdicts import UnusableTestError
from tools.shapes import is_dict, is_list

Rows = Sequence[Sequence[str | None]]

MAX_FILE_BYTES = 16 * MIB
_DIGITS = 10
_SHOWN = 300


class BadDatabaseError(Exception):
    """A database, or SQL, of the candidate's cannot be used. That is a wrong answer."""


@attrs.frozen
class Table:
    """A table: its columns (name, type, not null, key), its rows in no order, and what else it demands."""

    columns: tuple[Any, ...]
    rows: Rows = attrs.field(repr=False)
    constraints: tuple[str, ...] = ()


@attrs.frozen
class Database:
    """What is in a database: tables by name, and its views, indices and triggers."""

    tables: Mapping[str, Table]
    others: tuple[Any, ...] = ()


@attrs.frozen
class Ran:
    """What SQL brought: the rows of its last statement, and the database as it was afterwards.

    Attributes:
        rows: of the last statement.
        database: as it was left.
        changes: whether it is another than before.
        follows: whether there were other rows on databases with fewer rows: with none, and with either half;
            None where it failed.
    """

    rows: Rows = attrs.field(repr=False)
    database: Database
    changes: bool = False
    follows: tuple[bool | None, ...] = ()

    @property
    def tells_something(self) -> bool:
        """Whether a gold query's rows depend on the database. If not, any query may bring the same."""
        return any(self.follows)


async def read_database(opener: OpensSandboxes, data: bytes, seconds: float = 30.0) -> Database:
    """Return what is in a hostile database file.

    Raises:
        BadDatabaseError: it is too large, no database, damaged, or has virtual tables.
        SandboxError: a sandbox could not be had, which is our failure and no verdict.
    """
    if len(data) > MAX_FILE_BYTES:
        msg = f"a database of more than {MAX_FILE_BYTES} bytes"
        raise BadDatabaseError(msg)
    arguments = {"data": base64.b64encode(data).decode()}
    return _database(await _ask(opener, "read_database", arguments, seconds))


async def run_sql(opener: OpensSandboxes, script: str, query: str, seconds: float = 30.0) -> Ran:
    """Run a candidate's `query` on a new database that the data set's `script` builds.

    Raises:
        BadDatabaseError: the query fails, takes too long, or brings too much.
        UnusableTestError: the script fails.
        SandboxError: a sandbox could not be had, which is our failure and no verdict.
    """
    answer = await _ask(opener, "run_sql", {"script": script, "query": query}, seconds)
    try:
        follows = tuple(None if each is None else bool(each) for each in answer["follows"])
        rows = _rows(json.loads(answer["rows"]))
        return Ran(rows, _database(answer), changes=bool(answer["changes"]), follows=follows)
    except (KeyError, TypeError, ValueError, RecursionError):
        msg = "the rows make no sense"
        raise BadDatabaseError(msg) from None


async def run_gold(opener: OpensSandboxes, script: str, query: str, seconds: float = 30.0) -> Ran:
    """Do the same with the data set's own query.

    Raises:
        UnusableTestError: script or query fail: the task is broken, whoever the candidate is.
        SandboxError: as above.
    """
    try:
        return await run_sql(opener, script, query, seconds)
    except BadDatabaseError as error:
        msg = f"the task's own query fails: {error}"
        raise UnusableTestError(msg) from None


def same_rows(expected: Rows, found: Rows, *, ordered: bool = False) -> bool:
    """Whether two results have the same rows, each as often; names of columns do not count."""
    wanted, got = ([tuple(map(_value, row)) for row in rows] for rows in (expected, found))
    return wanted == got if ordered else sorted(wanted) == sorted(got)


def follows_alike(gold: Ran, ran: Ran) -> bool:
    """Whether a query's rows depend on the database where the gold query's do.

    One that says its rows by heart brings them from an empty database too, or from every half of one. No more
    is asked: right queries may well differ on databases that the task does not have.
    """
    (gold_on_empty, *gold_on_halves), (on_empty, *on_halves) = gold.follows, ran.follows
    if gold_on_empty and on_empty is False:
        return False
    telling = [mine for theirs, mine in zip(gold_on_halves, on_halves, strict=True) if theirs]
    return not telling or any(mine is not False for mine in telling)


def same_database(expected: Database, found: Database, *, schema: bool = True) -> bool:
    """Whether two databases have the same tables with the same rows.

    Args:
        expected: the gold state.
        found: the candidate's.
        schema: whether columns' types, constraints, views, indices and triggers count too.
    """
    if expected.tables.keys() != found.tables.keys():
        return False
    if schema and sorted(map(repr, expected.others)) != sorted(map(repr, found.others)):
        return False
    for name, table in expected.tables.items():
        other = found.tables[name]
        columns = [tuple(each.columns) if schema else _names(each) for each in (table, other)]
        if schema and table.constraints != other.constraints:
            return False
        if columns[0] != columns[1] or not same_rows(table.rows, other.rows):
            return False
    return True


async def _ask(
    opener: OpensSandboxes, handler: str, arguments: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    async with opener.open_sandbox() as box:
        seen = await ask(box, handler, arguments, seconds)
    if seen.outcome is not Outcome.OK or not is_dict(seen.value):
        msg = (seen.error or str(seen.outcome))[:_SHOWN]
        raise BadDatabaseError(msg)
    if seen.value.get("stage") == "script":
        msg = f"the task's database cannot be built: {seen.value.get('error')}"[:_SHOWN]
        raise UnusableTestError(msg)
    if "error" in seen.value:
        raise BadDatabaseError(str(seen.value["error"])[:_SHOWN])
    return seen.value


def _database(answer: Mapping[str, Any]) -> Database:
    """Read a sandbox's answer strictly: the lane that wrote it has read a hostile file."""
    try:
        value = json.loads(answer["database"])
        tables = {
            str(name): Table(
                tuple(map(_column, table["columns"])),
                _rows(table["rows"]),
                tuple(map(str, table["constraints"])),
            )
            for name, table in value["tables"].items()
        }
        return Database(tables, tuple(tuple(map(str, each)) for each in value["schema"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        msg = "the database's contents make no sense"
        raise BadDatabaseError(msg) from None


def _column(column: Any) -> tuple[str, str, bool, int]:
    name, kind, is_required, key = column
    return str(name), str(kind), bool(is_required), int(key)


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column[0] for column in table.columns)


def _rows(rows: Any) -> Rows:
    if not is_list(rows):
        raise TypeError
    for row in rows:
        if not is_list(row) or not all(cell is None or isinstance(cell, str) for cell in row):
            raise TypeError
    return rows


def _value(cell: str | None) -> str:
    """Return a cell in a spelling in which equal values are equal."""
    if cell is None:
        return ""
    tag, _, text = cell.partition(":")
    if tag == "f":
        number = f"{float(text):.{_DIGITS}g}"
        return f"n:{int(float(number))}" if float(number).is_integer() else f"n:{number}"
    return f"n:{text}" if tag == "i" else cell
