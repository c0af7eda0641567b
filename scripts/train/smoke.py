"""Every step of a training on synthetic rows, in seconds; raises where one does not do what it says."""

import csv
import json
import os
from types import SimpleNamespace

import numpy as np
import onnxruntime
import torch

import train
from dataset import read_dataset, sha256_of, tensors
from fit import Options, Run, Scorer
from golden import inputs_of, synthetic
from lgbm_smoke import lgbm_smoke
from loss import crps
from nested import fair_crps, noise, simulate
from synthetic_file import gaussian_crps, write_file

SIZES = {"width": 8, "layers": 1, "heads": 2, "hidden": 8}
ROWS = 600


def smoke(folder: str):
    check_crps()
    for model in ("HF", "LF-equity"):
        steps, step = (60, 60) if model == "HF" else (288, 300)
        path = os.path.join(folder, f"{model}.bin")
        write_rows(path, model, steps, step)
        check_untrained(path)
        check_ratios(path)
        check_resume(path, folder)
        out = os.path.join(folder, "models")
        options = Options(epochs=6, nested_epochs=1 if model == "HF" else 0, batch=32, nested_batch=32, paths=8, rate=0.02, patience=9)
        asked = SimpleNamespace(model=model, work=os.path.join(folder, "work"), out=out, kind="patchtst")
        entry = train.train(asked, path, path, options, SIZES)
        check_files(entry, out, os.path.join(folder, "work", model, "held-out"))
    lgbm_smoke(os.path.join(folder, "lgbm"))
    print("smoke: all steps did what they say")


def write_rows(path: str, model: str, steps: int, step: int):
    """What `train-data` would write of a market whose volatility is higher than its base sigmas say where its ranges are."""
    random = np.random.default_rng(5)
    first = train.unix("2025-01-01" if model == "HF" else "2025-03-01")
    assets = ["BTC", "ETH"] if model == "HF" else ["NVDAX", "SP500"]
    start = np.sort(first + random.integers(0, 270 * 86400, ROWS).astype(float))
    hidden = random.normal(0, 0.3, ROWS)
    returns = random.standard_t(8, (ROWS, steps)) * 0.001 * np.exp(hidden)[:, None]
    prices = np.concatenate([np.zeros((ROWS, 1)), returns.cumsum(1)], 1)
    prices[random.random(prices.shape) < 0.01] = np.nan
    sequence = np.abs(random.normal(0, 1, (ROWS, 512, 2)))
    sequence[..., 1] *= np.exp(hidden)[:, None]
    sequence[:20, :100] = np.nan
    u = np.arange(4001) / 100
    arrays = {
        "asset": random.integers(0, 2, ROWS).astype("f4"), "start": start, "baseLogSigma": np.full((ROWS, steps), np.log(0.0011), "f4"),
        "zeroShare": np.where(random.random(ROWS) < 0.1, 0.2, 0).astype("f4"), "features": random.normal(0, 0.3, (ROWS, 3)).astype("f4"),
        "calendar": random.normal(0, 0.7, (ROWS, 4)).astype("f4"), "sequence": sequence.astype("f4"), "logPrices": prices.astype("f4"),
    }  # fmt: skip
    lengths = [1, 5 if steps == 60 else 6, steps]
    table = gaussian_crps(u)
    arrays |= {f"crps{length}": table for length in lengths}
    blocks = [
        {"steps": n, "firstSteps": list(range(0, steps, n)), "weights": [1] * (steps // n), "ratioWeights": [float(n == own) for own in lengths]}
        for n in lengths
    ]  # fmt: skip
    header = {
        "model": model, "horizonSeconds": steps * step, "stepSeconds": step, "ratioSeconds": [length * step for length in lengths[1:]],
        "knotSeconds": [0, 1800, steps * step - step], "assets": assets, "varianceRatios": [[0.95, 0.9], [0.95, 0.9]], "blocks": blocks,
    }  # fmt: skip
    write_file(path, arrays, header)


def check_crps():
    """The fair CRPS of many draws, and the table's, are the closed form's of a normal."""
    random = torch.Generator().manual_seed(3)
    u = torch.tensor([0.0, 0.7, 2.3, 50.0])
    found = fair_crps(torch.randn(400, 500, 4, generator=random), u.expand(400, 4)).mean(0)
    closed = gaussian_crps(u.numpy())
    np.testing.assert_allclose(found, closed, atol=0.01)
    table = torch.tensor(gaussian_crps(np.arange(4001) / 100), dtype=torch.float32)
    np.testing.assert_allclose(crps(u, table), closed, atol=1e-4)
    # By hand: members 1, 2, 4 and observation 3: mean distance 4/3, mean distance of two members 2.
    assert abs(float(fair_crps(torch.tensor([[[1.0], [2.0], [4.0]]]), torch.tensor([[3.0]]))) - (4 / 3 - 1)) < 1e-6


def check_untrained(path: str):
    """Before training the network answers what the EWMA engine does."""
    data = read_dataset(path)
    run = Run(data.rows(np.arange(64)), None, "patchtst", Options(), path, SIZES)
    run.network.eval()
    part = run.train
    for own, base in zip(run.network(part["sequence"], part["features"], part["calendar"]), run.scorer.base_answers(64)):
        torch.testing.assert_close(own, base)


def check_ratios(path: str):
    """Simulated blocks have the variance ratios asked for, and steps the sigma."""
    scorer = Scorer(read_dataset(path).header)
    answers = scorer.base_answers(1)
    ratios = torch.tensor([[0.8, 0.6]])
    drawn = noise(1, 40_000 if scorer.steps == 60 else 10_000, scorer.steps, torch.Generator().manual_seed(2))
    sigma = torch.full((1, scorer.steps), np.log(0.001))
    returns = simulate(sigma, ratios, answers[3:], torch.tensor([0.2]), scorer.header["stepSeconds"], scorer.ratio_steps, drawn)[0]
    step = float(returns.square().mean()) / 1e-6
    whole = float(returns.sum(1).square().mean()) / 1e-6 / scorer.steps
    assert abs(step - 1) < 0.05 and abs(whole - 0.6) < 0.05, (step, whole)
    zeros = float((returns == 0).float().mean())
    assert abs(zeros - 0.2) < 0.01, zeros


def check_resume(path: str, folder: str):
    """A run that was cut off after an epoch ends where an undisturbed one does."""
    data = read_dataset(path).rows(np.arange(256))
    options = Options(epochs=2, batch=64, rate=0.01)
    whole = Run(data, None, "patchtst", options, os.path.join(folder, data.header["model"], "whole"), SIZES)
    whole.run(log=lambda _: None)
    cut = os.path.join(folder, data.header["model"], "cut")
    Run(data, None, "patchtst", options, cut, SIZES).run(stop=(1, 0), log=lambda _: None)
    resumed = Run(data, None, "patchtst", options, cut, SIZES)
    resumed.run(log=lambda _: None)
    for own, expected in zip(resumed.average.parameters(), whole.average.parameters()):
        torch.testing.assert_close(own, expected, rtol=0, atol=0)
    other = Run(data, None, "patchtst", Options(epochs=2, batch=64, rate=0.02), cut, SIZES)
    other.resume()
    assert other.progress["done"] == 0, "expected a checkpoint of other options to be left alone"


def check_files(entry: dict, out: str, folder: str):
    file = os.path.join(out, entry["file"])
    assert entry["sha256"] == sha256_of(file) and os.path.getsize(file) < 4e6
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    with open(os.path.join(out, entry["golden"]["file"]), encoding="utf-8") as golden:
        case = json.load(golden)["cases"][0]
    inputs = inputs_of(case["candles"], case["profile"], case["asset"], entry["stepSeconds"], entry["featureHalfLifeSeconds"], case["startTime"])
    outputs = session.run(None, {name: value[None].astype(np.float32) for name, value in inputs.items()})
    np.testing.assert_allclose(outputs[1][0], case["outputs"]["delta_log_sigma"], atol=1e-5)
    with open(os.path.join(folder, "loss.csv"), encoding="utf-8") as curve:
        rows = list(csv.DictReader(curve))
    assert len(rows) >= 2 and os.path.getsize(os.path.join(folder, "loss.png")) > 1000
    # The ranges tell what the base sigmas do not know: training has to find it.
    assert min(float(row["validation"]) for row in rows[:6]) < 0.995, rows
    assert entry["validation"]["assets"]["pooled"]["ratioToEwma"] < 1
    with open(os.path.join(out, "manifest.json"), encoding="utf-8") as manifest:
        assert json.load(manifest)["models"][entry["horizon"] == "1h" and "HF" or "LF-equity"] == entry
