"""A question in words, a database, and SQL that answers it; judged by what the SQL does.

The session has the row's database as ``database.sqlite`` and a tool that runs SQL on it, and may change it.
Which way a row is judged depends on its gold SQL:

* It reads: the SQL in the final message must bring the same rows, on a fresh database; in the same order if
  the gold SQL orders them.
* It changes: the database that the session left must be in the state that the gold SQL leads to. If the
  session never used the tool, the SQL in the final message is run on a fresh one instead.

A query that says by heart what the session saw is none: rows that do not depend on the database where the
gold SQL's do are wrong.

Gold and candidate never share a sandbox. SQL of other dialects cannot be run here, and a gold SQL that does
the same on an empty database, or changes nothing, tells nothing when it is run: such rows are judged by the
operator's language model, which compares the two statements. Without one they are masked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from sandbox.observation import Outcome
from server.environment import Environment, Rollout, Session, Verdict
from server.sessions.files import SeedError
from server.verify.databases import (
    BadDatabaseError,
    Database,
    Ran,
    follows_alike,
    read_database,
    run_gold,
    run_sql,
    same_database,
    same_rows,
)
from server.verify.extraction import last_code_block
from server.verify.judge.equivalence import TEMPLATE, EquivalenceJudge
from server.verify.judge.prompts import Template
from tools.database import DATABASE, sql

_CHANGING = re.compile(r"\b(?:INSERT|UPDATE|DELETE|REPLACE\s+INTO|CREATE|ALTER|DROP)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_ORDERED = re.compile(r"\bORDER\s+BY\b(?![^()]*\))", re.IGNORECASE)
_STATEMENT = re.compile(r"\b(?:WITH|SELECT|INSERT|UPDATE|DELETE)\b.*", re.IGNORECASE | re.DOTALL)


@attrs.frozen(kw_only=True)
class SqlTask:
    """A row.

    Attributes:
        sql: the gold SQL.
        sql_dialect: ``sqlite``, or another that only a judge can compare.
        sql_context: SQL that builds the database.
        sql_prompt: the question.
    """

    sql: str
    sql_dialect: str = "sqlite"
    sql_context: str = ""
    sql_prompt: str = ""

    @property
    def can_be_run(self) -> bool:
        """Whether the SQL is of the dialect that there is a database for."""
        return self.sql_dialect.strip().lower() in {"sqlite", "sqlite3"}

    @property
    def changes(self) -> bool:
        """Whether the gold SQL changes the database."""
        return _CHANGING.search(_QUOTED.sub(" ", self.sql)) is not None

    @property
    def is_ordered(self) -> bool:
        """Whether the gold SQL orders its rows, outside of all parentheses."""
        return _ORDERED.search(_QUOTED.sub(" ", self.sql)) is not None


class TextToSql(Environment[SqlTask]):
    """Reward 1.0 if the SQL does what the gold SQL does."""

    tools = (sql,)
    template: ClassVar[Template] = attrs.evolve(
        TEMPLATE,
        text=TEMPLATE.text.replace("Answer A", "SQL A").replace("Answer B", "SQL B"),
        system="You decide whether two SQL statements answer a question about a database in the same way.",
    )

    async def seed_session(self, session: Session, task: SqlTask) -> None:
        """Build the database, by the tool itself."""
        if not task.can_be_run or not task.sql_context.strip():
            return
        built = await session.call(sql.name, {"query": task.sql_context})
        if built.outcome is not Outcome.OK:
            msg = f"the row's database cannot be built: {built.value or built.error or built.outcome}"
            raise SeedError(msg)

    async def verify(self, rollout: Rollout[SqlTask]) -> Verdict:
        """Judge what the SQL does, or have it compared."""
        task = rollout.task
        said = sql_in(rollout.final_text)
        fields: dict[str, Any] = {
            "model_output": rollout.final_text,
            "extracted_sql": said,
            "judge_passed": False,
            "judge_evaluations": [],
        }
        if not task.can_be_run:
            return await self._compared(rollout, fields)
        gold = await run_gold(rollout, task.sql_context, task.sql)
        if not (gold.changes if task.changes else gold.tells_something):
            return await self._compared(rollout, fields)
        try:
            is_right = await self._is_right(rollout, gold, said)
        except BadDatabaseError as error:
            return Verdict(0.0, {**fields, "failure": str(error)})
        return Verdict(float(is_right), fields)

    async def _compared(self, rollout: Rollout[SqlTask], fields: Mapping[str, Any]) -> Verdict:
        """Have the two statements compared as texts, and if that says nothing, by a language model."""
        task, said = rollout.task, fields["extracted_sql"]
        if said is None or _one_line(said) == _one_line(task.sql):
            return Verdict(float(said is not None), fields)
        judge = EquivalenceJudge(model=rollout.judge_model, template=self.template)
        judged = await judge.judge(f"{task.sql_context}\n\n{task.sql_prompt}", task.sql, said)
        told = {"judge_passed": judged.reward > 0, "judge_evaluations": judged.evaluations}
        return Verdict(judged.reward, {**fields, **told})

    async def _is_right(self, rollout: Rollout[SqlTask], gold: Ran, said: str | None) -> bool:
        task = rollout.task
        if not task.changes:
            if said is None:
                return False
            ran = await run_sql(rollout, task.sql_context, said)
            return same_rows(gold.rows, ran.rows, ordered=task.is_ordered) and follows_alike(gold, ran)
        seeds = 1 if task.sql_context.strip() else 0
        if len(rollout.calls) > seeds:
            return same_database(gold.database, await _left(rollout))
        if said is None:
            return False
        return same_database(gold.database, (await run_sql(rollout, task.sql_context, said)).database)


async def _left(rollout: Rollout[SqlTask]) -> Database:
    """Return what is in the database that the session left."""
    captured = rollout.final_state.files.get(DATABASE)
    if captured is None:
        msg = f"the session left no {DATABASE}"
        raise BadDatabaseError(msg)
    return await read_database(rollout, captured.data)


def _one_line(query: str) -> str:
    return " ".join(query.split()).rstrip("; ")


def sql_in(text: str) -> str | None:
    """Return the SQL in a message: its last fenced block, else what begins with a statement, else None."""
    block = last_code_block(text)
    if block is not None:
        return block.strip() or None
    found = _STATEMENT.search(text)
    return found[0].strip() if found else None
