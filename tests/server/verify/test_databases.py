"""Databases that sessions leave, hostile ones among them, and SQL on fresh ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from server.verify.databases import (
    BadDatabaseError,
    Database,
    Table,
    read_database,
    run_gold,
    run_sql,
    same_database,
    same_rows,
)
from server.verify.verdicts import UnusableTestError
from tests.server.verify.conftest import Opener

SEED = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, height REAL);
INSERT INTO people VALUES (1, 'Ann; O''Neill', 1.7), (2, 'Bob', NULL);
CREATE INDEX by_name ON people (name);
"""


def file_of(script: str, folder: Path) -> bytes:
    path = folder / "made.sqlite"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path.read_bytes()


async def test_a_session_that_did_what_the_gold_does_matches(opener: Opener, tmp_path: Path) -> None:
    gold = await run_gold(
        opener, SEED, "INSERT INTO people VALUES (3, 'Cem', 2); DELETE FROM people WHERE id = 2"
    )
    right = SEED + "DELETE FROM people WHERE id = 2; INSERT INTO people VALUES (3, 'Cem', 2.0);"
    assert same_database(gold.database, await read_database(opener, file_of(right, tmp_path)))


@pytest.mark.parametrize(
    "script",
    [
        SEED,
        "",
        SEED + "DELETE FROM people",
        SEED + "DROP TABLE people; CREATE VIEW people AS SELECT 1 id, 'Ann; O''Neill' name, 1.7 height",
        SEED + "DELETE FROM people WHERE id = 2; CREATE TABLE more (x)",
        SEED + "DELETE FROM people WHERE id = 2; CREATE TRIGGER t AFTER INSERT ON people BEGIN SELECT 1; END",
        SEED.replace("REAL", "TEXT") + "DELETE FROM people WHERE id = 2",
    ],
    ids=["nothing", "no table", "too much", "a view instead", "one table more", "a trigger", "another type"],
)
async def test_a_session_that_did_something_else_does_not(
    opener: Opener, tmp_path: Path, script: str
) -> None:
    gold = await run_gold(opener, SEED, "DELETE FROM people WHERE id = 2")
    assert not same_database(gold.database, await read_database(opener, file_of(script, tmp_path)))


def hostile_files(folder: Path) -> dict[str, bytes]:
    good = file_of(SEED, folder)
    rewritten = "CREATE TABLE x(a); PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql="
    virtual = f"{rewritten}'CREATE VIRTUAL TABLE x USING fts5(a)'"
    renamed = f"{rewritten}'not sql at all'"
    return {
        "nothing": b"",
        "no database": b"x" * 5000,
        "cut off": good[:4096],
        "overwritten": good[:4096] + b"\xff" * 4096 + good[8192:],
        "a virtual table": file_of(virtual, folder),
        "a schema that is none": file_of(renamed, folder),
    }


async def test_a_hostile_file_is_a_wrong_answer(opener: Opener, tmp_path: Path) -> None:
    for data in hostile_files(tmp_path).values():
        if not data:  # an empty file is an empty database
            assert (await read_database(opener, data)).tables == {}
            continue
        with pytest.raises(BadDatabaseError):
            await read_database(opener, data)


async def test_a_query_gets_rows_and_cannot_reach_further(opener: Opener) -> None:
    assert (await run_sql(opener, SEED, "SELECT name FROM people ORDER BY id")).rows == [
        ["s:Ann; O'Neill"],
        ["s:Bob"],
    ]
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
    bad = ["SELECT", "SELECT * FROM nobody", "ATTACH '/tmp/x' AS x", "SELECT load_extension('x')"]
    for query in bad:
        with pytest.raises(BadDatabaseError):
            await run_sql(opener, SEED, query)
    with pytest.raises(BadDatabaseError, match="timeout"):
        await run_sql(opener, SEED, endless, seconds=1.0)


async def test_a_broken_task_is_no_verdict(opener: Opener) -> None:
    with pytest.raises(UnusableTestError):
        await run_sql(opener, "CREATE nonsense", "SELECT 1")
    with pytest.raises(UnusableTestError):
        await run_gold(opener, SEED, "SELECT * FROM nobody")


@pytest.mark.parametrize(
    ("expected", "found", "is_same"),
    [
        ([["i:1"], ["i:2"]], [["i:2"], ["i:1"]], True),
        ([["i:1"], ["i:1"]], [["i:1"]], False),
        ([["i:1"]], [["f:1.0"]], True),
        ([["f:0.30000000000000004"]], [["f:0.3"]], True),
        ([["f:0.3"]], [["f:0.3001"]], False),
        ([["i:1"]], [["s:1"]], False),
        ([[None]], [["s:"]], False),
        ([["f:inf"]], [["f:-inf"]], False),
        ([["i:1", "i:2"]], [["i:2", "i:1"]], False),
        ([], [], True),
    ],
)
def test_rows_are_compared_as_often_as_they_come(expected: Any, found: Any, is_same: bool) -> None:
    assert is_same == same_rows(expected, found)


def test_order_counts_where_it_is_asked_for() -> None:
    assert not same_rows([["i:1"], ["i:2"]], [["i:2"], ["i:1"]], ordered=True)


def test_schemas_can_be_left_out() -> None:
    one = Database({"t": Table((("a", "integer", False, 0),), [["i:1"]])}, (("index", "i", "x"),))
    other = Database({"t": Table((("a", "real", True, 1),), [["f:1.0"]])})
    assert same_database(one, other, schema=False)
    assert not same_database(one, other)
