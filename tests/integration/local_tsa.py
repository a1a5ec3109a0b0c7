"""A timestamp authority of our own: ``openssl ts`` behind HTTP. Also what happens while it is away or slow."""

import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_CONFIG = """
[tsa]
default_tsa = t
[t]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ordering = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
_EXTENSIONS = "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"


class LocalTsa:
    """``roots``: the PEM text to trust. ``answering`` is cleared to let requests wait; ``refuse`` makes it fail."""

    def __init__(self, folder, validity=("-days", "30")):
        folder.mkdir()
        self.folder = folder
        new_key = ["-newkey", "rsa:2048", "-nodes"]
        self._openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/CN={folder.name}")
        self._openssl("req", *new_key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa")
        (folder / "ext").write_text(_EXTENSIONS)
        signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"]
        self._openssl("x509", "-req", "-in", "tsa.csr", *signed_by, "-out", "tsa.pem", *validity)
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
        self.roots = (folder / "ca.pem").read_text()
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()
        self.refuse = False
        self._one_at_a_time = threading.Lock()

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def reply(self, query):
        with self._one_at_a_time:
            (self.folder / "q.tsq").write_bytes(query)
            self._openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq", "-out", "a.tsr")
            return (self.folder / "a.tsr").read_bytes()


@contextmanager
def serving(tsa):
    """Serve it; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            query = self.rfile.read(int(self.headers["Content-Length"]))
            tsa.asked.set()
            tsa.answering.wait()
            if tsa.refuse:
                self.send_error(503)
                return
            answer = tsa.reply(query)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        tsa.answering.set()
        server.shutdown()
        server.server_close()
