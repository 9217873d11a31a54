"""A trajectory with token ids: it passes through as it came, and costs a bounded number of times its size."""

from __future__ import annotations

import re
from pathlib import Path

from tests.whole.servers import Server, creche

MIB = 1024 * 1024
SIZE = 63 * MIB
ROW = b'"initial_count":1,"expected_count":1'


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def test_sixty_four_megabytes_are_judged_and_repeated(tmp_path: Path) -> None:
    ids = b"[" + b"104729,1.0e1," * (SIZE // 13) + b"7]"
    body = b"{" + ROW + b',"response":{"output":[{"type":"message","token_ids":' + ids + b"}]}}"
    with creche(tmp_path, "example_session_state_mgmt") as server, server.client() as client:
        client.post("/seed_session", content=b"{" + ROW + b"}")
        before = peak_bytes(server)
        reply = client.post("/verify", content=body, timeout=150)
        assert 200 == reply.status_code
        assert ids in reply.content
        assert re.search(rb'"reward":1\.0\b', reply.content[-20_000:])
        assert (peak_bytes(server) - before) / len(body) < 14
