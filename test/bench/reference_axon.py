"""The subnet's reference miner on the Bittensor SDK's own axon: the peer of serve.bench.ts.

Driftless random walk with a constant hourly sigma, vectorised with numpy, prices rounded to 8 significant digits,
served by bittensor.Axon (FastAPI, pydantic). Usage: reference_axon.py WALLETS_DIR WALLET HOTKEY PORT
"""

import sys
import time
import typing

import bittensor as bt
import numpy as np
import pydantic

SIGMA_PER_HOUR = 0.00541


class SimulationInput(pydantic.BaseModel):
    asset: str = "BTC"
    start_time: str = ""
    time_increment: int = 300
    time_length: int = 86400
    num_simulations: int = 1000


class Simulation(bt.Synapse):
    simulation_input: SimulationInput
    simulation_output: typing.Optional[typing.Any] = None


def simulate(synapse: Simulation) -> Simulation:
    ask = synapse.simulation_input
    steps = ask.time_length // ask.time_increment
    sd = SIGMA_PER_HOUR * np.sqrt(ask.time_increment / 3600)
    changes = np.random.normal(0, sd, size=(ask.num_simulations, steps))
    prices = 100_000.0 * np.cumprod(1 + np.hstack([np.zeros((ask.num_simulations, 1)), changes]), axis=1)
    paths = [[float(f"{price:.8g}") for price in path] for path in prices]
    start = int(time_from_iso(ask.start_time))
    synapse.simulation_output = [start, ask.time_increment, *paths]
    return synapse


def time_from_iso(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    wallets, name, hotkey, port = sys.argv[1:]
    wallet = bt.Wallet(path=wallets, name=name, hotkey=hotkey)
    axon = bt.Axon(wallet=wallet, port=int(port), ip="127.0.0.1", external_ip="127.0.0.1")
    axon.attach(forward_fn=simulate)
    axon.start()
    time.sleep(1)
    print("listening", flush=True)
    while True:
        time.sleep(60)


main()
