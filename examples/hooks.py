#!/usr/bin/env python3
"""The plant of examples/hooks.sh, and UP42.

hooks.py plant            a gate with working hours, a CMMS and a chat; prints its URL first.
                          POST /hours with `open` or `closed` sets the hours, GET /seen says how
                          often the gate was asked, and how many tickets and messages there are.
hooks.py order URL ID STATUS    posts an order's status as UP42 does, signed with UP42_SECRET.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time
import urllib.request


class Plant(http.server.BaseHTTPRequestHandler):
    """Gate, CMMS and chat."""

    lock = threading.Lock()
    open = False
    seen = {"asked": 0, "tickets": 0, "messages": []}

    def do_GET(self):
        """What there is by now."""
        with self.lock:
            self.answer(200, self.seen)

    def do_POST(self):
        """One post of the relay, or of the script."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.lock:
            if self.path == "/hours":
                Plant.open = body == b"open"
                self.answer(204)
            elif self.path == "/gate":
                self.seen["asked"] += 1
                if self.open:
                    self.answer(204)
                else:
                    self.answer(503, {"error": "outside working hours"}, {"Retry-After": "1"})
            elif self.path == "/cmms":
                self.seen["tickets"] += 1
                title = json.loads(body)["title"]
                self.answer(201, {"number": 4710 + self.seen["tickets"], "title": title})
            else:
                self.seen["messages"].append(json.loads(body)["text"])
                self.answer(200)

    def answer(self, status, value=None, headers=None):
        """A status, and JSON if there is any."""
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


def order(url, order_id, status):
    """Signs as UP42 does: the values of the named headers, joined; a digest of the body is one."""
    body = {"messageId": f"{order_id}-{status}", "event": "order.status",
            "body": {"orderId": order_id, "status": status}}
    body = json.dumps(body).encode()
    digest = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    created = int(time.time())
    signed = {"x-up42-created": str(created), "digest": digest}
    names = " ".join(f'"{name}"' for name in signed)
    code = hmac.new(os.environ["UP42_SECRET"].encode(), "".join(signed.values()).encode(), "sha256")
    headers = {
        **signed,
        "signature-input": f"up42-sig=({names});created={created}",
        "signature": "up42-sig=" + base64.b64encode(code.digest()).decode(),
        "content-type": "application/json",
    }
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, body, headers), timeout=30) as answer:
        print(json.load(answer)["status"])


def main():
    """One of the two."""
    if sys.argv[1:] == ["plant"]:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plant)
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
    else:
        order(*sys.argv[2:])


if __name__ == "__main__":
    main()
