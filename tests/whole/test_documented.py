"""The curl examples in the documents can be pasted, and what they say is answered is answered."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from scripts.nemo_gym_home import ROOT
from tests.whole.servers import Server, creche

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")

TOKEN = "a-token-of-the-tests"
PRELUDE = r"""
set -eu
curl() {
    reply=$(command curl --fail-with-body --max-time 60 "$@")
    printf '%s\036' "$reply"
    case $reply in '{"id":"'*) ID=${reply#'{"id":"'}; ID=${ID%%'"'*} ;; esac
}
"""
SEEDED = "command curl -s -o seeded -c jar -d '{\"expected_files\":{}}' $URL/seed_session\n"


@attrs.frozen
class Example:
    """A block of a document.

    Attributes:
        place: where it stands.
        text: the commands.
        replies: for each command, what is said of its reply, if anything is.
    """

    place: str
    text: str
    replies: tuple[str, ...]


def examples() -> Iterator[Example]:
    for path in ("README.md", "docs/http.md", "docs/sandboxes.md"):
        blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / path).read_text(), re.MULTILINE | re.DOTALL)
        for number, block in enumerate(blocks):
            lines = block.splitlines()
            commands = [index for index, line in enumerate(lines) if line.startswith("curl")]
            if commands:
                after = [lines[index + 1] if index + 1 < len(lines) else "" for index in commands]
                said = [line[2:] if line.startswith("# {") else "" for line in after]
                yield Example(f"{path}-{number}", block, tuple(said))


def as_pattern(said: str) -> str:
    """Return a pattern for what is said of a reply: … is anything, and what comes after a gap is a remark."""
    told = re.sub(r"\s{3,}.*", "", said)
    return ".*".join(map(re.escape, told.split("…")))


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with creche(tmp_path_factory.mktemp("server"), CRECHE_SANDBOX_TOKEN=TOKEN) as server:
        yield server


def test_there_are_examples_of_all_documents() -> None:
    assert {"README.md", "docs/http.md", "docs/sandboxes.md"} == {
        example.place.rpartition("-")[0] for example in examples()
    }


@pytest.mark.parametrize("example", [*examples()], ids=lambda example: example.place)
def test_an_example_can_be_pasted(server: Server, tmp_path: Path, example: Example) -> None:
    with tarfile.open(tmp_path / "local.tar", "w") as archive:
        for name, text in {"Makefile": "all:\n\techo made > ../repo/out.txt\n"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    host = server.url.removeprefix("http://")
    text = example.text.replace("127.0.0.1:8000", host).replace("localhost:8000", host)
    if "-b jar" in text and "-c jar" not in text:
        text = SEEDED + text
    done = subprocess.run(
        ["bash", "-c", PRELUDE + text],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "URL": server.url, "TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    replies = done.stdout.split("\036")[:-1]
    assert (0, len(example.replies)) == (done.returncode, len(replies)), done.stdout + done.stderr
    for said, reply in zip(example.replies, replies, strict=True):
        assert not said or re.fullmatch(as_pattern(said), reply), f"{reply}\nand not\n{said}"
