"""Runs in NeMo Gym's own environment: uses our sandboxes through its `AsyncSandbox`."""

import asyncio
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

# Not in this environment.
from nemo_gym.sandbox import AsyncSandbox, SandboxSpec  # pyright: ignore[reportMissingImports]
from nemo_gym.sandbox.providers.registry import (  # pyright: ignore[reportMissingImports]
    create_provider,
    list_providers,
)

URL, TOKEN = sys.argv[1:]
CONFIG = {"creche": {"url": URL, "token": TOKEN}}


async def error_of(config: dict[str, Any], spec: Any) -> str:
    sandbox = AsyncSandbox({"creche": config})
    try:
        await sandbox.start(spec)
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        await sandbox.stop()
    return "it started"


async def main() -> dict[str, Any]:
    told: dict[str, Any] = {"is_listed": "creche" in list_providers()}
    config = CONFIG["creche"]
    told["errors"] = {
        "image": await error_of(config, SandboxSpec(image="python:3.12")),
        "gpu": await error_of(config, SandboxSpec(resources={"gpu": 1})),
        "memory": await error_of(config, SandboxSpec(resources={"memory_mib": 10**9})),
        "ttl": await error_of(config, SandboxSpec(ttl_s=10**9)),
        "token": await error_of({**config, "token": "wrong"}, SandboxSpec()),
        "any_image": await error_of({**config, "any_image": True}, SandboxSpec(image="python:3.12")),
    }
    spec = SandboxSpec(
        ttl_s=120,
        workdir="/workspace/repo",
        env={"A": "1"},
        files={"in.txt": "one\n", "/tmp/other.txt": "two\n"},
        resources={"memory_mib": 256, "disk_gib": None},
    )
    provider = create_provider(CONFIG)
    sandbox = AsyncSandbox(provider, owns_provider=False)
    await sandbox.start(spec)
    told["exec"] = [
        dataclasses.asdict(await sandbox.exec('pwd; echo "$A$B"; cat in.txt /tmp/other.txt', env={"B": "2"})),
        dataclasses.asdict(await sandbox.exec("echo err >&2; exit 3")),
        dataclasses.asdict(await sandbox.exec("echo before; sleep 1000", timeout_s=4)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder) / "up", Path(folder) / "deep" / "down"
        here.write_bytes(bytes(range(256)))
        await sandbox.upload(here, "data.bin")
        await sandbox.download("/workspace/repo/data.bin", there)
        told["is_same"] = here.read_bytes() == there.read_bytes()
    handle = sandbox._handle  # how a caller gets at what only this provider has
    await provider.python(handle, "x = 6")
    told["python"] = (await provider.python(handle, "x * 7")).result
    told["descriptor"] = await sandbox.serialize()
    sent = json.loads(json.dumps(told["descriptor"]))
    other = await AsyncSandbox.connect(sent, provider=create_provider(CONFIG))
    told["connected"] = (await other.exec("cat in.txt")).stdout
    told["status"] = [(await other.status()).value]
    await other.disconnect()
    await sandbox.stop()
    await sandbox.stop()
    told["status"].append((await provider.status(handle)).value)
    told["after"] = dataclasses.asdict(await provider.exec(handle, "true"))
    await provider.close(handle)
    try:
        await AsyncSandbox.connect(told["descriptor"], provider=provider, owns_provider=False)
    except RuntimeError as error:
        told["connect_after"] = str(error)
    await provider.aclose()
    return told


json.dump(asyncio.run(main()), sys.stdout)
