"""One request to an OpenAI-compatible server, timed; aiohttp is imported by whoever calls.

The key is in one header of one session. It is in no message: what a server says is cut, and the
key taken out of it. Redirects are not followed, since they would carry the key elsewhere.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, quote_plus, urlsplit

from calibrate.endpoint.stream import StreamedAnswer, StreamError
from planner.errors import InputError
from planner.report.plain import plain

if TYPE_CHECKING:
    import aiohttp

Api = Literal["completions", "chat"]

#: Most of a server's own words that a message repeats. [characters]
MAX_SAID = 200


@dataclass(frozen=True)
class Target:
    """The server, and how it is asked.

    Parameters
    ----------
    url : str
        Where its API begins, ending in ``/v1``.
    api : {"completions", "chat"}
        Which of its endpoints answers.
    model : str
        Name of the model, empty until it is known.
    ignore_eos : bool
        Whether to ask for answers of full length, which vLLM and SGLang understand.
    timeout_s : float
        Longest that one answer may take. [s]
    key : str
        Secret, empty for none; in no representation of this object.
    """

    url: str
    api: Api
    model: str
    ignore_eos: bool
    timeout_s: float
    key: str = field(default="", repr=False)

    def body(self, prompt: str, output_tokens: int) -> dict[str, Any]:
        """Return what is posted to ask for `output_tokens` tokens."""
        asked: dict[str, Any] = {
            "model": self.model,
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.ignore_eos:
            asked["ignore_eos"] = True
        if self.api == "chat":
            return asked | {"messages": [{"role": "user", "content": prompt}]}
        return asked | {"prompt": prompt}

    @property
    def path(self) -> str:
        """Address that requests go to."""
        return f"{self.url}/{'chat/completions' if self.api == 'chat' else 'completions'}"

    def without_key(self, text: str) -> str:
        """Return what a server said, on one line, cut, and without the key."""
        hidden = text
        if self.key:  # as it is, and as JSON or an address writes it
            for form in (
                self.key,
                json.dumps(self.key)[1:-1],
                quote(self.key),
                quote_plus(self.key),
            ):
                hidden = hidden.replace(form, "***")
        return plain(" ".join(hidden.split()))[:MAX_SAID]


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Parameters
    ----------
    ttft_s, e2e_s : float
        First and last token minus the moment of sending; NaN where there is none. [s]
    prompt_tokens, output_tokens : int
        As the server counts, else 0 and the number of events. [tokens]
    error : str
        Why it is no answer; empty if it is one.
    counted : bool
        Whether the server counted the tokens.
    """

    ttft_s: float = math.nan
    e2e_s: float = math.nan
    prompt_tokens: int = 0
    output_tokens: int = 0
    error: str = ""
    counted: bool = True


def api_url(url: str) -> str:
    """Return where a server's API begins.

    Raises
    ------
    InputError
        If it is no plain http or https address; one with a password or a query would put a
        secret into files.
    """
    rule = "URL: must be an address as http://localhost:8000"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError(f"{rule}, got a malformed one") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InputError(
            f"{rule}, without user, password, query or fragment; give the key with --key-env"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise InputError(f"{rule}, got {url!r:.80}")
    base = url.rstrip("/")
    return base if base.endswith("/v1") else f"{base}/v1"


async def ask(
    session: aiohttp.ClientSession, target: Target, prompt: str, output_tokens: int
) -> Answer:
    """Send one request and read its answer; whatever goes wrong is in the answer."""
    import aiohttp  # noqa: PLC0415 - an extra

    began = time.perf_counter()
    read = StreamedAnswer()
    limit = aiohttp.ClientTimeout(total=target.timeout_s)
    try:
        async with session.post(
            target.path,
            json=target.body(prompt, output_tokens),
            timeout=limit,
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                said = (await response.content.read(2**16)).decode("utf-8", "replace")
                return Answer(error=f"HTTP {response.status}: {target.without_key(said)}")
            async for data in response.content.iter_any():
                read.feed(data, time.perf_counter())
    except TimeoutError:
        return Answer(error=f"no complete answer within {target.timeout_s:g} s")
    except StreamError as error:
        return Answer(error=target.without_key(str(error)))
    except (aiohttp.ClientError, OSError) as error:
        return Answer(error=target.without_key(f"{type(error).__name__}: {error}"))
    return _answer(read, began)


def _answer(read: StreamedAnswer, began: float) -> Answer:
    if read.first_s is None or read.last_s is None:
        return Answer(error="no token in the answer; is it a stream?")
    if not read.done:
        return Answer(error="the stream ended before the answer")
    counted = bool(read.prompt_tokens and read.output_tokens)
    return Answer(
        read.first_s - began,
        read.last_s - began,
        read.prompt_tokens or 0,
        read.output_tokens or read.events,
        counted=counted,
    )


async def served_model(session: aiohttp.ClientSession, target: Target) -> str:
    """Return the name of the only model that a server has.

    Raises
    ------
    InputError
        If it cannot be reached, refuses the key, or has not exactly one.
    """
    import aiohttp  # noqa: PLC0415 - an extra

    limit = aiohttp.ClientTimeout(total=min(target.timeout_s, 30.0))
    try:
        async with session.get(
            f"{target.url}/models", timeout=limit, allow_redirects=False
        ) as response:
            said = await response.content.read(2**20)
            status = response.status
            found = _models(said)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise InputError(
            f"{target.url}: must be a server that answers, got "
            f"{target.without_key(f'{type(error).__name__}: {error}')}"
        ) from None
    if status in {401, 403}:
        raise InputError(f"{target.url}: must accept the key, got HTTP {status}; see --key-env")
    if status != 200 or len(found) != 1:
        got = f"HTTP {status}" if status != 200 else f"{len(found)}: {', '.join(found)[:200]}"
        raise InputError(
            f"{target.url}/models: must name one model, got {got}; choose with --model"
        )
    return found[0]


def _models(said: bytes) -> list[str]:
    """Return the names of a list of models; none of what is no such list."""
    try:
        document = json.loads(said)
    except (ValueError, RecursionError):
        return []
    data = document.get("data") if isinstance(document, dict) else None
    data = data if isinstance(data, list) else []
    names = [each.get("id") for each in data if isinstance(each, dict)]
    return [name for name in names if isinstance(name, str)]
