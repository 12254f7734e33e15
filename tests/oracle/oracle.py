#!/usr/bin/env python3
"""Drives the simulated Orbit with Boston Dynamics' own client.

The simulator is what the relay's tests believe in. This says whether the official client
believes in it too: each check prints a line, and any failure makes the exit status 1.

Usage: oracle.py PROGRAM, where PROGRAM understands
    PROGRAM simulate orbit --listen HOST:PORT --token TOKEN --seed N --every 0
                           [--certificate-out FILE]
"""

import argparse
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import warnings

# With this set, requests overrules what a client was told about certificates.
for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)
# The simulator is on this machine, whatever proxy is set.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"

import requests  # noqa: E402  (after the environment is put right)
from bosdyn.orbit.client import Client  # noqa: E402
from bosdyn.orbit.exceptions import WebhookSignatureVerificationError  # noqa: E402
from bosdyn.orbit.utils import (  # noqa: E402
    data_capture_urls_from_run_events,
    get_latest_created_at_for_run_events,
    validate_webhook_payload,
)

TOKEN = "oracle-token"
SECRET = "5e" * 32
START_SECONDS = 20
INSPECTIONS = 60


class Checks:
    """Counts what held and what did not."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, holds, seen=""):
        """One claim: prints `ok` or `FAILED` with what was seen instead."""
        if holds:
            self.passed += 1
            print(f"ok {name}")
        else:
            self.failed += 1
            print(f"FAILED {name}: {seen!r}")

    def run(self, group, *arguments):
        """A group that breaks off is a failure, not the end of the others."""
        try:
            group(*arguments)
        except Exception as error:  # any kind at all is a finding here
            self.check(group.__name__, False, error)


class Receiver:
    """A webhook's other end: keeps each body with its signature."""

    def __init__(self):
        received = self.received = []

        class Take(http.server.BaseHTTPRequestHandler):
            """Answers 200 to any POST."""

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                received.append((self.headers, self.rfile.read(length)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Take)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class World:
    """The simulator's remote control, which the official client knows nothing of."""

    def __init__(self, host):
        self.base = f"https://{host}/sim"

    def post(self, path, body=None):
        """One POST under /sim/."""
        return requests.post(f"{self.base}/{path}", json=body, verify=False, timeout=30).json()


def signing_in(checks, host, verify):
    """The token is asked for, and only the right one does."""
    client = Client(hostname=host, verify=verify)
    checks.check("the client finds its csrf cookie", "x-csrf-token" in client._session.headers)
    answer = client.authenticate_with_api_token("another-token")
    checks.check("another token is refused", answer.status_code == 401, answer.status_code)
    answer = client.authenticate_with_api_token(TOKEN)
    checks.check("the right token is accepted", answer.ok, answer.status_code)
    if not isinstance(verify, str):
        return
    # A certificate that nobody was told to trust must stop the client.
    try:
        Client(hostname=host, verify=True)
        checks.check("an unknown certificate is refused", False, "it was accepted")
    except requests.exceptions.SSLError:
        checks.check("an unknown certificate is refused", True)


def webhooks(checks, client, receiver):
    """Create, list, get, update, delete."""
    asked = {
        "name": "oracle",
        "url": receiver.url,
        "enabled": True,
        "validateTlsCert": False,
        "secret": SECRET,
        "events": ["ACTION_COMPLETED"],
    }
    answer = client.post_resource("webhooks", json=asked)
    checks.check("a webhook is created", answer.ok, answer.text)
    made = answer.json()
    uuid = made["uuid"]
    kept = {name: made.get(name) for name in asked}
    checks.check("it is as it was asked for", kept == asked, kept)

    listed = client.get_webhook().json()
    checks.check("it is listed", [hook["uuid"] for hook in listed] == [uuid], listed)
    got = client.get_webhook_by_id(uuid).json()
    checks.check("it is found by its id", got == made, got)

    changed = {**made, "events": ["ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"]}
    answer = client.post_webhook_by_id(uuid, json=changed)
    checks.check("it is updated", answer.json() == changed, answer.text)
    answer = client.post_resource("webhooks", json={**asked, "secret": "too short"})
    checks.check("a short secret is refused", answer.status_code == 400, answer.status_code)

    answer = client.delete_resource(f"webhooks/{uuid}")
    checks.check("it is deleted", answer.ok, answer.status_code)
    checks.check("it is gone", client.get_webhook().json() == [], client.get_webhook().text)
    answer = client.get_webhook_by_id(uuid)
    checks.check("its id is unknown", answer.status_code == 404, answer.status_code)

    del client._session.headers["x-csrf-token"]
    answer = client.post_resource("webhooks", json=asked)
    checks.check("a change without the csrf token is refused", answer.status_code == 403)
    client._session.headers["x-csrf-token"] = client._session.cookies["x-csrf-token"]


def signatures(checks, client, world, receiver):
    """What the simulator signs passes the official check, where that check can be right."""
    answer = client.post_webhook(
        json={
            "url": receiver.url,
            "events": ["ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"],
            "secret": SECRET,
        }
    )
    uuid = answer.json()["uuid"]
    for _ in range(INSPECTIONS):
        world.post("inspect")
    checks.check("every inspection is posted", len(receiver.received) == INSPECTIONS)
    types = {json.loads(body)["type"] for _, body in receiver.received}
    both = {"ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"}
    checks.check("with alert and without", types == both, types)

    def passes(headers, body, secret=SECRET):
        try:
            validate_webhook_payload(json.loads(body), headers["Orbit-Signature"], secret)
            return True
        except WebhookSignatureVerificationError:
            return False

    ascii_only = [(head, body) for head, body in receiver.received if body.isascii()]
    checks.check("there are bodies in ASCII", len(ascii_only) > INSPECTIONS // 3)
    checks.check(
        "all of them pass the official check", all(passes(*message) for message in ascii_only)
    )
    checks.check("not with another secret", not passes(*ascii_only[0], secret="00" * 32))
    head, body = ascii_only[0]
    checks.check("not with another body", not passes(head, body.replace(b"spot", b"tops")))
    # The official check writes the body anew with Python's escapes, so it is wrong about these.
    others = [message for message in receiver.received if not message[1].isascii()]
    checks.check("there are bodies beyond ASCII", bool(others))
    wrongly_refused = not any(passes(*message) for message in others)
    checks.check("which it refuses, as it does Orbit's", wrongly_refused)

    receiver.received.clear()
    posts = world.post("test-payload")
    checks.check("a test payload is posted", [post["status"] for post in posts] == [200], posts)
    head, body = receiver.received[0]
    checks.check("it is a TEST", json.loads(body)["type"] == "TEST", body)
    checks.check("it passes the official check", passes(head, body))
    client.delete_webhook(uuid)


def records(checks, client):
    """Run events by page and time, and what belongs to them."""
    page = client.get_run_events().json()
    checks.check("a page has 20 run events", len(page["resources"]) == 20, page["limit"])
    checks.check("and knows how many there are", page["total"] == INSPECTIONS, page["total"])

    seen, start = [], "1970-01-01T00:00:00Z"
    while True:
        params = {"limit": 7, "orderBy": "created_at", "startCreatedAt": start}
        found = client.get_run_events(params=params).json()["resources"]
        fresh = [event for event in found if event["uuid"] not in seen]
        if not fresh:
            break
        seen.extend(event["uuid"] for event in fresh)
        start = fresh[-1]["createdAt"]
    checks.check("paging by createdAt finds each once", len(set(seen)) == INSPECTIONS, len(seen))

    params = {"limit": 100, "orderBy": "-created_at"}
    newest_first = client.get_run_events(params=params).json()["resources"]
    times = [event["createdAt"] for event in newest_first]
    checks.check("the newest come first when asked", times == sorted(times, reverse=True))
    end = client.get_run_events(params={"endCreatedAt": times[10]}).json()
    before = sum(time < times[10] for time in times)
    checks.check("endCreatedAt itself is left out", end["total"] == before, end["total"])
    start = client.get_run_events(params={"startCreatedAt": times[10]}).json()
    checks.check("startCreatedAt itself is not", start["total"] == INSPECTIONS - before)
    latest = get_latest_created_at_for_run_events(client)
    checks.check(
        "the official helper reads the latest createdAt",
        abs(time.time() - latest.timestamp()) < 600,
        latest,
    )

    event = client.get_run_event_by_id(seen[0]).json()
    checks.check("a run event is found by its id", event["uuid"] == seen[0], event)
    run = client.get_run_by_id(event["runUuid"]).json()
    checks.check("so is its run", run["missionName"] == event["missionName"], run)
    runs = client.get_runs(params={"limit": 100}).json()
    checks.check("which is listed", run["uuid"] in [one["uuid"] for one in runs["resources"]])

    anomalies = client.get_anomalies(params={"limit": 100}).json()["resources"]
    alerts = client.get_run_events(params={"excludeNonAlerts": "true"}).json()["total"]
    checks.check("each alert has an anomaly", len(anomalies) == alerts > 0, len(anomalies))
    anomaly = anomalies[0]
    params = {"runEventUuid": anomaly["runEventUuid"]}
    one = client.get_anomalies(params=params).json()["resources"]
    checks.check("an anomaly is found by its run event", one == [anomaly], one)
    answer = client.patch_anomaly_by_id(anomaly["uuid"], {"status": "closed"})
    checks.check("an anomaly is closed", answer.json()["status"] == "closed", answer.text)

    captures = client.get_run_captures(params={"limit": 100}).json()
    checks.check("captures are listed", captures["total"] > INSPECTIONS // 2, captures["total"])


def pictures(checks, client):
    """Pictures come by the path in `dataUrl`, encoded; as it is, a `#` cuts it off."""
    events = client.get_run_events(params={"limit": 100}).json()
    urls = data_capture_urls_from_run_events(client, events)
    odd = next(url for url in urls if "#" in url)
    even = next(url for url in urls if url.isascii() and "?" not in url)
    for name, url in (("plain", even), ("odd", odd)):
        _, _, host, path = url.split("/", 3)
        image = client.get_image(f"https://{host}/{urllib.parse.quote(path)}").read()
        checks.check(f"a picture with {name} name is a JPEG", image[:3] == b"\xff\xd8\xff")
    answer = client.get_image_response(odd)
    checks.check("an odd name is not found unless encoded", answer.status_code in (400, 404))


def clock(checks, client):
    """Orbit tells its time."""
    now_ms = int(client.get_system_time().json()["msSinceEpoch"])
    off_ms = abs(now_ms - time.time() * 1000)
    checks.check("the clock is right", off_ms < 5000, off_ms)
    checks.check("the version is told", "version" in client.get_version().json())


def wait_until_it_listens(process, host):
    """Bounded; tells at once when the program ends instead."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the simulator ended with {process.returncode}")
        try:
            requests.get(f"https://{host}/api/v0/version", verify=False, timeout=1)
            return
        except requests.exceptions.RequestException:
            time.sleep(0.05)
    sys.exit(f"the simulator does not listen after {START_SECONDS} s")


def free_port():
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_all(checks, host, verify):
    """All groups, in the order in which they build on each other."""
    checks.run(signing_in, checks, host, verify)
    client = Client(hostname=host, verify=verify)
    client.authenticate_with_api_token(TOKEN)
    receiver = Receiver()
    checks.run(webhooks, checks, client, receiver)
    checks.run(signatures, checks, client, World(host), receiver)
    checks.run(records, checks, client)
    checks.run(pictures, checks, client)
    checks.run(clock, checks, client)


def main():
    """Starts the simulator, checks, and ends it by its process id."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument(
        "--no-certificate-out",
        action="store_true",
        help="the program cannot write its certificate: do not verify it",
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")

    host = f"127.0.0.1:{free_port()}"
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        certificate = os.path.join(folder, "orbit.pem")
        command = [options.program, "simulate", "orbit", "--listen", host]
        command += ["--token", TOKEN, "--seed", "1", "--every", "0"]
        if not options.no_certificate_out:
            command += ["--certificate-out", certificate]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until_it_listens(process, host)
            check_all(checks, host, False if options.no_certificate_out else certificate)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(1 if checks.failed or not checks.passed else 0)


if __name__ == "__main__":
    main()
