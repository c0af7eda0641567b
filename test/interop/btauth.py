"""Signed HTTP by the Bittensor SDK 11's own signer and verifier.

usage: btauth.py < {"seed": HEX, "port": N, "receiver": SS58, "body": TEXT, "path": TARGET, "ours": [{"headers", "body", "path", "receiver"}]}

Prints one JSON line per check: {"check": NAME, …}.
"""

import json
import sys
import time
import urllib.error
import urllib.request

QUESTION = json.load(sys.stdin)

import bittensor  # noqa: E402
from bittensor import http_auth  # noqa: E402
from bittensor_core import Keypair  # noqa: E402


def say(check: str, **figures: object) -> None:
    print(json.dumps({"check": check, **figures}), flush=True)


def post(headers: dict, body: bytes, path: str) -> tuple[int, dict]:
    url = f"http://127.0.0.1:{QUESTION['port']}{path}"
    request = urllib.request.Request(url, data=body, headers={**headers, "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def main() -> None:
    keypair = Keypair.create_from_seed(bytes.fromhex(QUESTION["seed"]))
    say("versions", bittensor=bittensor.__version__)
    body, path = QUESTION["body"].encode(), QUESTION["path"]

    def sign(**changes: object) -> dict:
        named = {"method": "POST", "path": path, "body": body, "receiver_ss58": QUESTION["receiver"], **changes}
        return http_auth.sign(keypair, **named)

    good = sign()
    for name, headers, sent, target in (
        ("good", good, body, path),
        ("replayed", good, body, path),
        ("tampered body", sign(), body + b" ", path),
        ("tampered path", sign(), body, path + "&more"),
        ("other receiver", sign(receiver_ss58=keypair.ss58_address), body, path),
        ("no receiver", sign(receiver_ss58=None), body, path),
        ("old", sign(nonce_ns=time.time_ns() - 11 * 10**9), body, path),
        ("ahead", sign(nonce_ns=time.time_ns() + 4 * 10**9), body, path),
    ):
        status, answer = post(headers, sent, target)
        say(name, status=status, message=answer.get("message"), output="simulation_output" in answer)
    for ours in QUESTION["ours"]:
        named = {"method": "POST", "path": ours["path"], "self_hotkey_ss58": ours["receiver"]}
        try:
            caller = http_auth.verify(ours["headers"], ours["body"].encode(), **named)
            say("ours", accepted=caller.hotkey_ss58, crypto=caller.crypto_type)
        except http_auth.AuthError as error:
            say("ours", accepted=None, reason=type(error).__name__)


if __name__ == "__main__":
    main()
