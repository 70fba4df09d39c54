"""A proxy that treats connections badly: cuts, delays, throttles, refuses, answers 503, or says nothing at all."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

__all__ = ["FaultProxy", "Faults"]

_BLOCK_BYTES: Final = 1 << 16
_BUSY: Final = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"
_POLL_S: Final = 0.02
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_Pair = tuple[asyncio.StreamWriter, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to connections."""

    latency_s: float = 0.0
    """Delay of every block."""
    jitter_s: float = 0.0
    rate: float | None = None
    """Bytes per second of one connection."""
    cut_after: int | None = None
    """Most bytes before a connection is cut: each is cut at a random place up to here."""
    cut_probability: float = 1.0
    reset: bool = True
    """Cut with RST, as a dying machine does; otherwise with FIN, as if that were all."""
    direction: Literal["down", "up", "both"] = "down"
    """Which way the faults above apply: `down` is towards the client."""
    busy_probability: float = 0.0
    """Share of requests that are answered with 503 and not passed on."""
    silent: bool = False
    """Accept everything, pass nothing on."""


@dataclass
class FaultStatistics:
    """What has happened so far."""

    accepted: int = 0
    requests: int = 0
    cut: int = 0
    busy: int = 0
    bytes_down: int = 0
    bytes_up: int = 0


@dataclass
class FaultProxy:
    """Stands before a server on this machine, in a thread of its own.

    Examples
    --------
    ::

        with FaultProxy(7480) as proxy:
            proxy.faults = Faults(cut_after=100_000)
            client = connect(proxy.url)
    """

    server_port: int
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    statistics: FaultStatistics = field(default_factory=FaultStatistics)
    port: int = 0

    def __enter__(self) -> Self:
        self._random = random.Random(self.seed)
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Accept connections, at the same port as before."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def refuse(self) -> None:
        """Refuse connections, and reset those there are."""
        asyncio.run_coroutine_threadsafe(self._refuse(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 18)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        self._server.close()
        for pair in list(self._pairs):
            for writer in pair:
                _close(writer, reset=True)

    async def _end(self) -> None:
        await self._refuse()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.statistics.accepted += 1
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.server_port, limit=1 << 18)
        except OSError:
            _close(writer, reset=True)
            return
        pair = (writer, to_server)
        for each in pair:
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.add(pair)
        reset = False
        try:
            requests = self._pass_requests(reader, writer, to_server)
            await asyncio.gather(requests, self._pass_answers(from_server, writer))
        except _OverError as over:
            reset = over.reset
        except OSError:
            reset = True
        except asyncio.CancelledError:
            pass  # the proxy ends, and this task with it
        finally:
            self._pairs.discard(pair)
            for each in pair:
                _close(each, reset=reset)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_server: asyncio.StreamWriter
    ) -> None:
        way = _Way("up", self._cut_place())
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as rest:
                await self._pass_on(rest.partial, to_server, way)
                break
            self.statistics.requests += 1
            busy = self._random.random() < self.faults.busy_probability
            if not busy:
                await self._pass_on(head, to_server, way)
            elif b"100-continue" in head:
                raise _OverError(reset=True)  # whoever asks before sending a body would have to be told
            length = _LENGTH.search(head)
            left = 0 if length is None else int(length[1])
            while left and (block := await reader.read(min(left, _BLOCK_BYTES))):
                left -= len(block)
                if not busy:
                    await self._pass_on(block, to_server, way)
            if busy:
                self.statistics.busy += 1
                writer.write(_BUSY)
                await writer.drain()
        with suppress(OSError):
            to_server.write_eof()

    async def _pass_answers(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = _Way("down", self._cut_place())
        while block := await from_server.read(_BLOCK_BYTES):
            await self._pass_on(block, writer, way)
        raise _OverError(reset=False)

    async def _pass_on(self, block: bytes, target: asyncio.StreamWriter, way: _Way) -> None:
        while self.faults.silent:
            await asyncio.sleep(_POLL_S)
        faults = self.faults
        if faults.direction in (way.name, "both"):
            jitter_s = self._random.uniform(-1, 1) * faults.jitter_s
            if (wait_s := faults.latency_s + jitter_s) > 0:
                await asyncio.sleep(wait_s)
            if faults.rate is not None:
                await asyncio.sleep(len(block) / faults.rate)
            if way.most is not None and way.passed + len(block) > way.most:
                target.write(block[: way.most - way.passed])
                with suppress(OSError):
                    await target.drain()
                self.statistics.cut += 1
                raise _OverError(reset=faults.reset)
        way.passed += len(block)
        if way.name == "down":
            self.statistics.bytes_down += len(block)
        else:
            self.statistics.bytes_up += len(block)
        target.write(block)
        await target.drain()

    def _cut_place(self) -> int | None:
        """Return after how many bytes a connection is cut; None if it is spared."""
        faults = self.faults
        if faults.cut_after is None or self._random.random() >= faults.cut_probability:
            return None
        return self._random.randrange(faults.cut_after)


@dataclass
class _Way:
    """What went one way on a connection, and where it is to be cut."""

    name: Literal["down", "up"]
    most: int | None
    passed: int = 0


class _OverError(Exception):
    """This connection is over."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if not reset:
        writer.close()
        return
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
