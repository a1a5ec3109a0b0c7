"""The server that carries the front and OTLP/HTTP."""

from __future__ import annotations

import asyncio
import socket

from starlette.responses import PlainTextResponse

from otel_audit.store.threaded_server import ThreadedServer


def test_small_answers_are_sent_at_once(monkeypatch):
    """Nagle's algorithm is off on accepted connections: with it a query through the front waits 40 ms for an ACK."""
    no_delay: list[int] = []
    made = asyncio.selector_events._SelectorSocketTransport.__init__

    def watched(self, loop, sock, *args, **kwargs):
        made(self, loop, sock, *args, **kwargs)
        if sock.getsockname()[1] == server.port:
            no_delay.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(asyncio.selector_events._SelectorSocketTransport, "__init__", watched)
    server = ThreadedServer(PlainTextResponse("ok"), lifespan="off")
    with server, socket.create_connection((server.host, server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    assert no_delay == [1]
