"""The least that takes a webhook with what the official example imports: receiver.py PORT

It keeps nothing and sends nothing on, so that its figures are a floor.
"""

import hmac
import os
import sys

import requests
from bosdyn.orbit.client import Client
from dotenv import load_dotenv
from flask import Flask, request

load_dotenv()
secret = bytes.fromhex(os.environ["WEBHOOK_SECRET"])
app = Flask(__name__)
# As the example: ready to talk to Orbit and to the plant's system.
orbit, plant = Client, requests.Session()


@app.post("/")
def receive():
    """Checks a signature over the raw bytes."""
    parts = dict(part.split("=", 1) for part in request.headers["Orbit-Signature"].split(","))
    signed = parts["t"].encode() + b"." + request.get_data()
    right = hmac.new(secret, signed, "sha256").hexdigest()
    if not hmac.compare_digest(right, parts["v1"]):
        return {"status": "refused"}, 401
    return {"status": "accepted"}


app.run(host="127.0.0.1", port=int(sys.argv[1]))
