"""One call of a judge's endpoint, or the certainty that it failed.

httpx comes with the extra ``judge``: a server without a judge has no business with an HTTP client, so it is
imported when the first question is asked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import attrs
import trio

from server.verify.verdicts import JudgeFailedError
from tools.shapes import is_dict, is_list

if TYPE_CHECKING:
    import ssl

    import httpx

    from server.settings import Settings

Api = Literal["responses", "chat"]

_PATHS: Mapping[str, str] = {"responses": "/v1/responses", "chat": "/v1/chat/completions"}
_MAX_BODY = 8 * 1024 * 1024
_AGAIN = frozenset({408, 409, 425, 429})
_NOT_THE_QUESTIONS = frozenset({401, 404})
"""Lasting refusals that say nothing of the question: a wrong key, a wrong URL or model."""

_CLIENT_ERRORS, _SERVER_ERRORS = 400, 500
_MARGIN_SECONDS = 5.0
_LONGEST_PAUSE = 30.0


class QuestionRefusedError(JudgeFailedError):
    """The endpoint will not have this question: it is too long for the model, or has something in it."""


@attrs.frozen
class Answer:
    """What a judge answered.

    Attributes:
        text: all of its last message; empty when it said nothing.
        request: what it was asked, as it was sent.
        response: its whole reply.
    """

    text: str
    request: Mapping[str, Any] = attrs.field(repr=False)
    response: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class JudgeModel:
    """An endpoint and a model, and how patiently they are asked. One serves all verdicts of a server.

    Attributes:
        url: the endpoint, with or without ``/v1``.
        model: its name there.
        api: which of the two protocols it speaks.
        key: goes into ``Authorization: Bearer``.
        params: more of the request: temperature, max_output_tokens, …
        seconds: one try, from connecting to the last byte.
        tries: how often a question is asked until a call succeeds.
        pause_seconds: before the second try; doubled before each further one, and shuffled.
        limiter: how many calls there may be at once.
    """

    url: str
    model: str
    api: Api = "responses"
    key: str | None = attrs.field(default=None, repr=False)
    params: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    seconds: float = 120.0
    tries: int = 5
    pause_seconds: float = 0.5
    limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(64), eq=False)

    async def ask(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        """Return the answer to `messages`.

        Raises:
            QuestionRefusedError: the endpoint will not have such a question.
            JudgeFailedError: no try succeeded, or the caller's deadline is too near for another. Says how.
        """
        import httpx  # noqa: PLC0415  # see above

        turns = [dict(message) for message in messages]
        request = {**self.params, "model": self.model, _MESSAGES[self.api]: turns}
        end = trio.current_effective_deadline() - _MARGIN_SECONDS
        failed = _Failed("there was no time to ask it", again=False)
        settings: dict[str, Any] = {"verify": _trust(), "trust_env": False, "timeout": None}  # `_try` has one
        async with httpx.AsyncClient(**settings) as client:
            for number in range(self.tries):
                with trio.CancelScope(deadline=end) as patience:
                    await self.limiter.acquire()
                if patience.cancelled_caught:
                    break
                try:  # the deadline of a try begins with it, and not when it gets into line
                    tried = await self._try(client, request, min(trio.current_time() + self.seconds, end))
                finally:
                    self.limiter.release()
                if isinstance(tried, Answer):
                    return tried
                failed = tried
                if not failed.again or number + 1 == self.tries:
                    break
                await trio.sleep_until(min(trio.current_time() + self._pause(number, failed.after), end))
        msg = f"the judge failed: {failed.why}"
        raise QuestionRefusedError(msg) if failed.is_refusal else JudgeFailedError(msg)

    async def _try(
        self, client: httpx.AsyncClient, request: Mapping[str, Any], deadline: float
    ) -> Answer | _Failed:
        import httpx  # noqa: PLC0415  # see above

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = self.url.rstrip("/").removesuffix("/v1") + _PATHS[self.api]
        body = bytearray()
        with trio.CancelScope(deadline=deadline) as scope:
            try:
                async with client.stream("POST", url, json=request, headers=headers) as reply:
                    async for part in reply.aiter_bytes():
                        body += part
                        if len(body) > _MAX_BODY:
                            scope.cancel()  # and not `return`, which would leave httpx's generators behind
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
                return _Failed(f"{type(error).__name__}", again=not isinstance(error, httpx.InvalidURL))
            return self._read(reply, bytes(body), request)
        if len(body) > _MAX_BODY:
            return _Failed(f"its reply is longer than {_MAX_BODY} bytes", again=False)
        return _Failed("it did not answer in time", again=True)

    def _read(self, reply: httpx.Response, body: bytes, request: Mapping[str, Any]) -> Answer | _Failed:
        status = reply.status_code
        if not reply.is_success:
            again = status in _AGAIN or status >= _SERVER_ERRORS
            is_refusal = (
                _CLIENT_ERRORS <= status < _SERVER_ERRORS and not again and status not in _NOT_THE_QUESTIONS
            )
            why = f"it answered with status {status}"
            return _Failed(why, again=again, after=_after(reply), is_refusal=is_refusal)
        try:
            value = json.loads(body)
            if is_dict(value) and value.get("error"):
                return _Failed("it answered with an error", again=True, is_refusal=True)
            text = _text_of_responses(value) if self.api == "responses" else _text_of_chat(value)
        except (ValueError, RecursionError):
            return _Failed("its reply is no reply of that API", again=True)
        return Answer(text, request, value)

    def _pause(self, number: int, after: float) -> float:
        pause: float = self.pause_seconds * 2**number * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
        return min(_LONGEST_PAUSE, max(pause, after))


def judge_model_of(settings: Settings) -> JudgeModel | None:
    """Return the model that a server's settings name, if they do."""
    if settings.judge_url is None or settings.judge_model is None:
        return None
    return JudgeModel(
        url=settings.judge_url,
        model=settings.judge_model,
        api=settings.judge_api,
        key=settings.judge_key,
        seconds=settings.judge_seconds,
        limiter=trio.CapacityLimiter(settings.judge_calls),
    )


_MESSAGES: Mapping[str, str] = {"responses": "input", "chat": "messages"}


@attrs.frozen
class _Failed:
    """A try that brought no answer.

    Attributes:
        why: in a few words.
        again: whether another try may bring one.
        after: how long the endpoint asks to wait.
        is_refusal: whether it may be the question's fault, if it lasts.
    """

    why: str
    again: bool = attrs.field(kw_only=True)
    after: float = attrs.field(kw_only=True, default=0.0)
    is_refusal: bool = attrs.field(kw_only=True, default=False)


@cache
def _trust() -> ssl.SSLContext:
    """Return whom endpoints may be certified by. Read once: it takes 15 ms, in which nobody is served."""
    import httpx  # noqa: PLC0415  # see above

    return httpx.create_ssl_context(trust_env=False)


def _after(reply: httpx.Response) -> float:
    try:
        return max(0.0, float(reply.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0


def _text_of_responses(value: Any) -> str:
    """Return the text of the last message; what is no response at all raises ValueError."""
    output = value.get("output") if is_dict(value) else None
    if not is_list(output):
        raise ValueError
    messages = [item for item in output if is_dict(item) and item.get("type", "message") == "message"]
    return _text(messages[-1].get("content")) if messages else ""


def _text_of_chat(value: Any) -> str:
    choices = value.get("choices") if is_dict(value) else None
    message = choices[0].get("message") if is_list(choices) and choices and is_dict(choices[0]) else None
    if not is_dict(message):
        raise ValueError
    return _text(message.get("content"))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if is_list(content) else []
    texts = [part.get("text") for part in parts if is_dict(part)]
    return "".join(text for text in texts if isinstance(text, str))
