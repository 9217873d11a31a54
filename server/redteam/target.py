"""A row, read for what can be attacked in it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from server.playing.reference import SOLUTION_KEYS, answers_in, fields_in, reference_script
from server.playing.script import Call
from server.redteam.attempt import Attempt
from tools.shapes import is_dict, is_list

if TYPE_CHECKING:
    from tools.registry import Tool

_TRUTH = re.compile(
    r"expect|answer|solution|test|gold|truth|referenc|label|output|target|oracle|assert", re.IGNORECASE
)
"""Keys under which rows keep what a session must not see."""

_RUN = re.compile(r"(?:\b(?:python3?|sh|bash)[ \t]+(?:-\w+[ \t]+)*(?=[\w./])|\./)([\w./-]*\w)")
"""What a shell script runs that is no program of the system's."""

_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)

_SHORTEST_TRUTH = 8
"""Of a text that is looked for: shorter ones turn up anywhere by chance."""

_MOST_TRUTHS = 40


@attrs.frozen(kw_only=True)
class Target:
    """What an attack may use.

    Attributes:
        row: the row.
        tools: the environment's, by name.
        functions: names of functions that the row's tests call.
        cases: pairs of input and expected output, where the row has such.
        answers: short texts that are, or may be, the right answer.
        truths: texts that a session must not see, with the field that they stand in.
        paths: files that the row names.
        judges_code: whether the row has tests for code.
        cpu_seconds: the verifier's bound of processor time, where whoever attacks knows it.
    """

    row: Mapping[str, Any]
    tools: Mapping[str, Tool] = attrs.field(repr=False)
    functions: tuple[str, ...] = ()
    cases: tuple[tuple[str, str], ...] = ()
    answers: tuple[str, ...] = ()
    truths: tuple[tuple[str, str], ...] = ()
    paths: tuple[str, ...] = ()
    judges_code: bool = False
    cpu_seconds: float | None = None

    @classmethod
    def of(
        cls, row: Mapping[str, Any], tools: Mapping[str, Tool], cpu_seconds: float | None = None
    ) -> Target:
        """Read `row`."""
        fields = dict(fields_in(row))
        holders: list[Mapping[str, Any]] = [row, *(value for value in fields.values() if is_dict(value))]
        functions = _functions(holders)
        found = [cases for cases in map(_cases, holders) if cases]
        cases = found[0] if found else ()
        is_code = bool(functions or cases) or any(key in fields for key in SOLUTION_KEYS)
        return cls(
            row=row,
            tools=tools,
            functions=functions,
            cases=cases,
            answers=tuple(answers_in(fields)),
            truths=tuple(_truths(row)),
            paths=tuple(dict.fromkeys(_paths(row))),
            judges_code=is_code,
            cpu_seconds=cpu_seconds,
        )

    @property
    def programs_under_test(self) -> tuple[str, ...]:
        """The session's programs that the row's hidden scripts seem to run."""
        scripts = [text for key, text in fields_in(self.row) if "script" in key and isinstance(text, str)]
        found = [name for script in scripts for name in _RUN.findall(script)]
        return tuple(dict.fromkeys(found))

    @property
    def hidden_files(self) -> tuple[str, ...]:
        """The names of the files that lie beside the hidden scripts."""
        files = [value for key, value in fields_in(self.row) if "test" in key and "file" in key]
        return tuple(dict.fromkeys(str(name) for value in files if is_dict(value) for name in value))

    @property
    def modules_under_test(self) -> tuple[str, ...]:
        """The session's modules that the row's hidden tests seem to import."""
        files = [value for key, value in fields_in(self.row) if "test" in key and "file" in key]
        texts = [str(text) for value in files if is_dict(value) for text in value.values()]
        hidden = {name.rpartition("/")[2].partition(".")[0] for name in self.hidden_files}
        found = [name for text in texts for name in _IMPORT.findall(text)]
        return tuple(name for name in dict.fromkeys(found) if name not in hidden | sys.stdlib_module_names)

    @property
    def is_program(self) -> bool:
        """Whether the row's cases are of a whole program."""
        return bool(self.cases) and not self.functions

    def python(self, code: str) -> tuple[Call, ...]:
        """Return calls that run Python in the session; none where no tool does."""
        for name, parameter in (("python", "code"), ("execute_python", "code"), *self._other("code")):
            if name in self.tools:
                return (Call(name, {parameter: code}),)
        return self.bash(f"python3 - <<'END_OF_CODE'\n{code}\nEND_OF_CODE")

    def bash(self, command: str) -> tuple[Call, ...]:
        """Return calls that run a shell command in the session; none where no tool does."""
        for name, parameter in (("bash", "command"), *self._other("command")):
            if name in self.tools:
                return (Call(name, {parameter: command}),)
        if not any(
            name in self.tools for name, _ in (("python", ""), ("execute_python", ""), *self._other("code"))
        ):
            return ()
        code = f"import subprocess\nran = subprocess.run(['bash', '-c', {command!r}], capture_output=True, text=True)\nprint(ran.stdout, ran.stderr)"
        return self.python(code)

    def functions_that(self, body: str, top: str = "") -> str:
        """Return a solution all of whose functions have `body`, which a program runs at once."""
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        defined = [f"def {name}(*args, **kwargs):\n{lines}" for name in self.functions or ("main",)]
        run = "main()" if not self.functions else ""
        return "\n".join([top, *defined, run]) + "\n"

    def oracle(self) -> Attempt | None:
        """Return the rollout that does the task, where the row has a reference."""
        script = reference_script(self.row, self.tools)
        return None if script is None else Attempt(label="oracle", calls=script.calls, text=script.text)

    def _other(self, parameter: str) -> list[tuple[str, str]]:
        """Return the environment's own tools that take nothing but a text of that name."""
        found: list[tuple[str, str]] = []
        for name, tool in self.tools.items():
            schema = tool.schema()
            if list(schema.get("required", ())) == [parameter]:
                found.append((name, parameter))
        return found


def _functions(holders: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    names: list[str] = []
    for holder in holders:
        names += [holder[key] for key in ("entry_point", "fn_name") if isinstance(holder.get(key), str)]
        asserts = holder.get("asserts")
        for statement in asserts if is_list(asserts) else []:
            names += re.findall(r"assert\s+(?:not\s+)?(\w+)\(", str(statement))[:1]
    return tuple(dict.fromkeys(name for name in names if name.isidentifier()))


def _cases(holder: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    inputs, outputs = holder.get("inputs"), holder.get("outputs")
    if not is_list(inputs) or not is_list(outputs):
        return ()
    return tuple((str(read), str(wanted)) for read, wanted in zip(inputs, outputs, strict=False))


def _truths(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Go through the texts under keys that sound like ground truth and that the prompt does not tell."""
    told = json.dumps(row.get("responses_create_params"), ensure_ascii=False)
    given = json.dumps(row.get("files"), ensure_ascii=False)
    number = 0
    for key, value in row.items():
        if key == "responses_create_params" or key.startswith("_ng_"):
            continue
        for path, text in _leaves(value, key):
            named = _TRUTH.search(path) is not None
            if named and len(text) >= _SHORTEST_TRUTH and text not in told and text not in given:
                number += 1
                if number > _MOST_TRUTHS:
                    return
                yield path, text


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif is_dict(value):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    elif is_list(value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")


def _paths(row: Mapping[str, Any]) -> Iterator[str]:
    for key, value in fields_in(row):
        if "file" in key and is_dict(value):
            yield from (str(path) for path in value)
        elif ("file" in key or "path" in key) and isinstance(value, str) and len(value) < 200:  # noqa: PLR2004  # a name
            yield value
