#!/usr/bin/env python3
"""Has the official library of Standard Webhooks check what a destination of the relay sends.

Each check prints a line, and any failure makes the exit status 1.

Usage: webhooks.py POSTER, where POSTER URL SECRET… posts its standard input, signed.
"""

import base64
import glob
import http.server
import os
import subprocess
import sys
import threading

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

OLD = "whsec_" + base64.b64encode(b"the secret of before this one").decode()
NEW = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(b"a secret of somebody else's").decode()
POST_SECONDS = 60
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "*.json")


class Take(http.server.BaseHTTPRequestHandler):
    """Keeps each POST and answers 200."""

    received = []

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.received.append((dict(self.headers.items()), self.rfile.read(length)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


def accepts(secret, headers, body):
    """Whether the library takes it."""
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
        return True
    except WebhookVerificationError:
        return False


def main():
    """Posts, checks, counts."""
    poster = sys.argv[1]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Take)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/in"

    failed = 0

    def check(name, holds):
        nonlocal failed
        failed += not holds
        print(f"{'ok' if holds else 'FAILED'} {name}")

    def post(body, *secrets):
        command = [poster, url, *secrets]
        subprocess.run(command, input=body, check=True, timeout=POST_SECONDS)
        return Take.received[-1]

    bodies = [b"{}", "{\"Kühlung\": \"\u2028 \\u00e9\"}".encode()]
    for name in sorted(glob.glob(FIXTURES)):
        with open(name, "rb") as fixture:
            bodies.append(fixture.read())
    check("there are fixtures", len(bodies) > 10)
    for number, body in enumerate(bodies):
        headers, came = post(body, NEW)
        check(f"body {number} arrives as it was", came == body)
        check(f"body {number} is accepted", accepts(NEW, headers, came))
        check(f"body {number} is refused when altered", not accepts(NEW, headers, came + b" "))
        check(f"body {number} is refused with another secret", not accepts(OTHER, headers, came))
    for name in ("webhook-id", "webhook-timestamp"):
        altered = {**headers, name: "1" + headers[name]}
        check(f"an altered {name} is refused", not accepts(NEW, altered, came))

    headers, came = post(bodies[1], OLD, NEW)
    check("of two live secrets the old one accepts", accepts(OLD, headers, came))
    check("and the new one", accepts(NEW, headers, came))
    check("and no other", not accepts(OTHER, headers, came))
    headers, came = post(bodies[1], NEW.rstrip("="))
    check("a secret without padding is the same", accepts(NEW, headers, came))

    print(f"{failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
