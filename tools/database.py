"""SQLite on the far side: the `sql` tool of sessions, and the two readers that verifiers use.

A database that a session leaves is hostile: a file made to break its reader, or with views and triggers that
do something when they are read. `read_database` opens it in a sandbox of its own, read-only, and reads tables
and nothing else. What goes out is text: `dump` says in which form.
"""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tools.registry import Failed, tool

if TYPE_CHECKING:
    import sqlite3

DATABASE = "database.sqlite"
_SHOWN_ROWS = 200
_MAX_CELLS = 1_000_000
_READING = ("SQLITE_SELECT", "SQLITE_READ", "SQLITE_FUNCTION", "SQLITE_RECURSIVE", "SQLITE_PRAGMA")
_FORBIDDEN = ("SQLITE_ATTACH", "SQLITE_DETACH")


@tool
def sql(state: dict[str, Any], query: str) -> dict[str, Any]:
    """Run SQL on the database and see the rows of its last statement.

    Several statements can be given at once, and they may change the database.

    Args:
        state: not used.
        query: SQL in SQLite's dialect.
    """
    import sqlite3

    connection = sqlite3.connect(DATABASE, isolation_level=None)
    try:
        columns, rows = _execute(connection, query, _SHOWN_ROWS + 1)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise Failed({"error": f"{type(error).__name__}: {error}"}) from None
    finally:
        connection.close()
    shown = [[_readable(cell) for cell in row] for row in rows[:_SHOWN_ROWS]]
    value: dict[str, Any] = {"columns": columns, "rows": shown}
    if len(rows) > _SHOWN_ROWS:
        value["note"] = f"only the first {_SHOWN_ROWS} rows are shown"
    return value


def run_sql(state: dict[str, Any], script: str, query: str) -> dict[str, Any]:
    """Build a database in memory with `script`, run `query` on it, and return its rows and what is left.

    Args:
        state: not used.
        script: the data set's own SQL.
        query: SQL that may read or change; it cannot open other databases.

    Returns:
        ``{"stage": "script" | "query", "error"}``, or ``{"rows": text, "database": text, "changes": bool,
        "follows": [bool or None]}``, see `dump`; whether the query changed anything; and for each of a few
        databases that have only some of the rows, whether it brought other rows there (None: it failed).
    """
    del state
    stage = "script"
    try:
        with closing(_build(script)) as connection:
            before = dump(connection)
            stage = "query"
            rows = _rows_of(connection, query)
            _authorize(connection, _READING)
            after = dump(connection)
        follows = [_follows(script, kept, query, rows) for kept in _KEPT]
        return {"rows": json.dumps(rows), "database": after, "changes": before != after, "follows": follows}
    except (_sqlite().Error, _sqlite().Warning, ValueError) as error:
        return {"stage": stage, "error": f"{type(error).__name__}: {error}"}


_KEPT = ("0", "rowid % 2 = 0", "rowid % 2 = 1")
"""Which rows of each table the other databases have: none, and one half each."""


def _follows(script: str, kept: str, query: str, rows: list[Any]) -> bool | None:
    """Whether `query` brings other rows than `rows` where the tables have only the rows that are `kept`.

    From tables without rows, none may be the same: it would have come from the query itself.
    """
    try:
        with closing(_build(script)) as connection:
            for name, text in connection.execute(_TABLES).fetchall():
                if not _is_virtual(text):
                    connection.execute(f"DELETE FROM {_quoted(name)} WHERE NOT ({kept})")  # noqa: S608
            found = _rows_of(connection, query)
            return found != rows and (kept != "0" or all(row not in rows for row in found))
    except (_sqlite().Error, _sqlite().Warning, ValueError):
        return None


_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"


def _sqlite() -> Any:
    import sqlite3

    return sqlite3


def _build(script: str) -> sqlite3.Connection:
    connection: sqlite3.Connection = _sqlite().connect(":memory:", isolation_level=None)
    connection.executescript(script)
    return connection


def _rows_of(connection: sqlite3.Connection, query: str) -> list[Any]:
    """Run a query that cannot open other databases, and return its rows as `_row` spells them."""
    _authorize(connection, None)
    _, rows = _execute(connection, query, _MAX_CELLS)
    return [_row(row) for row in rows]


def read_database(state: dict[str, Any], data: str) -> dict[str, Any]:
    """Return what is in a database file that nobody vouches for.

    Args:
        state: not used.
        data: the file in base64.

    Returns:
        ``{"database": text}``, see `dump`, or ``{"error"}``.
    """
    import sqlite3

    del state
    path = os.path.join(tempfile.gettempdir(), "judged.sqlite")
    with open(path, "wb") as file:
        file.write(base64.b64decode(data))
    # Immutable: no journal beside it is believed, and nothing is locked.
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        _harden(connection)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            return {"error": "the file is damaged"}
        return {"database": dump(connection)}
    except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()
        os.unlink(path)


def dump(connection: sqlite3.Connection) -> str:
    """Return all that is in a database, in one spelling, as JSON text.

    ``{"schema": [[type, name, text]], "tables": {name: {"columns", "constraints", "rows"}}}``; a column is
    ``[name, type, not null, key]``, constraints are all else that a table demands. A cell is null, or text
    that begins with its type: ``i:7``, ``f:0.5``, ``s:text``, ``b:`` and hexadecimal digits. Order means
    nothing. Virtual tables are refused: reading one runs a module's code.

    Raises:
        ValueError: it is over the bounds, or has what is refused.
        sqlite3.Error: it cannot be read.
    """
    schema: list[list[str]] = []
    tables: dict[str, Any] = {}
    left = _MAX_CELLS
    # The condition keeps out SQLite's own tables, of statistics and counters.
    query = (
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
    )
    for kind, name, text in connection.execute(query).fetchall():
        if kind != "table":
            schema.append([kind, name, " ".join(str(text).split())])
            continue
        if _is_virtual(text):
            msg = f"{name!r} is a virtual table"
            raise ValueError(msg)
        quoted = _quoted(name)
        columns = connection.execute(f"PRAGMA table_info({quoted})").fetchall()
        rows: list[list[str | None]] = []
        for row in connection.execute(f"SELECT * FROM {quoted}"):  # noqa: S608  # quoted
            left -= len(row)
            if left < 0:
                msg = f"more than {_MAX_CELLS} cells"
                raise ValueError(msg)
            rows.append(_row(row))
        shape = [[str(each[1]).lower(), str(each[2]).lower(), each[3], each[5]] for each in columns]
        constraints = _constraints(connection, quoted, str(text))
        tables[name] = {"columns": shape, "constraints": constraints, "rows": rows}
    return json.dumps({"schema": schema, "tables": tables})


_QUOTED_OR_COMMENT = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)
_COUNTED = re.compile(r"\b(?:CHECK|COLLATE\s+\w+|AUTOINCREMENT|GENERATED|STRICT|WITHOUT\s+ROWID)\b")


def _constraints(connection: sqlite3.Connection, quoted: str, text: str) -> list[str]:
    """Return what a table demands beyond its columns' types, one line each, in one order.

    SQLite tells defaults, foreign keys and what is unique. The rest stands in the table's SQL only: the words
    are counted there, and what a CHECK says is not looked at.
    """
    found = [
        f"default {str(each[1]).lower()} {' '.join(str(each[4]).split())}"
        for each in connection.execute(f"PRAGMA table_xinfo({quoted})").fetchall()
        if each[4] is not None
    ]
    keys = connection.execute(f"PRAGMA foreign_key_list({quoted})").fetchall()
    found += [f"foreign {' '.join(map(str, each[1:])).lower()}" for each in keys]
    for each in connection.execute(f"PRAGMA index_list({quoted})").fetchall():
        if each[3] == "u":
            columns = connection.execute(f"PRAGMA index_info({_quoted(each[1])})").fetchall()
            found.append(f"unique {' '.join(str(column[2]) for column in columns).lower()}")
    bare = _QUOTED_OR_COMMENT.sub(" ", text).upper()
    found += [" ".join(word.split()) for word in _COUNTED.findall(bare)]
    return sorted(found)


def _is_virtual(text: object) -> bool:
    return str(text).upper().split()[1:2] == ["VIRTUAL"]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _execute(connection: sqlite3.Connection, text: str, most: int) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run the statements of `text`; return the last one's columns and its rows, up to `most`."""
    columns: list[str] = []
    rows: list[tuple[Any, ...]] = []
    for statement in _statements(text):
        cursor = connection.execute(statement)
        columns = [each[0] for each in cursor.description or ()]
        rows = cursor.fetchmany(most)
        cursor.close()
    return columns, rows


def _statements(text: str) -> Iterator[str]:
    """Split SQL at the semicolons that end a statement, not at those in texts, comments and triggers."""
    import sqlite3

    statement = ""
    for part in text.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \t\r\n;"):
                yield statement
            statement = ""
    if statement.strip(" \t\r\n;"):
        yield statement.rstrip(";")


def _harden(connection: sqlite3.Connection) -> None:
    """Switch off what a file could make a reader do."""
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "query_only = ON"):
        connection.execute(f"PRAGMA {pragma}")
    set_config: Any = getattr(connection, "setconfig", None)
    if set_config is not None:  # from Python 3.12 on
        set_config(1010, True)  # noqa: FBT003  # SQLITE_DBCONFIG_DEFENSIVE
    connection.text_factory = _text
    _authorize(connection, _READING)


def _authorize(connection: sqlite3.Connection, allowed: tuple[str, ...] | None) -> None:
    """Allow these kinds of actions only, or, if None, all but to open other databases."""
    import sqlite3

    codes = {getattr(sqlite3, name) for name in (_FORBIDDEN if allowed is None else allowed)}

    def judge(action: int, *_: object) -> int:
        is_allowed = action not in codes if allowed is None else action in codes
        return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY

    connection.set_authorizer(judge)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _row(row: tuple[Any, ...]) -> list[str | None]:
    return [None if cell is None else _cell(cell) for cell in row]


def _cell(cell: Any) -> str:
    if isinstance(cell, bytes):
        return f"b:{cell.hex()}"
    tag = "i" if isinstance(cell, int) else "f" if isinstance(cell, float) else "s"
    return f"{tag}:{cell}"


def _readable(cell: Any) -> Any:
    return f"x'{cell.hex()}'" if isinstance(cell, bytes) else cell
