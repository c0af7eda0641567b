"""A validator made of the real Bittensor SDK: asks an axon and judges its answers by the subnet's rules.

usage: sdk_validator.py HOST PORT AXON_HOTKEY KEY [--timeout SECONDS] [--transport dendrite|httpx]  < prompts.json

KEY is //Name, a mnemonic or a 0x seed of 32 bytes. Standard input is a JSON list of simulation_input objects; start_time
is passed on as it is. Prints one JSON line per prompt, in order. `httpx` sends the SDK's own headers and body through
httpx, the Synth validator's transport.
"""

import argparse
import asyncio
import json
import math
import struct
import sys
import time
import uuid
from datetime import datetime, timezone
from typing import Any, Optional


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("axon_hotkey")
    parser.add_argument("key")
    parser.add_argument("--timeout", type=float, default=50.0)
    parser.add_argument("--transport", choices=["dendrite", "httpx"], default="dendrite")
    return parser.parse_args()


ARGUMENTS = parse_arguments()
sys.argv = sys.argv[:1]  # the SDK parses argv itself

import bittensor  # noqa: E402
import httpx  # noqa: E402
from bittensor.utils import networking  # noqa: E402
from bittensor_wallet import Keypair  # noqa: E402
from pydantic import BaseModel  # noqa: E402

# The SDK asks the internet for our address, which is only informational to the axon; tests have no internet.
networking.get_external_ip = lambda: "127.0.0.1"


class SimulationInput(BaseModel):
    asset: str = "BTC"
    start_time: str = ""
    time_increment: int = 300
    time_length: int = 86400
    num_simulations: int = 1000


class Simulation(bittensor.Synapse):
    simulation_input: SimulationInput
    simulation_output: Optional[Any] = None


def load_key(text: str) -> Keypair:
    if text.startswith("//"):
        return Keypair.create_from_uri(text)
    if text.startswith("0x"):
        return Keypair.create_from_seed(text)
    return Keypair.create_from_mnemonic(text)


def price_problem(price: Any) -> Optional[str]:
    if isinstance(price, bool) or not isinstance(price, (int, float)):
        return f"price is {type(price).__name__}"
    if not math.isfinite(price) or price <= 0:
        return f"price {price} is not positive and finite"
    if float(f"{price:.8g}") != price:
        return f"price {price} has more than 8 significant digits"
    if len(str(float(price)).replace(".", "")) > 8:
        return f"price {price} has more than 8 digits as text (the rule until July 2026)"
    struct.pack("f", price)  # raises OverflowError outside float32
    return None


def start_timestamp(text: str) -> int:
    start = datetime.fromisoformat(text)
    return math.floor((start if start.tzinfo else start.replace(tzinfo=timezone.utc)).timestamp())


def verdict(prompt: dict, output: Any) -> str:
    if not isinstance(output, (list, tuple)):
        return f"output is {type(output).__name__}"
    if list(output[:2]) != [start_timestamp(prompt["start_time"]), prompt["time_increment"]]:
        return f"head is {list(output[:2])}"
    paths = output[2:]
    if len(paths) != prompt["num_simulations"]:
        return f"{len(paths)} paths"
    points = prompt["time_length"] // prompt["time_increment"] + 1
    for path in paths:
        if not isinstance(path, list) or len(path) != points:
            return f"path of {len(path) if isinstance(path, list) else type(path).__name__} points"
        for price in path:
            problem = price_problem(price)
            if problem:
                return problem
    return "CORRECT"


async def ask_dendrite(dendrite: bittensor.Dendrite, target: bittensor.AxonInfo, synapse: Simulation) -> Simulation:
    return await dendrite.call(target_axon=target, synapse=synapse, timeout=ARGUMENTS.timeout, deserialize=False)


async def ask_httpx(dendrite: bittensor.Dendrite, target: bittensor.AxonInfo, synapse: Simulation) -> Simulation:
    synapse = dendrite.preprocess_synapse_for_request(target, synapse, ARGUMENTS.timeout)
    async with httpx.AsyncClient(timeout=ARGUMENTS.timeout) as client:
        url = f"http://{ARGUMENTS.host}:{ARGUMENTS.port}/Simulation"
        response = await client.post(url, headers=synapse.to_headers(), json=synapse.model_dump())
    synapse.dendrite.status_code = response.status_code
    body = response.json()
    synapse.dendrite.status_message = body.get("message", "Success")
    if response.status_code == 200:
        answer = Simulation(**body)
        synapse.simulation_output = answer.simulation_output
        synapse.axon = answer.axon
    return synapse


def signature_valid(answer: bittensor.Synapse) -> bool:
    axon, dendrite = answer.axon, answer.dendrite
    if axon.signature is None or axon.hotkey is None:
        return False
    message = f"{axon.nonce}.{dendrite.hotkey}.{axon.hotkey}.{axon.uuid}"
    return Keypair(ss58_address=axon.hotkey).verify(message, axon.signature)


async def main() -> None:
    prompts = json.load(sys.stdin)
    target = bittensor.AxonInfo(
        version=1,
        ip=ARGUMENTS.host,
        port=ARGUMENTS.port,
        ip_type=4,
        hotkey=ARGUMENTS.axon_hotkey,
        coldkey=ARGUMENTS.axon_hotkey,
    )
    ask = ask_httpx if ARGUMENTS.transport == "httpx" else ask_dendrite
    async with bittensor.Dendrite(wallet=load_key(ARGUMENTS.key)) as dendrite:
        for prompt in prompts:
            dendrite.uuid = str(uuid.uuid1())
            began = time.monotonic()
            answer = await ask(dendrite, target, Simulation(simulation_input=SimulationInput(**prompt)))
            status = answer.dendrite.status_code
            line = {
                "status": status,
                "message": answer.dendrite.status_message,
                "verdict": verdict(prompt, answer.simulation_output) if status == 200 else None,
                "signed": status == 200 and signature_valid(answer),
                "seconds": round(time.monotonic() - began, 3),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
