"""Test vectors of encrypted hotkey files and their environment variables, made by bittensor_wallet: prints JSON.
Run: python wallet_encryption.py > test/vectors/wallet_encryption.json && npx prettier --write test/vectors

- files: what encrypt_keyfile_data writes, of public development keys only.
- variables: the name that a Keyfile of this path reads its password from, and the value that save_password_to_env sets.
"""

import base64
import contextlib
import importlib.metadata
import io
import json

from bittensor_wallet import Keyfile, Keypair
from bittensor_wallet.keyfile import encrypt_keyfile_data, serialized_keypair_to_keyfile_data

PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
PATHS = [
    "/home/miner/.bittensor/wallets/default/hotkeys/default",
    "~/.bittensor/wallets/w.1/hotkeys/my-hot key",
    "wallets/n/hotkeys/h",
    "./w/../n/hotkeys/h",
    "/srv/Größe/n/hotkeys/h",
]
PASSWORDS = ["test-password", "pässwörd ✓ " + "long " * 20]


def encrypted(content, password):
    return {"password": password, "base64": base64.b64encode(encrypt_keyfile_data(content, password)).decode()}


def variable(path, password):
    keyfile = Keyfile(path=path, name="hotkey", should_save_to_env=False)
    return {
        "path": path,
        "password": password,
        "name": keyfile.env_var_name(),
        "value": keyfile.save_password_to_env(password),
    }


with contextlib.redirect_stdout(io.StringIO()):  # the library says "Encrypting..." there
    keypair = Keypair.create_from_mnemonic(PHRASE)
    vectors = {
        "provenance": "scripts/vectors/wallet_encryption.py, bittensor_wallet "
        + importlib.metadata.version("bittensor_wallet"),
        "address": keypair.ss58_address,
        "files": {
            "json": encrypted(serialized_keypair_to_keyfile_data(keypair), PASSWORDS[0]),
            "mnemonic": encrypted(f"{PHRASE}\n".encode(), PASSWORDS[1]),
            "garbage": encrypted(b'{"secretSeed": "0xfac7', PASSWORDS[0]),
        },
        "variables": [variable(path, password) for path in PATHS for password in PASSWORDS],
    }
print(json.dumps(vectors, indent=2, ensure_ascii=False))
