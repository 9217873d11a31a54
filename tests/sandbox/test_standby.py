"""Sessions that are started before they are asked for."""

from __future__ import annotations

import attrs
import trio

from sandbox.launcher import Launcher, open_launcher
from sandbox.observation import Ending
from sandbox.profile import Handler, Profile
from tests.sandbox.handlers import PROFILE, SMALL, run, value
from tests.sandbox.kin import PATIENCE

READY = attrs.evolve(PROFILE, limits=SMALL)


async def wait_ready(launcher: Launcher, count: int, profile: Profile = READY) -> None:
    with trio.fail_after(PATIENCE):
        while launcher.ready(profile) != count:  # noqa: ASYNC110 - nobody but a test wants to wait for it
            await trio.sleep(0.005)


async def test_a_session_on_standby_is_given_out_once_and_replaced() -> None:
    async with open_launcher(standby=2) as launcher:
        await launcher.warm(READY)
        await wait_ready(launcher, 2)
        assert 0 == launcher.alive
        async with launcher.open_sandbox(READY) as one, launcher.open_sandbox(READY) as other:
            assert 2 == launcher.alive
            await value(one, "open('mine', 'w').write('1')")
            assert [] == await value(other, "__import__('os').listdir('.')")
        await wait_ready(launcher, 2)
        async with launcher.open_sandbox(READY) as third:
            assert [] == await value(third, "__import__('os').listdir('.')")
        assert 0 == launcher.alive


async def test_limits_of_ones_own_are_never_met_from_standby() -> None:
    async with open_launcher(standby=1) as launcher:
        await launcher.warm(READY)
        await wait_ready(launcher, 1)
        lower = attrs.evolve(SMALL, disk_bytes=1 << 20)
        async with launcher.open_sandbox(READY, lower) as box:
            assert lower == box.limits
            size = "(lambda s: s.f_blocks * s.f_frsize)(__import__('os').statvfs('.'))"
            assert 1 << 20 == await value(box, size)
        assert 1 == launcher.ready(READY)


async def test_what_died_on_standby_with_its_cage_is_not_given_out() -> None:
    async with open_launcher(standby=1) as launcher:
        cage = await launcher.warm(READY)
        await wait_ready(launcher, 1)
        cage.close()
        await cage.lost.wait()
        async with launcher.open_sandbox(READY) as box:
            assert 2 == await value(box, "1 + 1")


async def test_a_borrowed_session_is_gone_when_its_block_is_left() -> None:
    async with open_launcher(standby=1) as launcher:
        await launcher.warm(READY)
        await wait_ready(launcher, 1)
        async with launcher.open_sandbox(READY) as box:
            pass
        assert Ending.CLOSED == await box.wait_ended()


async def test_without_a_standby_nothing_runs_ahead(launcher: Launcher) -> None:
    await launcher.warm(READY)
    assert 0 == launcher.ready(READY)


async def test_a_session_on_standby_has_been_rehearsed_and_a_fresh_one_has_not() -> None:
    source = "def rehearse(state):\n    open('/tmp/rehearsed', 'w').close()\n"
    rehearse = Handler(name="rehearse", lane="first", target="rehearsal:rehearse", source=source)
    profile = attrs.evolve(READY, handlers=(*READY.handlers, rehearse), rehearsal="rehearse")
    async with open_launcher(standby=1) as launcher:
        await launcher.warm(profile)
        await wait_ready(launcher, 1, profile)
        async with launcher.open_sandbox(profile) as ready, launcher.open_sandbox(profile, SMALL) as fresh:
            assert ["rehearsed"] == await value(ready, "__import__('os').listdir('/tmp')")
            assert () == (await ready.finish()).calls[:-1]
            assert [] == await value(fresh, "__import__('os').listdir('/tmp')")


async def test_a_session_that_failed_its_rehearsal_is_not_given_out() -> None:
    source = "import os\ndef rehearse(state):\n    if os.getpid() > 1:\n        os._exit(1)  # of the lane\n"
    rehearse = Handler(name="rehearse", lane="first", target="rehearsal:rehearse", source=source)
    profile = attrs.evolve(READY, handlers=(*READY.handlers, rehearse), rehearsal="rehearse")
    async with open_launcher(standby=1) as launcher:
        await launcher.warm(profile)
        with trio.fail_after(PATIENCE):
            while launcher._standby._starting.get(profile):  # noqa: ASYNC110 - nobody else wants to wait for it
                await trio.sleep(0.005)
        assert 0 == launcher.ready(profile)
        async with launcher.open_sandbox(profile) as box:
            assert not (await run(box, "1 + 1")).interpreter_reset
