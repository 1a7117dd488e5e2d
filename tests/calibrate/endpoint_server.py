"""A small OpenAI-compatible server on this machine that answers as it is told, also badly."""

import asyncio
import contextlib
import json
import threading

from aiohttp import web

PROMPT_TOKENS = 7


class Server:
    """Answers completions and chats token by token; `mood` says how.

    ``good``, ``no usage``, ``status <n>``, ``malformed``, ``in-stream error``, ``disconnect``,
    ``cut``, ``no stream``, ``silent`` (never answers), ``stall`` (a token, then nothing), ``huge``
    (a line without end), ``garbage`` (bytes), ``echo`` (an error with the key in it after as many
    characters as `padding`), ``redirect`` (to `elsewhere`, also of the models). With `after`, the
    first so many requests are answered well.
    """

    def __init__(
        self, mood="good", *, after=0, key="", gap_s=0.0, models=("small",), elsewhere="", padding=0
    ):
        self.mood, self.after, self.key, self.gap_s, self.models = mood, after, key, gap_s, models
        self.elsewhere, self.padding = elsewhere or "http://example.invalid", padding
        self.paths = []
        self.bodies, self.headers = [], []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _serve(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self):
        self._stop = asyncio.Event()
        app = web.Application()
        app.middlewares.append(self._note)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._answer)
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._ready.set()
        await self._stop.wait()
        server = runner.server
        await runner.cleanup()
        for _ in range(3):  # what was accepted at the very end is known and closed only now
            for connection in server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)

    @web.middleware
    async def _note(self, request, handler):
        self.paths.append(request.path)
        return await handler(request)

    async def _models(self, request):
        if self.mood == "redirect":
            raise web.HTTPTemporaryRedirect(f"{self.elsewhere}/v1/models")
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": "no"}, status=401)
        return web.json_response({"data": [{"id": name} for name in self.models]})

    async def _answer(self, request):
        self.headers.append(dict(request.headers))
        body = await request.json()
        self.bodies.append(body)
        mood = self.mood if len(self.bodies) > self.after else "good"
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.Response(status=401, text=f"bad key {request.headers.get('Authorization')}")
        if mood.startswith("status"):
            said = f"failed; {request.headers.get('Authorization')}"
            return web.Response(status=int(mood.split()[1]), text=said)
        if mood == "redirect":
            raise web.HTTPTemporaryRedirect(f"{self.elsewhere}{request.path}")
        if mood == "no stream":
            return web.json_response({"choices": [{"text": "all at once"}]})
        if mood == "silent":
            await asyncio.sleep(3600)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await self._stream(response, request, body, mood)
        return response

    async def _stream(self, response, request, body, mood):
        chat = "messages" in body
        if chat:
            await self._event(response, {"choices": [{"delta": {"role": "assistant"}}]})
        for number in range(body["max_tokens"]):
            await asyncio.sleep(self.gap_s)
            said = {"delta": {"content": "x"}} if chat else {"text": "x"}
            await self._event(response, {"choices": [said]})
            await self._misbehave(response, request, mood)
            if mood == "disconnect" and number == 0:
                request.transport.abort()
                return
            if mood == "cut":
                return
        last = {
            "choices": [{"finish_reason": "length", **({"delta": {}} if chat else {"text": ""})}]
        }
        await self._event(response, last)
        if mood != "no usage":
            counts = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": body["max_tokens"]}
            await self._event(response, {"choices": [], "usage": counts})
        await response.write(b"data: [DONE]\n\n")

    async def _misbehave(self, response, request, mood):
        """Do what a server should not after its first token."""
        if mood == "malformed":
            await response.write(b"data: {not json\n\n")
        if mood == "stall":
            await asyncio.sleep(3600)
        if mood == "garbage":
            await response.write(bytes(range(256)) * 4 + b"\ndata: \xff\xfe\n\n")
        if mood == "huge":
            for _ in range(3000):
                await response.write(b"x" * 2**16)
        if mood == "echo":
            said = f"{'x' * self.padding}{request.headers.get('Authorization')}"
            await self._event(response, {"error": {"message": said}})
        if mood == "in-stream error":
            await self._event(response, {"error": {"message": "out of memory"}})

    async def _event(self, response, event):
        await response.write(f"data: {json.dumps(event)}\n\n".encode())
