"""An OpenTimestamps calendar of our own over HTTP, with a chain of easy blocks; it also gives their headers."""

import hashlib
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PENDING, BITCOIN = bytes.fromhex("83dfe30d2ef90c8e"), bytes.fromhex("0588960d73d71901")
FIRST_HEIGHT = 840_000
EASY_BITS = 0x207FFFFF  # every second hash will do


def sha256(raw):
    return hashlib.sha256(raw).digest()


def varbytes(raw):
    """A length of up to 14 bits, and the bytes."""
    size = bytes([len(raw)]) if len(raw) < 128 else bytes([len(raw) & 127 | 128, len(raw) >> 7])
    return size + raw


def mined(merkle_root, at, bits=EASY_BITS):
    """A header with a valid proof of work."""
    for nonce in range(1 << 20):
        header = struct.pack("<i32s32sIII", 4, bytes(32), merkle_root, at, bits, nonce)
        if int.from_bytes(sha256(sha256(header)), "little") <= 0x7FFFFF << 8 * 29:
            return header
    raise AssertionError("no nonce")


def block_hash(header):
    return sha256(sha256(header))[::-1].hex()


class LocalCalendar:
    """``mine`` puts what was submitted into blocks, whose time is ``at``; until then it is pending."""

    def __init__(self):
        self.url = ""
        self.submitted, self.answers, self.headers = [], {}, {}
        self.refuse = False
        self.asked = threading.Event()

    def submit(self, digest):
        commitment = sha256(digest + b"salt")
        self.submitted.append(commitment)
        promise = varbytes(varbytes(self.url.encode()))
        return b"\xf0" + varbytes(b"salt") + b"\x08\x00" + PENDING + promise

    def mine(self, at):
        """A block for each that waits. Returns the blocks' hashes by height."""
        for commitment in self.submitted:
            height = FIRST_HEIGHT + len(self.headers)
            # Like a transaction's hash: twice, between two pieces of other data.
            self.headers[height] = mined(sha256(sha256(b"before" + commitment + b"after")), at)
            number = bytes([height & 127 | 128, height >> 7 & 127 | 128, height >> 14])
            path = b"\xf1" + varbytes(b"before") + b"\xf0" + varbytes(b"after") + b"\x08\x08"
            self.answers[commitment.hex()] = path + b"\x00" + BITCOIN + varbytes(number)
        self.submitted = []
        return {height: block_hash(header) for height, header in self.headers.items()}

    def get(self, kind, key):
        """What a GET of /<kind>/<key> gives; None: not found."""
        if kind == "timestamp":
            return self.answers.get(key)
        by_key = {str(height): header for height, header in self.headers.items()}
        if kind == "hash":
            return block_hash(by_key[key]).encode() if key in by_key else None
        by_key |= {block_hash(header): header for header in self.headers.values()}
        return (by_key[key].hex() + "\n").encode() if key in by_key else None


@contextmanager
def serving(calendar):
    """Serve it; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.answer(calendar.submit(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self):
            self.answer(calendar.get(*self.path.strip("/").split("/")[-2:]))

        def answer(self, body):
            calendar.asked.set()
            if calendar.refuse or body is None:
                self.send_error(503 if calendar.refuse else 404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    calendar.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield calendar.url
    finally:
        server.shutdown()
        server.server_close()
