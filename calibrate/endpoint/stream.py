"""The streamed answer of an OpenAI-compatible server: server-sent events, read as they come [1]_.

The first token is the first event with something of the answer in it (of a chat: text, reasoning
or a tool call, not the event that only names the role); the last token the last such event.
Tokens are counted by the server's ``usage``, which is asked for; without it by events.

References
----------
.. [1] OpenAI API reference, "Streaming events"; WHATWG HTML, 9.2 "Server-sent events".
"""

from __future__ import annotations

import json
from typing import Any

#: Longest event, and longest answer, that is read. [B]
MAX_EVENT, MAX_ANSWER = 2**20, 2**28
#: Largest number of tokens that is believed of a server. [tokens]
MAX_TOKENS = 100_000_000
#: Parts of a chat's ``delta`` that are of the answer.
_PARTS = ("content", "reasoning_content", "reasoning", "tool_calls")


class StreamError(Exception):
    """A stream that is no answer; the message says why."""


class StreamedAnswer:
    """What one stream said so far.

    Attributes
    ----------
    first_s, last_s : float or None
        When the first and the last token came, by the caller's clock. [s]
    events : int
        Events with something of the answer in them.
    prompt_tokens, output_tokens : int or None
        The server's counts, once it said them. [tokens]
    done : bool
        Whether the answer is complete.
    """

    def __init__(self) -> None:
        self.first_s: float | None = None
        self.last_s: float | None = None
        self.events = 0
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.done = False
        self._buffer = bytearray()
        self._seen = 0

    def feed(self, data: bytes, at_s: float) -> None:
        """Take the bytes that came at `at_s`.

        Raises
        ------
        StreamError
            If they are no events of an answer, an event says that the server failed, or there
            is more than a limit.
        """
        self._seen += len(data)
        if self._seen > MAX_ANSWER:
            raise StreamError(f"answer of more than {MAX_ANSWER:,} bytes")
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > MAX_EVENT:
            raise StreamError(f"event of more than {MAX_EVENT:,} bytes")
        for line in lines:
            self._line(bytes(line.strip()), at_s)

    def _line(self, line: bytes, at_s: float) -> None:
        if not line.startswith(b"data:"):
            return  # a blank line, a comment, or a field that no answer is in
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            raise StreamError("malformed event") from None
        if not isinstance(event, dict):
            raise StreamError("malformed event")
        if event.get("error"):
            # whole: whoever repeats it takes the key out before it is cut
            raise StreamError(f"error in the stream: {json.dumps(event['error'])}")
        self._count(event.get("usage"))
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._choice(choice, at_s)

    def _count(self, usage: Any) -> None:  # noqa: ANN401 - JSON
        if not isinstance(usage, dict):
            return
        for key, name in (
            ("prompt_tokens", "prompt_tokens"),
            ("completion_tokens", "output_tokens"),
        ):
            value = usage.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
                setattr(self, name, value)

    def _choice(self, choice: dict[str, Any], at_s: float) -> None:
        delta = choice.get("delta")
        parts = [delta.get(part) for part in _PARTS] if isinstance(delta, dict) else []
        if choice.get("text") or any(parts):
            self.first_s = at_s if self.first_s is None else self.first_s
            self.last_s = at_s
            self.events += 1
        if choice.get("finish_reason"):
            self.done = True
