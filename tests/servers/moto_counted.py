#!/usr/bin/env python3
"""moto, unmodified, behind a layer that counts calls: the AWS of our tests.

    moto_counted.py [PORT] [--throttle-every K] [--lose-answer N] [--with-parent]

It answers on 127.0.0.1. The first line on stdout is `{"port": ..., "pid": ...}`, printed once
connections are accepted; PORT 0, the default, lets the system choose one.

GET  /__counts         what came in since the start or the last reset:
                       {"total", "writes", "throttled", "lost", "calls": {"iam:ListUsers": 2, ...}}
POST /__counts/reset   sets all of them to zero, and arms `--lose-answer` again
POST /moto-api/reset   is moto's own: it empties the AWS, and is not counted
"""

import argparse
import io
import json
import os
import socket
import sys
import threading
from collections import Counter
from urllib.parse import parse_qs

# Read once when moto is imported. Without it `managed:` policies do not exist.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server  # noqa: E402

READS = ("Get", "List", "Describe", "Batch", "Simulate", "Search", "Generate", "AssumeRole")

THROTTLED_XML = (
    b'<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
    b"<Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
    b"<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
)
THROTTLED_JSON = b'{"__type":"ThrottlingException","message":"Rate exceeded"}'


def name_of(environ, body):
    """`service:Action`: the service from the signature, the action from the target or the form."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
    service = scope[3] if len(scope) > 3 else "unsigned"
    action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not action:
        form = parse_qs(body.decode("utf-8", "replace"))
        action = form.get("Action", [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"])[0]
    return f"{service}:{action}"


def is_write(name):
    return not name.partition(":")[2].startswith(READS)


class Counted:
    """A WSGI application: counts, spoils what it was told to spoil, and passes the rest on."""

    def __init__(self, aws, throttle_every, lose_answer):
        self.aws = aws
        self.throttle_every = throttle_every
        self.lose_answer = lose_answer
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        with self.lock:
            self.calls = Counter()
            self.writes = self.throttled = self.lost = 0

    def count(self, name):
        """Counts one call, and says whether to throttle it and whether to lose its answer."""
        with self.lock:
            self.calls[name] += 1
            if self.throttle_every and self.calls.total() % self.throttle_every == 0:
                self.throttled += 1
                return True, False
            # A throttled write never happened, so it is no write that could be lost.
            self.writes += is_write(name)
            lose = is_write(name) and self.writes == self.lose_answer
            self.lost += lose
            return False, lose

    def counts(self):
        with self.lock:
            return {
                "total": self.calls.total(),
                "writes": self.writes,
                "throttled": self.throttled,
                "lost": self.lost,
                "calls": dict(sorted(self.calls.items())),
            }

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/__counts":
            return answer(start_response, "200 OK", "application/json", json.dumps(self.counts()).encode())
        if path == "/__counts/reset":
            self.reset()
            return answer(start_response, "200 OK", "application/json", b"{}")
        if path.startswith("/moto-api"):
            return self.aws(environ, start_response)

        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        throttle, lose = self.count(name_of(environ, body))
        if throttle and "HTTP_X_AMZ_TARGET" in environ:
            return answer(start_response, "400 Bad Request", "application/x-amz-json-1.1", THROTTLED_JSON)
        if throttle:
            return answer(start_response, "400 Bad Request", "text/xml", THROTTLED_XML)
        if lose:
            # The list is consumed first: the write must have taken effect before the line goes dead.
            list(self.aws(environ, lambda *_: None))
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError("the answer is lost on purpose")
        return self.aws(environ, start_response)


def answer(start_response, status, content_type, body):
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


class Quiet(MotoRequestHandler):
    # HTTP/1.1, so that an answer is complete by its length and nobody waits for the connection to close.
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


def end_with_parent():
    """A test that is killed cannot end its servers, but the pipe to their stdin closes with it."""
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="moto behind a counter")
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--throttle-every", type=int, default=0, metavar="K", help="refuse every K-th call as throttled")
    parser.add_argument(
        "--lose-answer", type=int, default=0, metavar="N", help="the N-th write takes effect, its answer is lost"
    )
    parser.add_argument("--with-parent", action="store_true", help="end when stdin closes")
    args = parser.parse_args()

    app = Counted(DomainDispatcherApplication(create_backend_app), args.throttle_every, args.lose_answer)
    server = make_server("127.0.0.1", args.port, app, threaded=True, request_handler=Quiet)
    if args.with_parent:
        threading.Thread(target=end_with_parent, daemon=True).start()
    print(json.dumps({"port": server.server_port, "pid": os.getpid()}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
