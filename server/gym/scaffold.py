"""Writes the folder that ``gym env start`` looks for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

import attrs

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class CannotBeWrittenError(Exception):
    """The folder cannot be written. The message is one sentence with the remedy."""


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be written.

    Attributes:
        folder: in it, ``resources_servers/NAME``.
        name: of the server: lower case letters, digits and ``_``.
        environment: what it plays.
        description: one line for NeMo Gym's lists.
        command: the `creche` that ``app.py`` starts.
        rows: JSON lines.
        rollouts: of these rows, JSON lines.
    """

    folder: Path
    name: str
    environment: str
    description: str
    command: Path
    rows: str
    rollouts: str


def own_command() -> Path:
    """Return the command `creche` of the environment that this process runs in."""
    return Path(sys.executable).with_name("creche")


def write(plan: Plan) -> list[Path]:
    """Write all files and return their paths.

    Raises:
        CannotBeWrittenError: the name is none, one of the files is there already, or cannot be made. Nothing
            that was there is changed.
    """
    if not _NAME.fullmatch(plan.name):
        msg = f"{plan.name!r} is no name for a resources server: take lower case letters, digits and _"
        raise CannotBeWrittenError(msg)
    home = plan.folder / "resources_servers" / plan.name
    texts = {home / path: text for path, text in _texts(plan).items()}
    for path in texts:
        if path.exists():
            msg = f"{path} is there already: remove it, or take another name with --name"
            raise CannotBeWrittenError(msg)
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{error.filename} cannot be written: {error.strerror}"
        raise CannotBeWrittenError(msg) from error
    return list(texts)


def _texts(plan: Plan) -> Mapping[str, str]:
    """Return what is written, by its path below the server's folder."""
    values = {
        "name": plan.name,
        "environment": plan.environment,
        "description": plan.description,
        "command": str(plan.command),
    }
    # YAML understands JSON; a text as it is could have in it what YAML reads otherwise.
    quoted = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items() if key != "name"}

    def template(name: str) -> str:
        text = files("server.gym").joinpath("templates", f"{name}.template").read_text(encoding="utf-8")
        return Template(text).substitute(values | quoted if name.endswith(".yaml") else values)

    return {
        "app.py": template("app.py"),
        "shim.py": template("shim.py"),
        "requirements.txt": template("requirements.txt"),
        "README.md": template("README.md"),
        f"configs/{plan.name}.yaml": template("agent.yaml"),
        f"configs/{plan.name}_environment_server.yaml": template("environment_server.yaml"),
        f"configs/{plan.name}_gymnasium.yaml": template("gymnasium.yaml"),
        f"configs/{plan.name}_shim.yaml": template("shim.yaml"),
        "data/example.jsonl": plan.rows,
        "data/example_rollouts.jsonl": plan.rollouts,
    }
