"""A validator made of the Bittensor SDK 10.x and httpx, as the Synth validator is; it tells what the SDK makes of answers.

usage: validator.py < {"axons": [{"port", "hotkey"}], "seed": "0x…", "prompt": {…}, "vectors": [{"address", "message", "signature"}]}

Prints one JSON line per check: {"check": NAME, …figures}. It judges nothing: the test does.
"""

import asyncio
import json
import sys
import time
import uuid
from typing import Any, Iterator, Optional

QUESTION = json.load(sys.stdin)

import bittensor  # noqa: E402
import httpx  # noqa: E402
from bittensor.utils import networking  # noqa: E402
from bittensor_wallet import Keypair  # noqa: E402
from pydantic import BaseModel  # noqa: E402

# The SDK asks the internet for our address, which is only informational to the axon; tests have no internet.
networking.get_external_ip = lambda: "127.0.0.1"

TIMEOUT = 30.0
CONNECTIONS = 25


class SimulationInput(BaseModel):
    asset: str = "BTC"
    start_time: str = ""
    time_increment: int = 300
    time_length: int = 86400
    num_simulations: int = 1000


class Simulation(bittensor.Synapse):
    simulation_input: SimulationInput
    simulation_output: Optional[Any] = None

    def deserialize(self) -> Any:
        return self.simulation_output


class TamperingDendrite(bittensor.Dendrite):
    """Signs as the SDK does, then changes what was signed."""

    change: Any = staticmethod(lambda synapse: None)

    def preprocess_synapse_for_request(self, *args: Any, **named: Any) -> Any:
        synapse = super().preprocess_synapse_for_request(*args, **named)
        self.change(synapse)
        return synapse


def say(check: str, **figures: Any) -> None:
    print(json.dumps({"check": check, **figures}), flush=True)


def targets() -> list[bittensor.AxonInfo]:
    return [
        bittensor.AxonInfo(version=1, ip="127.0.0.1", ip_type=4, coldkey=axon["hotkey"], **axon)
        for axon in QUESTION["axons"]
    ]


def simulation(**changes: Any) -> Simulation:
    return Simulation(simulation_input=SimulationInput(**{**QUESTION["prompt"], **changes}))


def signed(answer: bittensor.Synapse) -> bool:
    axon = answer.axon
    if not axon.signature:
        return False
    message = f"{axon.nonce}.{answer.dendrite.hotkey}.{axon.hotkey}.{axon.uuid}"
    return Keypair(ss58_address=axon.hotkey).verify(message, axon.signature)


def seen(answer: Simulation) -> dict:
    """Everything that the SDK says of an answer, after its own merging."""
    output = answer.deserialize()
    return {
        "is_success": answer.is_success,
        "is_failure": answer.is_failure,
        "is_blacklist": answer.is_blacklist,
        "is_timeout": answer.is_timeout,
        "failed_verification": answer.failed_verification,
        "status": [answer.dendrite.status_code, answer.axon.status_code],
        "message": answer.dendrite.status_message,
        "dendrite_process_time": float(answer.dendrite.process_time or 0),
        "axon_process_time": float(answer.axon.process_time or 0),
        "axon": {"hotkey": answer.axon.hotkey, "port": answer.axon.port, "version": answer.axon.version},
        "dendrite": {"hotkey": answer.dendrite.hotkey, "ip": answer.dendrite.ip},
        "signed": signed(answer),
        "head": None if output is None else list(output[:2]),
        "shape": None if output is None else [len(output) - 2, len(output[2])],
    }


def through_dendrite(check: str, dendrite: bittensor.Dendrite, synapse: Simulation) -> None:
    answers = dendrite.query(axons=targets(), synapse=synapse, timeout=TIMEOUT, deserialize=False)
    say(check, answers=[seen(answer) for answer in answers])


def dendrite_checks(keypair: Keypair) -> None:
    through_dendrite("dendrite good", bittensor.Dendrite(wallet=keypair), simulation())
    stranger = Keypair.create_from_uri("//Stranger")
    through_dendrite("dendrite stranger", bittensor.Dendrite(wallet=stranger), simulation())
    through_dendrite("dendrite bad prompt", bittensor.Dendrite(wallet=keypair), simulation(asset="DOGE"))
    tampering = {
        "unsigned": lambda synapse: setattr(synapse.dendrite, "signature", None),
        "signature": lambda synapse: setattr(synapse.dendrite, "signature", "0x" + "12" * 64),
        "nonce": lambda synapse: setattr(synapse.dendrite, "nonce", synapse.dendrite.nonce + 1),
        "uuid": lambda synapse: setattr(synapse.dendrite, "uuid", str(uuid.uuid4())),
        "receiver": lambda synapse: setattr(synapse.axon, "hotkey", stranger.ss58_address),
        "sender": lambda synapse: setattr(synapse.dendrite, "hotkey", stranger.ss58_address),
    }
    for name, change in tampering.items():
        dendrite = TamperingDendrite(wallet=keypair)
        dendrite.change = change
        through_dendrite(f"dendrite tampered {name}", dendrite, simulation())


class Cycle:
    """One prompt of the Synth validator to several miners: one nonce, one uuid, a signature for each."""

    def __init__(self, keypair: Keypair, client: httpx.AsyncClient, cycle_uuid: Optional[str] = None) -> None:
        self.keypair = keypair
        self.client = client
        self.nonce = time.time_ns()
        self.uuid = cycle_uuid or str(uuid.uuid1())
        self.responses: list[httpx.Response] = []

    def prepare(self, target: bittensor.AxonInfo) -> Simulation:
        synapse = simulation()
        synapse.timeout = TIMEOUT
        terminal = {"version": 10_000_001, "nonce": self.nonce, "uuid": self.uuid}
        hotkey = self.keypair.ss58_address
        synapse.dendrite = bittensor.TerminalInfo(ip="127.0.0.1", hotkey=hotkey, **terminal)
        synapse.axon = bittensor.TerminalInfo(ip=target.ip, port=target.port, hotkey=target.hotkey)
        message = f"{self.nonce}.{hotkey}.{target.hotkey}.{self.uuid}.{synapse.body_hash}"
        synapse.dendrite.signature = f"0x{self.keypair.sign(message).hex()}"
        return synapse

    async def ask(self, target: bittensor.AxonInfo, timeout: float = TIMEOUT, **headers: str) -> Simulation:
        began = time.monotonic()
        synapse = self.prepare(target)
        # One body for all miners, without terminals of any of them; the whole call within its timeout.
        body = simulation().model_dump()
        url = f"http://{target.ip}:{target.port}/Simulation"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        post = self.client.post(url, headers={**synapse.to_headers(), **named}, json=body)
        response = await asyncio.wait_for(post, timeout)
        self.responses.append(response)
        self.merge(synapse, response)
        synapse.dendrite.process_time = time.monotonic() - began
        return synapse

    @staticmethod
    def merge(synapse: Simulation, response: httpx.Response) -> None:
        """As a dendrite does: the output from the body, both terminals from the headers, the status from the axon's."""
        body = response.json()
        if response.status_code == 200:
            synapse.simulation_output = Simulation(**body).simulation_output
        else:
            synapse.axon.status_code = response.status_code
            synapse.axon.status_message = body["message"]
        server = bittensor.Synapse.from_headers(response.headers)
        for ours, theirs in ((synapse.dendrite, server.dendrite), (synapse.axon, server.axon)):
            ours.__dict__.update(theirs.model_dump(exclude_none=True))
        synapse.dendrite.status_code = synapse.axon.status_code
        synapse.dendrite.status_message = synapse.axon.status_message


class Connections:
    """Counts what a client connects."""

    def __init__(self) -> None:
        self.opened = 0

    async def trace(self, name: str, _info: dict) -> None:
        self.opened += name == "connection.connect_tcp.complete"

    def client(self) -> httpx.AsyncClient:
        async def extend(request: httpx.Request) -> None:
            request.extensions["trace"] = self.trace

        limits = httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS)
        return httpx.AsyncClient(limits=limits, timeout=TIMEOUT, event_hooks={"request": [extend]})


async def httpx_checks(keypair: Keypair) -> None:
    connections = Connections()
    async with connections.client() as client:
        first = Cycle(keypair, client)
        answers = await asyncio.gather(*(first.ask(target) for target in targets()))
        say("httpx cycle", answers=[seen(answer) for answer in answers], connections=connections.opened)
        second = Cycle(keypair, client, first.uuid)
        answers = await asyncio.gather(*(second.ask(target) for target in targets()))
        say("httpx next cycle, same uuid", answers=[seen(answer) for answer in answers], connections=connections.opened)
        replayed = [await second.ask(target) for target in targets()]
        say("httpx replay", answers=[seen(answer) for answer in replayed])
        try:
            await Cycle(keypair, client).ask(targets()[0], timeout=0.001)
            say("httpx out of time", gave_up=False)
        except asyncio.TimeoutError:
            say("httpx out of time", gave_up=True)
        answer = await Cycle(keypair, client).ask(targets()[0])
        say("httpx after giving up", answers=[seen(answer)])
        for coding in ("gzip, deflate", "identity", "gzip;q=0, identity", "br"):
            cycle = Cycle(keypair, client)
            answer = await cycle.ask(targets()[0], accept_encoding=coding)
            response = cycle.responses[0]
            used = response.headers.get("content-encoding", "identity")
            sizes = {"wire_bytes": response.num_bytes_downloaded, "body_bytes": len(response.content)}
            say("httpx coding", coding=coding, used=used, answers=[seen(answer)], **sizes)
    many = Connections()
    async with many.client() as client:
        cycles = [Cycle(keypair, client) for _ in range(CONNECTIONS)]
        answers = await asyncio.gather(*(cycle.ask(targets()[0]) for cycle in cycles))
        say("httpx at once", answers=[seen(answer) for answer in answers], connections=many.opened)


def vectors(keypair: Keypair) -> Iterator[dict]:
    for vector in QUESTION["vectors"]:
        message = bytes.fromhex(vector["message"])
        try:
            verified = Keypair(ss58_address=vector["address"]).verify(message, vector["signature"])
        except Exception:
            verified = False
        signature = f"0x{keypair.sign(message).hex()}"
        yield {"message": vector["message"], "verified": verified, "signature": signature}


def main() -> None:
    keypair = Keypair.create_from_seed(QUESTION["seed"])
    say("versions", bittensor=bittensor.__version__, httpx=httpx.__version__)
    say("vectors", address=keypair.ss58_address, vectors=list(vectors(keypair)))
    asyncio.run(httpx_checks(keypair))
    dendrite_checks(keypair)


if __name__ == "__main__":
    sys.argv = sys.argv[:1]  # the SDK parses argv itself
    main()
