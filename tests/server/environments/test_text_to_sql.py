"""SQL judged by what it does: to a fresh database, or to the one that the session left."""

from __future__ import annotations

from typing import Any

import pytest

from server.environments.text_to_sql import SqlTask, TextToSql, sql_in
from server.sessions.files import SeedError
from server.verify.judge.equivalence import DIFFERENT, EQUAL
from server.verify.verdicts import JudgeFailedError, UnusableTestError
from tests.server.environments.conftest import Player
from tests.server.verify.judge.endpoint import judge_at, open_endpoint, says

CONTEXT = """
CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, age REAL);
INSERT INTO pets VALUES (1, 'Rex; the dog', 3), (2, 'Tom', 5.5), (3, 'Kim', 5.5);
"""
READ: dict[str, Any] = {
    "sql": "SELECT name FROM pets WHERE age > 4 -- not UPDATE",
    "sql_dialect": "sqlite",
    "sql_context": CONTEXT,
    "sql_prompt": "Which pets are older than four?",
}
CHANGE = {**READ, "sql": "DELETE FROM pets WHERE age > 4; UPDATE pets SET age = age + 1"}


def call(query: str) -> tuple[str, dict[str, Any]]:
    return "sql", {"query": query}


def block(query: str) -> str:
    return f"Here:\n```sql\n{query}\n```"


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (block("SELECT name FROM pets WHERE age >= 5 ORDER BY id DESC"), 1.0),
        ("SELECT p.name AS n FROM pets p WHERE p.age > 4;", 1.0),
        (block("SELECT name FROM pets"), 0.0),
        (block("SELECT name, id FROM pets WHERE age > 4"), 0.0),
        (block("SELECT DISTINCT 'Tom' FROM pets"), 0.0),
        (block("SELEC"), 0.0),
        (block("ATTACH 'x' AS y"), 0.0),
        ("Tom and Kim", 0.0),
        ("", 0.0),
    ],
)
async def test_a_question_is_answered_by_the_rows(player: Player, text: str, reward: float) -> None:
    assert reward == (await player.play(TextToSql(), READ, text=text)).verdict.reward


@pytest.mark.parametrize(
    "query",
    [
        "VALUES ('Tom'), ('Kim')",
        "SELECT 'Tom' UNION ALL SELECT 'Kim' FROM pets WHERE id = 1",
        "SELECT column1 FROM (VALUES ('Tom'), ('Kim')) WHERE EXISTS (SELECT * FROM pets)",
    ],
)
async def test_rows_said_by_heart_are_no_answer(player: Player, query: str) -> None:
    assert (await player.play(TextToSql(), READ, text=block(query))).verdict.reward == 0.0


async def test_a_query_may_differ_from_the_gold_where_the_task_does_not_look(player: Player) -> None:
    row = {**READ, "sql": "SELECT SUM(age) FROM pets WHERE name <> 'Kim'"}
    for query in (
        "SELECT COALESCE(SUM(age), 0) FROM pets WHERE id < 3",
        "SELECT total(age) FROM pets WHERE name IN ('Tom', 'Rex; the dog') GROUP BY id > 9",
    ):
        assert (await player.play(TextToSql(), row, text=block(query))).verdict.reward == 1.0


NOTHING_TO_SEE = {
    "no rows": ("SELECT name FROM pets WHERE age > 100", "SELECT 1 WHERE 0", []),
    "the same as of nothing": ("SELECT COUNT(*) FROM pets WHERE age > 100", "SELECT 0", []),
    "no change": ("DELETE FROM pets WHERE age > 100", "SELECT 1", [call("SELECT 1")]),
}


@pytest.mark.parametrize(("gold", "cheat", "calls"), NOTHING_TO_SEE.values(), ids=NOTHING_TO_SEE)
async def test_where_running_the_gold_shows_nothing_the_statements_are_compared(
    player: Player, gold: str, cheat: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    row = {**READ, "sql": gold}
    assert (await player.play(TextToSql(), row, calls)).verdict.reward == 0.0
    assert (await player.play(TextToSql(), row, calls, text=block(f"{gold} ;\n"))).verdict.reward == 1.0
    with pytest.raises(JudgeFailedError, match="judge_url"):
        await player.play(TextToSql(), row, calls, text=block(cheat))
    async with open_endpoint(says(DIFFERENT)) as endpoint:
        played = await player.play(TextToSql(), row, calls, text=block(cheat), judge_model=judge_at(endpoint))
    assert played.verdict.reward == 0.0


async def test_what_a_new_table_demands_counts(player: Player) -> None:
    gold = (
        "CREATE TABLE t (a INT UNIQUE, b TEXT NOT NULL DEFAULT 'x' CHECK (b <> 'y; CHECK'),"
        " c INT REFERENCES pets(id) ON DELETE CASCADE, d TEXT COLLATE NOCASE)"
    )
    row = {**READ, "sql": gold}
    for old, new, reward in (
        ("", "", 1.0),
        ("a INT UNIQUE", "A int  unique", 1.0),
        (" UNIQUE", "", 0.0),
        (" DEFAULT 'x'", "", 0.0),
        ("'x'", "'z'", 0.0),
        (" CHECK (b <> 'y; CHECK')", "", 0.0),
        (" ON DELETE CASCADE", "", 0.0),
        (" REFERENCES pets(id) ON DELETE CASCADE", "", 0.0),
        (" COLLATE NOCASE", "", 0.0),
    ):
        played = await player.play(TextToSql(), row, text=block(gold.replace(old, new)))
        assert reward == played.verdict.reward, old


async def test_order_counts_where_the_gold_orders(player: Player) -> None:
    row = {**READ, "sql": "SELECT id FROM pets ORDER BY age DESC, id"}
    for query, reward in (
        ("SELECT id FROM pets ORDER BY age DESC, id ASC", 1.0),
        ("SELECT id FROM pets", 0.0),
    ):
        assert reward == (await player.play(TextToSql(), row, text=block(query))).verdict.reward


@pytest.mark.parametrize(
    ("queries", "text", "reward"),
    [
        (["DELETE FROM pets WHERE id > 1", "UPDATE pets SET age = 4"], "", 1.0),
        (["DELETE FROM pets WHERE id > 1", "UPDATE pets SET age = 4"], block("DROP TABLE pets"), 1.0),
        (["DELETE FROM pets WHERE id > 1"], "", 0.0),
        (["DROP TABLE pets; CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, age REAL)"], "", 0.0),
        (["SELECT 1"], block(CHANGE["sql"]), 0.0),
        ([], block(CHANGE["sql"]), 1.0),
        ([], block("UPDATE pets SET age = age + 1; DELETE FROM pets WHERE id > 1"), 1.0),
        ([], block("DELETE FROM pets"), 0.0),
        ([], "", 0.0),
    ],
)
async def test_a_change_is_judged_by_the_state(
    player: Player, queries: list[str], text: str, reward: float
) -> None:
    played = await player.play(TextToSql(), CHANGE, list(map(call, queries)), text=text)
    assert reward == played.verdict.reward


@pytest.mark.parametrize("query", ["PRAGMA journal_mode=DELETE", "VACUUM INTO 'other.sqlite'"])
async def test_a_session_that_only_moves_the_file_about_earns_nothing(player: Player, query: str) -> None:
    assert (await player.play(TextToSql(), CHANGE, [call(query)])).verdict.reward == 0.0


async def test_the_tool_shows_rows_and_errors(player: Player) -> None:
    cells = [call("SELECT id, name FROM pets; SELECT x'00ff' AS b, NULL n"), call("SELECT * FROM nobody")]
    played = await player.play(TextToSql(), READ, cells)
    assert {"columns": ["b", "n"], "rows": [["x'00ff'", None]]}.items() <= played.replies[0].items()
    assert "no such table" in str(played.replies[1])


async def test_the_gold_is_not_in_the_session_and_a_broken_row_is_no_verdict(player: Player) -> None:
    with pytest.raises(SeedError):
        await player.play(TextToSql(), {**READ, "sql_context": "nonsense"})
    with pytest.raises(UnusableTestError):
        await player.play(TextToSql(), {**READ, "sql": "SELECT * FROM nobody"}, text=block("SELECT 1"))


async def test_other_dialects_are_compared_by_the_judge(player: Player) -> None:
    row = {**READ, "sql_dialect": "mysql", "sql_context": "CREATE TABLE t (x INT) ENGINE=InnoDB"}
    async with open_endpoint(says(EQUAL)) as endpoint:
        played = await player.play(TextToSql(), row, text=block("SELECT 1"), judge_model=judge_at(endpoint))
        assert played.verdict.reward == 1.0
        assert "InnoDB" in endpoint.prompt(0)


@pytest.mark.parametrize(
    ("sql", "changes", "ordered"),
    [
        ("SELECT REPLACE(a, 'UPDATE', '') FROM t", False, False),
        ("REPLACE INTO t VALUES (1)", True, False),
        ('SELECT "DELETE" FROM t ORDER  BY 1', False, True),
        ("SELECT * FROM (SELECT 1 ORDER BY 1)", False, False),
        ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", True, False),
    ],
)
def test_what_a_gold_query_does_is_read_off_it(sql: str, changes: bool, ordered: bool) -> None:
    task = SqlTask(sql=sql)
    assert (changes, ordered) == (task.changes, task.is_ordered)


def test_sql_is_found_in_a_message() -> None:
    assert "SELECT 1" == sql_in("```sql\nSELECT 2\n```\n```\nSELECT 1\n```")
    assert "with x as (select 1) select * from x" == sql_in("Use: with x as (select 1) select * from x")
    assert None is sql_in("no")
