"""Starts a program, watches it, and ends it: watch.py PORT SECONDS COMMAND…

Prints one line of JSON: the milliseconds from the start of the process until PORT took a
connection, and after SECONDS more the KiB of memory that it has. Linux only: it reads /proc.
"""

import json
import signal
import socket
import subprocess
import sys
import time

LONGEST_START = 30.0
BETWEEN_TRIES = 0.0005


def listens(port):
    """Whether a connection to the port is taken."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def until_listening(program, port, began):
    """The seconds from `began` until the port took a connection."""
    while not listens(port):
        if program.poll() is not None:
            sys.exit(f"it ended with {program.returncode} before it listened")
        if time.monotonic() - began > LONGEST_START:
            sys.exit(f"it did not listen within {LONGEST_START:.0f} s")
        time.sleep(BETWEEN_TRIES)
    return time.monotonic() - began


def memory(pid):
    """Resident and proportional KiB, and how many threads there are."""
    found = {}
    for name in ("status", "smaps_rollup"):
        with open(f"/proc/{pid}/{name}", encoding="ascii", errors="replace") as lines:
            found.update(line.split(":", 1) for line in lines if ":" in line)
    wanted = {"rss_kb": "VmRSS", "pss_kb": "Pss", "threads": "Threads"}
    return {name: int(found[line].split()[0]) for name, line in wanted.items()}


def main():
    """Ends the program whatever happens."""
    port, seconds, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    if listens(port):
        sys.exit(f"somebody else listens on port {port}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    program = subprocess.Popen(command, stdout=sys.stderr)
    try:
        seen = {"listening_ms": round(1000 * until_listening(program, port, began), 2)}
        time.sleep(seconds)
        if program.poll() is not None:
            sys.exit(f"it ended with {program.returncode}")
        print(json.dumps(seen | memory(program.pid)))
    finally:
        program.terminate()
        try:
            program.wait(30)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


main()
