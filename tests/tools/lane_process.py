"""What a lane of a session does, without the session: for `tests.tools.lanes`, which runs it as a script.

Arguments: a target such as ``tools.python:python``, the descriptors of requests and replies, one JSON text a
line, and how long an interrupted shell is waited for. Before a reply comes an empty line: the call may be
interrupted from then on.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

from tools import shell


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name).function
    shell._INTERRUPT_SECONDS = float(sys.argv[4])
    state: dict[str, Any] = {}
    with os.fdopen(int(sys.argv[2])) as requests, os.fdopen(int(sys.argv[3]), "w") as replies:
        for line in requests:
            value, error = None, None
            try:
                try:
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    os.write(replies.fileno(), b"\n")
                    value = function(state, **json.loads(line))
                finally:
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
            except BaseException as raised:  # noqa: BLE001, ASYNC103 - as in a lane
                value = getattr(raised, "value", None)
                error = f"{type(raised).__name__}: {raised}"
            sys.stdout.flush()
            sys.stderr.flush()
            replies.write(json.dumps({"value": value, "error": error}) + "\n")
            replies.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
