"""What ``creche gym init`` writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import attrs
import pytest
import yaml
from click.testing import CliRunner

from server.cli import main
from server.gym.scaffold import CannotBeWrittenError, Plan, write


def plan(folder: Path, name: str = "counter") -> Plan:
    return Plan(
        folder=folder,
        name=name,
        environment="workbench",
        description="Do things",
        command=Path("/opt/bin/creche"),
        rows="{}\n",
        rollouts="{}\n",
    )


def test_everything_is_named_after_the_server(tmp_path: Path) -> None:
    home = tmp_path / "resources_servers" / "counter"
    written = {str(path.relative_to(home)) for path in write(plan(tmp_path))}
    assert {
        "app.py",
        "shim.py",
        "requirements.txt",
        "README.md",
        "configs/counter.yaml",
        "configs/counter_environment_server.yaml",
        "configs/counter_gymnasium.yaml",
        "configs/counter_shim.yaml",
        "data/example.jsonl",
        "data/example_rollouts.jsonl",
    } == written
    for path in home.rglob("*.yaml"):
        assert not re.search(r"\$\{?[a-z]", path.read_text()), path
    for name in ("app.py", "shim.py"):
        compile((home / name).read_text(), name, "exec")


@pytest.mark.parametrize("text", ["Do: things", "Count #1", "'", '"', "- a", "{a}", "yes", "é", "@"])
def test_a_description_is_a_text_whatever_is_in_it(tmp_path: Path, text: str) -> None:
    made = attrs.evolve(plan(tmp_path), description=text, environment=f"/a: b/{text}.py:C")
    for path in write(made):
        if path.suffix == ".yaml":
            (entry,) = yaml.safe_load(path.read_text())["counter"]["resources_servers"].values()
            assert text == entry["description"], path
            assert entry.get("environment") in {None, made.environment}, path


def test_nothing_that_is_there_is_changed(tmp_path: Path) -> None:
    (app, *_) = write(plan(tmp_path))
    app.write_text("mine")
    with pytest.raises(CannotBeWrittenError, match="is there already"):
        write(plan(tmp_path))
    assert "mine" == app.read_text()


@pytest.mark.parametrize("name", ["", "../x", "Counter", "a-b", "1st"])
def test_a_name_must_be_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotBeWrittenError, match="is no name"):
        write(plan(tmp_path, name))
    assert [] == list(tmp_path.iterdir())


def test_the_examples_were_really_played(tmp_path: Path) -> None:
    arguments = [
        "gym",
        "init",
        str(tmp_path),
        "--environment",
        "example_session_state_mgmt",
        "--name",
        "counter",
    ]
    done = CliRunner().invoke(main, arguments)
    assert 0 == done.exit_code, done.output
    data = tmp_path / "resources_servers" / "counter" / "data"
    rows, rollouts = (
        [json.loads(line) for line in (data / name).read_text().splitlines()]
        for name in ("example.jsonl", "example_rollouts.jsonl")
    )
    assert [1.0] * 5 == [rollout["reward"] for rollout in rollouts]
    assert [row["expected_count"] for row in rows] == [rollout["expected_count"] for rollout in rollouts]
    assert all(len(row["responses_create_params"]["tools"]) == 2 for row in rows)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--environment", "nothing"], "no environment is called 'nothing'"),
        (["--rows", "nothing.jsonl"], "nothing.jsonl cannot be read"),
        (["--name", "a-b"], "is no name"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(
    tmp_path: Path, more: list[str], words: str
) -> None:
    done = CliRunner().invoke(main, ["gym", "init", str(tmp_path), *more])
    assert (1, 1) == (done.exit_code, done.stderr.count("\n"))
    assert words in done.stderr
