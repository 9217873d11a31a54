"""One recorded rollout, played again."""

from __future__ import annotations

import math

import attrs

from scripts.replaying.recording import Recording, differing, exchanges_in
from server.client import AsyncClient, Refused, Unreachable


@attrs.frozen
class Replayed:
    """What came of it.

    Attributes:
        recording: what was played.
        reward: what it was worth now; None where there was no verdict, or one that must not count.
        trouble: why there was none.
        calls: how many calls were made.
        differing: how many of their replies were not as recorded.
    """

    recording: Recording
    reward: float | None
    trouble: str = ""
    calls: int = 0
    differing: int = 0

    @property
    def is_comparable(self) -> bool:
        """Whether enough is known of it: its row, and a reward that was not a failure's."""
        return self.recording.row is not None and self.recording.reward is not None

    @property
    def agrees(self) -> bool:
        """Whether it was worth the same; of what is not comparable nothing is said."""
        wanted = self.recording.reward
        if not self.is_comparable or wanted is None:
            return True
        return self.reward is not None and math.isclose(self.reward, wanted, abs_tol=1e-9)


async def replay(client: AsyncClient, recording: Recording) -> Replayed:
    """Seed with the recorded row, make the recorded calls in their order, verify with the recorded response.

    What goes wrong on the way is told in the result; nothing is raised for it.
    """
    if recording.row is None:
        return Replayed(recording, None)
    exchanges = exchanges_in(recording.response)
    texts: list[tuple[str, str | None]] = []
    try:
        async with client.session(recording.row) as session:
            for tool, arguments, output in exchanges:
                try:
                    text = (await session.call(tool, **arguments)).text
                except Refused as refused:  # the model was shown something like it, and went on
                    text = refused.text
                texts.append((text, output))
            verdict = await session.verify(recording.response)
    except (Refused, Unreachable) as error:
        return Replayed(recording, None, str(error), len(texts), differing(texts))
    if verdict.is_masked:
        trouble = f"{verdict.failure_kind}: {verdict.failure_reason}"
        return Replayed(recording, None, trouble, len(texts), differing(texts))
    return Replayed(recording, verdict.reward, "", len(texts), differing(texts))
