"""The real Bittensor SDK against the double: reads the metagraph, serves an axon, reads it back, is refused.

usage: sdk_client.py URL NETUID HOTKEY_URI     (HOTKEY_URI: //Name)

Prints one JSON object.
"""

import json
import sys
import tempfile

URL, NETUID, HOTKEY_URI = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sys.argv = sys.argv[:1]  # the SDK parses argv itself

import bittensor  # noqa: E402
from bittensor.core.extrinsics.serving import serve_extrinsic  # noqa: E402
from bittensor_wallet import Keypair, Wallet  # noqa: E402


def make_wallet(folder: str) -> Wallet:
    wallet = Wallet(name="double", hotkey="double", path=folder)
    wallet.set_coldkeypub(Keypair.create_from_uri("//Cold"), overwrite=True)
    wallet.set_hotkey(Keypair.create_from_uri(HOTKEY_URI), encrypt=False, overwrite=True)
    return wallet


def serve(subtensor: bittensor.Subtensor, wallet: Wallet, port: int) -> dict:
    answer = serve_extrinsic(subtensor, wallet, "203.0.113.9", port, 4, NETUID, period=64)
    return {"success": answer.success, "message": answer.message}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wallet = make_wallet(folder)
        subtensor = bittensor.Subtensor(network=URL)
        metagraph = subtensor.metagraph(NETUID)
        served = [serve(subtensor, wallet, 8091), serve(subtensor, wallet, 8092)]
        hotkey = wallet.hotkey.ss58_address
        axon = subtensor.get_neuron_for_pubkey_and_subnet(hotkey, NETUID).axon_info
        block = subtensor.substrate.get_block()
        calls = [extrinsic.value["call"]["call_function"] for extrinsic in block["extrinsics"]]
        result = {
            "hotkeys": list(metagraph.hotkeys),
            "S": [float(stake) for stake in metagraph.S],
            "permits": [bool(permit) for permit in metagraph.validator_permit],
            "ips": [entry.ip for entry in metagraph.axons],
            "served": served,
            "axon": {"ip": axon.ip, "port": axon.port, "version": axon.version},
            "registered": subtensor.is_hotkey_registered(hotkey, NETUID),
            "calls": calls,
        }
        print(json.dumps(result))


main()
