"""Asks a relay's API everything that its own document allows, and much that it does not.

Without a token, with one that is none, and with a session that is none, every operation must
answer 401. With the token, schemathesis makes up requests from the document, good and bad ones:
nothing may be answered with 5xx, nothing otherwise than documented.

Usage: ask.py URL TOKEN [EXAMPLES]   such as ask.py http://127.0.0.1:22101 0123… 20

It changes whatever the API can change. It asks this machine only.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import requests

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
DOCUMENT = "/api/v1/openapi.json"
TEN_SECONDS = 10
# What may stand for a member of a path: whether it is there is not to be seen without a token.
SOMETHING = "1"


def operations(document):
    """Path and method of all that is documented."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def refused(url, document):
    """What is wrong with the answers to those who have no token."""
    strangers = {
        "without a token": {},
        "with a wrong token": {"Authorization": "Bearer " + "0" * 43},
        "with an empty token": {"Authorization": "Bearer "},
        "with user and password": {"Authorization": "Basic YTpi"},
        "with a cookie": {"Cookie": "orbit_relay=" + "0" * 43},
    }
    count = 0
    base = document.get("servers", [{}])[0].get("url", "")
    base = urlsplit(base).path.rstrip("/")
    for path, method, operation in operations(document):
        filled = re.sub(r"\{[^}]*\}", SOMETHING, path)
        if (base + path) == DOCUMENT and operation.get("security") == []:
            continue  # Anybody may read what there is, if the document says so.
        for who, headers in strangers.items():
            answer = requests.request(
                method,
                url + base + filled,
                headers=headers,
                timeout=TEN_SECONDS,
                allow_redirects=False,
            )
            count += 1
            if answer.status_code != 401:
                yield f"{method.upper()} {base}{path} {who}: {answer.status_code}, not 401"
    if count == 0:
        yield "the document has no operation"
    print(f"ask: {count} requests without a good token")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    url, token = sys.argv[1].rstrip("/"), sys.argv[2]
    examples = sys.argv[3] if len(sys.argv) == 4 else "20"
    if urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
        sys.exit("ask: it asks this machine only")
    bearer = f"Bearer {token}"
    answer = requests.get(
        url + DOCUMENT, headers={"Authorization": bearer}, timeout=TEN_SECONDS
    )
    answer.raise_for_status()
    wrong = list(refused(url, answer.json()))
    for line in wrong:
        print(f"ask: {line}")
    made_up = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            url + DOCUMENT,
            "--header",
            f"Authorization: {bearer}",
            "--checks=all",
            # What is of the document's shape may be refused all the same: whether a text is a time,
            # a file an asset map, or a value fit for a setting, no schema says.
            "--exclude-checks=positive_data_acceptance",
            "--mode=all",
            f"--max-examples={examples}",
            "--workers=1",
            "--seed=1",
            "--generation-database=none",
            # Whether requests are easily made up is no matter of the API.
            "--suppress-health-check=all",
            "--request-timeout=10",
            "--max-response-time=5",
            "--max-redirects=0",
            "--continue-on-failure",
            "--no-color",
        ],
        check=False,
    )
    if wrong or made_up.returncode != 0:
        sys.exit(1)
    print("ask: nothing is wrong")


if __name__ == "__main__":
    main()
