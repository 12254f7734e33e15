#!/usr/bin/env python3
"""Shows the relay requests of every scheme, made and checked with the vendors' own libraries.

Where a vendor publishes no library but a procedure (GitHub, UP42), the request is made by that
procedure. Each genuine request must be taken, kept under its id and type, and reach the
destination; each spoilt one must be refused by the relay, and by the library where there is one.
Each check prints a line, and any failure makes the exit status 1.

Usage: sources.py [PROGRAM]; without PROGRAM only the libraries are shown the requests.
"""

import base64
import dataclasses
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import datetime, timezone

# The relay is on this machine, whatever proxy is set.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"

import stripe  # noqa: E402  (after the environment is put right)
from bosdyn.orbit.exceptions import WebhookSignatureVerificationError  # noqa: E402
from bosdyn.orbit.utils import validate_webhook_payload  # noqa: E402
from slack_sdk.signature import SignatureVerifier  # noqa: E402
from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # noqa: E402

START_SECONDS = 60
DELIVERY_SECONDS = 60
MINUTES_10 = 600
ORBIT_SECRET = "5e" * 32
ORBIT_OTHER = "5f" * 32


def code(hash_name, key, message):
    """The HMAC."""
    return hmac.new(key, message, hash_name)


def in_base64(data):
    """As text."""
    return base64.b64encode(data).decode()


@dataclasses.dataclass
class Scheme:
    """A source: how it is configured, how it signs, what its event is known by."""

    name: str
    # The lines of [[source]] besides name and secret; none for Orbit.
    lines: str
    secret: str
    other: str
    body: bytes
    # secret, body, seconds since 1970 → the headers that show who sent it, in order.
    sign: object
    event_type: str
    # None: by the SHA-256 of the body.
    id: str = None
    # headers (a dict), body, secret → whether the vendor's library takes it; None: there is none.
    library: object = None
    # Other headers, which the vendor sends unsigned.
    unsigned: list = dataclasses.field(default_factory=list)
    # The header with the code.
    code_header: str = ""
    body_signed: bool = True
    # Which of old and future the relay, and which the library, can know.
    times: tuple = ("old", "future")
    library_times: tuple = ("old", "future")
    # Further spoilt requests: name, function of headers → headers.
    missing: list = dataclasses.field(default_factory=list)
    path: str = ""
    source: str = ""

    def __post_init__(self):
        self.path = self.path or f"/hooks/{self.name}"
        self.source = self.source or self.name

    def table(self):
        """Its table in relay.toml."""
        secret = f"secret = {json.dumps(self.secret)}\n" if self.secret else ""
        return f"[[source]]\nname = \"{self.name}\"\n{secret}{self.lines}\n"


def without(name, text):
    """A part of a header's value left out."""

    def spoil(headers):
        shorter = [(key, value.replace(text(value), "") if key == name else value) for key, value in headers]
        assert shorter != headers, f"nothing was left out of {name}"
        return shorter

    return spoil


def found(pattern):
    """The part of a value that fits."""
    return lambda value: re.search(pattern, value).group(0)


# --- How each vendor signs -----------------------------------------------------------------------


def stripe_sign(secret, body, at):
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return [("Stripe-Signature", header)]


def stripe_takes(headers, body, secret):
    try:
        stripe.Webhook.construct_event(body, headers.get("Stripe-Signature"), secret)
        return True
    except stripe.SignatureVerificationError:
        return False


def github_sign(secret, body, _at):
    """docs.github.com, "Validating webhook deliveries"."""
    return [("X-Hub-Signature-256", "sha256=" + code("sha256", secret.encode(), body).hexdigest())]


def slack_sign(secret, body, at):
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(at), body=body)
    return [("X-Slack-Request-Timestamp", str(at)), ("X-Slack-Signature", signature)]


def slack_takes(headers, body, secret):
    return SignatureVerifier(secret).is_valid_request(body, headers)


def standard_sign(secret, body, at):
    signature = Webhook(secret).sign("msg_2KWP", datetime.fromtimestamp(at, timezone.utc), body.decode())
    return [("webhook-id", "msg_2KWP"), ("webhook-timestamp", str(at)), ("webhook-signature", signature)]


def standard_takes(headers, body, secret):
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
        return True
    except WebhookVerificationError:
        return False


def up42_sign(digest):
    """docs.up42.com, "Webhooks": the values of the named headers, joined, as base64 of the HMAC."""

    def sign(secret, body, at):
        named = [("x-up42-delivery", f"delivery-{at}"), ("date", datetime.fromtimestamp(at, timezone.utc).isoformat())]
        hashed = in_base64(hashlib.sha256(body).digest())
        if digest == "digest":
            named.append(("digest", f"SHA-256={hashed}"))
        elif digest == "content-digest":
            named.append(("content-digest", f"sha-256=:{hashed}:"))
        names = " ".join(f'"{name}"' for name, _ in named)
        mac = code("sha256", secret.encode(), "".join(value for _, value in named).encode())
        return named + [
            ("signature-input", f"up42-sig=({names});created={at}"),
            ("signature", "up42-sig=" + in_base64(mac.digest())),
        ]

    return sign


def servo_sign(secret, body, _at):
    return [("X-Servo-Signature", code("sha1", secret.encode(), body).hexdigest())]


def hmac_ms_sign(secret, body, at):
    ms = str(at * 1000)
    message = b"order-77." + ms.encode() + b"." + body
    mac = code("sha256", bytes.fromhex(secret), message).hexdigest()
    return [("X-Plant-Id", "order-77"), ("X-Plant-Time", ms), ("X-Plant-Signature", "v2=" + mac)]


def hmac_base64_sign(secret, body, _at):
    return [("X-Signature-512", in_base64(code("sha512", secret.encode(), body).digest()))]


def hmac_sha1_sign(secret, body, at):
    time_text = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f"{time_text}:alarms:".encode() + body
    mac = code("sha1", base64.b64decode(secret), message).hexdigest()
    return [("X-Time", time_text), ("X-Channel", "alarms"), ("X-Code", mac)]


def orbit_sign(secret, body, at):
    ms = at * 1000
    mac = code("sha256", bytes.fromhex(secret), f"{ms}.".encode() + body).hexdigest()
    return [("Orbit-Signature", f"t={ms},v1={mac}")]


def orbit_takes(headers, body, secret):
    try:
        validate_webhook_payload(json.loads(body), headers.get("Orbit-Signature"), secret)
        return True
    except (WebhookSignatureVerificationError, ValueError, AttributeError):
        return False


def compact(value):
    """JSON as JavaScript writes it, which is what Orbit's own client signs anew."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def whsec(text):
    """A secret of Standard Webhooks."""
    return "whsec_" + in_base64(hashlib.sha256(text.encode()).digest())


def schemes():
    """Every source of this test."""
    stripe_event = {"id": "evt_1PgTest", "object": "event", "type": "payment_intent.succeeded", "created": 1770000000,
                    "api_version": "2025-06-30.basil", "livemode": False, "pending_webhooks": 1, "request": None,
                    "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 1999}}}
    slack_event = {"type": "event_callback", "event_id": "Ev08MFMKH6", "team_id": "T1",
                   "event": {"type": "app_mention", "text": "status of PUMP-101?", "ts": "1770000000.0001"}}
    github_event = {"action": "opened", "issue": {"number": 7, "title": "pump hall: no signal"}}
    up42_event = {"messageId": "8a1c-77", "event": "order.status", "body": {"status": "FULFILLED", "orderId": "o-1"}}
    plain = {"id": "e-1", "type": "alarm.raised", "tag": "PT-4711", "value": 7.25}
    github_headers = [("X-GitHub-Event", "issues"), ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")]
    up42 = {"lines": 'scheme = "up42"', "secret": "up42's shared text", "other": "another", "code_header": "signature",
            "event_type": "order.status", "id": "8a1c-77",
            "missing": [("created", without("signature-input", found(r";created=\d+"))),
                        ("list of names", without("signature-input", found(r"\(.*\)"))),
                        ("named header", lambda headers: headers[1:])]}
    token = {"sign": None, "times": (), "body_signed": False, "event_type": "alarm.raised", "id": "e-1",
             "body": compact(plain)}
    names = 'id = "/id"\ntype = "/type"'
    numbered = lambda body, n: compact({**body, "messageId": f"8a1c-{n}"})  # noqa: E731

    return [
        Scheme("orbit", "", ORBIT_SECRET, ORBIT_OTHER,
               compact({"uuid": "e-9", "type": "ACTION_COMPLETED", "time": "2026-02-03T09:14:06.931Z",
                        "data": {"uuid": "run-event-9", "actionName": "P-101 motor DE"}}),
               orbit_sign, "ACTION_COMPLETED", "run-event-9", orbit_takes, code_header="Orbit-Signature",
               library_times=("old",), path="/",
               missing=[("time", without("Orbit-Signature", found(r"t=\d+,"))),
                        ("code", without("Orbit-Signature", found(r",v1=.*")))]),
        Scheme("stripe", 'scheme = "stripe"', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_other",
               json.dumps(stripe_event, indent=2).encode(), stripe_sign, "payment_intent.succeeded", "evt_1PgTest",
               stripe_takes, code_header="Stripe-Signature", library_times=("old",),
               missing=[("time", without("Stripe-Signature", found(r"t=\d+,"))),
                        ("code", without("Stripe-Signature", found(r",v1=.*")))]),
        Scheme("github", 'scheme = "github"', "It's a Secret to Everybody", "It's a secret to everybody",
               compact(github_event), github_sign, "issues.opened", github_headers[1][1], unsigned=github_headers,
               code_header="X-Hub-Signature-256", times=(),
               missing=[("prefix", without("X-Hub-Signature-256", found("sha256=")))]),
        Scheme("slack", 'scheme = "slack"', "8f742231b10e8888abcd99yyyzzz85a5", "8f742231b10e8888abcd99yyyzzz85a6",
               compact(slack_event), slack_sign, "app_mention", "Ev08MFMKH6", slack_takes,
               code_header="X-Slack-Signature",
               missing=[("version", without("X-Slack-Signature", found("v0=")))]),
        Scheme("standard", 'scheme = "standard-webhooks"', whsec("one"), whsec("two"),
               json.dumps({"type": "invoice.paid", "text": "Kühlung"}).encode(), standard_sign, "invoice.paid",
               "msg_2KWP", standard_takes, code_header="webhook-signature",
               missing=[("version", without("webhook-signature", found("v1,")))]),
        Scheme("up42", body=numbered(up42_event, 77), sign=up42_sign("digest"), **up42),
        Scheme("up42-rfc9530", body=numbered(up42_event, 77), sign=up42_sign("content-digest"), **up42),
        Scheme("up42-unsigned", body=numbered(up42_event, 77), sign=up42_sign(None), body_signed=False,
               **{**up42, "lines": 'scheme = "up42"\nbody_unsigned = "accept"'}),
        Scheme("servo", 'scheme = "servo"', "servo's text", "servo's other text",
               compact({"event": "after:update", "payload": {"id": 4}}), servo_sign, "after:update",
               code_header="X-Servo-Signature", times=()),
        Scheme("hmac-ms", 'scheme = "hmac"\nheader = "X-Plant-Signature"\nprefix = "v2="\nalgorithm = "sha256"\n'
               'encoding = "hex"\nkey = "hex"\ntimestamp = { header = "X-Plant-Time", unit = "ms" }\n'
               'signed = "{id}.{timestamp}.{body}"\nid = { header = "X-Plant-Id" }\ntype = "/type"',
               "0f" * 20, "0e" * 20, compact(plain), hmac_ms_sign, "alarm.raised", "order-77",
               code_header="X-Plant-Signature",
               missing=[("prefix", without("X-Plant-Signature", found("v2=")))]),
        Scheme("hmac-base64", 'scheme = "hmac"\nheader = "X-Signature-512"\nalgorithm = "sha512"\n'
               'encoding = "base64"\nkey = "text"\nid = "/ref/number"\ntype = { header = "X-Event" }',
               "a text", "another text", compact({"ref": {"number": 4711}}), hmac_base64_sign, "valve.moved", "4711",
               unsigned=[("X-Event", "valve.moved")], code_header="X-Signature-512", times=()),
        Scheme("hmac-sha1", 'scheme = "hmac"\nheader = "X-Code"\nalgorithm = "sha1"\nencoding = "hex"\n'
               'key = "base64"\ntimestamp = { header = "X-Time", unit = "rfc3339" }\n'
               'signed = "{timestamp}:{header:X-Channel}:{body}"\ntype = "/type"',
               in_base64(b"sixteen letters."), in_base64(b"sixteen letters!"), compact(plain), hmac_sha1_sign,
               "alarm.raised", code_header="X-Code"),
        Scheme("token-header", f'scheme = "token"\ncredential = {{ header = "X-Gitlab-Token" }}\n{names}',
               "a token", "a tokem", code_header="X-Gitlab-Token",
               **{**token, "sign": lambda secret, _body, _at: [("X-Gitlab-Token", secret)]}),
        Scheme("token-bearer", f'scheme = "token"\ncredential = "bearer"\n{names}', "a-token", "a-tokem",
               code_header="Authorization", missing=[("scheme", without("Authorization", found("Bearer ")))],
               **{**token, "sign": lambda secret, _body, _at: [("Authorization", f"Bearer {secret}")]}),
        Scheme("token-basic", f'scheme = "token"\ncredential = "basic"\n{names}', "relay:a password",
               "relay:a passwort", code_header="Authorization",
               missing=[("scheme", without("Authorization", found("Basic ")))],
               **{**token, "sign": lambda secret, _body, _at: [
                   ("Authorization", "Basic " + in_base64(secret.encode()))]}),
        Scheme("none", f'scheme = "none"\ninsecure = true\n{names}', "", "",
               **{**token, "sign": lambda _secret, _body, _at: []}),
    ]


# --- What is done to a genuine request -----------------------------------------------------------


def spoilt(scheme, now):
    """name, headers, body, whether the library must refuse it too (None: it cannot tell)."""
    headers = scheme.sign(scheme.secret, scheme.body, now)
    if scheme.body_signed:
        for place in (0, len(scheme.body) // 2, len(scheme.body) - 1):
            body = bytearray(scheme.body)
            body[place] ^= 1
            yield f"one flipped bit in byte {place}", headers, bytes(body), True
        yield "a longer body", headers, scheme.body + b"}", True
        yield "no body", headers, b"", True
    for when, at in (("old", now - MINUTES_10), ("future", now + MINUTES_10)):
        if when in scheme.times:
            library = True if when in scheme.library_times else None
            yield f"a time, {when}", scheme.sign(scheme.secret, scheme.body, at), scheme.body, library
    for number, (name, _) in enumerate(headers):
        yield f"no {name}", headers[:number] + headers[number + 1:], scheme.body, True
    for part, spoil in scheme.missing:
        yield f"no {part}", spoil(headers), scheme.body, True
    if scheme.other:
        yield "another secret", scheme.sign(scheme.other, scheme.body, now), scheme.body, True
    if scheme.code_header:
        for cut in (1, 4):
            # Without its padding base64 is still whole.
            short = [(name, value.rstrip("=")[:-cut] if name == scheme.code_header else value)
                     for name, value in headers]
            yield f"a code that is {cut} short", short, scheme.body, True
    for header in headers:
        yield f"{header[0]} twice", headers + [header], scheme.body, None


def of_the_libraries(check, scheme, now):
    """The vendor's own library takes what is genuine, and nothing else."""
    headers = dict(scheme.sign(scheme.secret, scheme.body, now))
    check(f"{scheme.name}: its library takes it", scheme.library(headers, scheme.body, scheme.secret))
    for name, headers, body, refused in spoilt(scheme, now):
        if refused:
            takes = takes_or_breaks(scheme, dict(headers), body)
            check(f"{scheme.name}: its library refuses {name}", not takes)


def takes_or_breaks(scheme, headers, body):
    """A library that breaks off has not taken it."""
    try:
        return scheme.library(headers, body, scheme.secret)
    except Exception:  # any kind at all
        return False


# --- The relay -----------------------------------------------------------------------------------


class Take(http.server.BaseHTTPRequestHandler):
    """The destination: keeps each POST and answers 200."""

    received = []
    came = threading.Condition()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.came:
            self.received.append(json.loads(body))
            self.came.notify_all()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""

    @classmethod
    def of(cls, source):
        """What came of this source."""
        return [body for body in cls.received if body.get("relay", {}).get("source") == source]


class Relay:
    """The program, with every source on one port."""

    def __init__(self, program, sources, url):
        self.dir = tempfile.TemporaryDirectory()
        config = os.path.join(self.dir.name, "relay.toml")
        names = json.dumps([scheme.source for scheme in sources])
        tables = "\n".join(scheme.table() for scheme in sources if scheme.lines)
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'{tables}\n[[destination]]\nname = "sink"\nurl = "{url}"\nsources = {names}\n')
        self.place = ["--config", config, "--data-dir", os.path.join(self.dir.name, "data")]
        command = [os.path.abspath(program), "run", *self.place, "--bind", "127.0.0.1", "--webhook-port", "0",
                   "--ops-bind", "127.0.0.1:0"]
        self.program = command[0]
        self.environment = {"WEBHOOK_SECRET": ORBIT_SECRET}
        self.process = subprocess.Popen(command, cwd=self.dir.name, env=self.environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.log, self.port, self.ops = [], None, None
        threading.Thread(target=self.read, daemon=True).start()
        if not wait(START_SECONDS, self.ready) or self.process.poll() is not None:
            self.stop()
            sys.exit("the relay did not start:\n" + "".join(self.log))

    def read(self):
        """Keeps the log, and finds the ports in it."""
        for line in self.process.stdout:
            self.log.append(line)
            listens = re.search(r"events at http://127\.0\.0\.1:(\d+)/, health at (\S+)", line)
            if listens:
                self.port, self.ops = int(listens[1]), listens[2]

    def ready(self):
        """Whether it takes events."""
        if self.process.poll() is not None:
            return True
        try:
            return self.ops and urllib.request.urlopen(self.ops, timeout=5).status == 200
        except OSError:
            return False

    def post(self, sender, path, headers, body):
        """Posts from an address of this sender's own, for each has its own allowance of failures."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(sender, 0))
        connection.putrequest("POST", path)
        for name, value in [*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def events(self):
        """All that is on record."""
        command = [self.program, "events", "dump", *self.place]
        dumped = subprocess.run(command, cwd=self.dir.name, env=self.environment, check=True, capture_output=True)
        return [json.loads(line) for line in dumped.stdout.splitlines()]

    def stop(self):
        """Ends it, and gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def wait(seconds, holds):
    """Whether it comes to hold."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def of_the_relay(check, relay, sender, scheme):
    """The relay takes what is genuine, once, and nothing else."""
    now = int(time.time())
    for name, headers, body, _ in spoilt(scheme, now):
        status, text = relay.post(sender, scheme.path, scheme.unsigned + headers, body)
        check(f"{scheme.name}: {name} is refused", status == 401, (status, text))
    headers = scheme.unsigned + scheme.sign(scheme.secret, scheme.body, now)
    status, text = relay.post(sender, scheme.path, headers, scheme.body)
    check(f"{scheme.name}: a genuine request is taken", (status, json.loads(text or b"{}").get("status")) ==
          (200, "accepted"), (status, text))
    status, text = relay.post(sender, scheme.path, headers, scheme.body)
    check(f"{scheme.name}: and is a duplicate when it comes again", (status, json.loads(text or b"{}").get("status")) ==
          (200, "duplicate"), (status, text))
    with Take.came:
        Take.came.wait_for(lambda: Take.of(scheme.source), DELIVERY_SECONDS)
    came = [dict(body) for body in Take.of(scheme.source)]
    for body in came:
        body.pop("relay", None)
    check(f"{scheme.name}: it reaches the destination once", came == [json.loads(scheme.body)], came)


def of_what_is_answered(check, relay, sender, all_schemes):
    """Requests that bring no event, and a body that is not signed where it must be."""
    by_name = {scheme.name: scheme for scheme in all_schemes}
    now = int(time.time())
    github, slack, up42 = by_name["github"], by_name["slack"], by_name["up42"]
    ping = compact({"zen": "Design for failure.", "hook_id": 1})
    headers = [("X-GitHub-Event", "ping"), ("X-GitHub-Delivery", "p-1"), *github.sign(github.secret, ping, now)]
    status, text = relay.post(sender, github.path, headers, ping)
    check("github: a ping is answered", (status, json.loads(text or b"{}")) == (200, {"status": "pong"}),
          (status, text))
    challenge = compact({"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"})
    status, text = relay.post(sender, slack.path, slack.sign(slack.secret, challenge, now), challenge)
    check("slack: a challenge is answered", (status, text) == (200, b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"),
          (status, text))
    status, text = relay.post(sender, slack.path, slack.sign(slack.other, challenge, now), challenge)
    check("slack: a challenge of somebody else is not", status == 401, (status, text))
    status, text = relay.post(sender, up42.path, up42_sign(None)(up42.secret, up42.body, now), up42.body)
    check("up42: a body that is not signed is refused", status == 401, (status, text))


def of_the_journal(check, relay, all_schemes):
    """Only what is genuine is on record, under its own id and type."""
    kept = sorted((event["source"], event["event_type"], event["event"]) for event in relay.events())
    expected = []
    for scheme in all_schemes:
        known = f"id:{scheme.id}" if scheme.id else f"sha256:{hashlib.sha256(scheme.body).hexdigest()}"
        known = scheme.id if scheme.name == "orbit" else known
        expected.append((scheme.source, scheme.event_type, known))
    for event in sorted(expected):
        check(f"{event[0]}: it is kept as {event[1]}, {event[2][:40]}", event in kept)
    check("nothing else is kept", kept == sorted(expected), [event for event in kept if event not in expected])


def main():
    """Shows, checks, counts."""
    failed = 0

    def check(name, holds, seen=""):
        nonlocal failed
        failed += not holds
        print(f"ok {name}" if holds else f"FAILED {name}: {seen!r}")

    every = schemes()
    published = github_sign("It's a Secret to Everybody", b"Hello, World!", 0)[0][1]
    check("github: the published vector", published ==
          "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", published)
    for scheme in every:
        if scheme.library:
            of_the_libraries(check, scheme, int(time.time()))
    if len(sys.argv) > 1:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Take)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        relay = Relay(sys.argv[1], every, f"http://127.0.0.1:{server.server_port}/in")
        try:
            for number, scheme in enumerate(every, 2):
                of_the_relay(check, relay, f"127.0.0.{number}", scheme)
            of_what_is_answered(check, relay, "127.0.0.200", every)
            of_the_journal(check, relay, every)
        finally:
            code_of_end = relay.stop()
        check("the relay ends as asked", code_of_end == 0, code_of_end)
        log = "".join(relay.log)
        for scheme in every:
            hidden = not scheme.secret or scheme.secret not in log
            check(f"{scheme.name}: the log does not show its secret", hidden)
        if failed:
            print(log)
    print(f"{failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
