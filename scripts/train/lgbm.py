"""
Trains the boosters of each asset, frequency and lead, and writes ONNX files, golden pairs and entries of models/manifest.json:
    python scripts/train/lgbm.py [--hf-only | --lf-only] [--asset BTC …] [--data DIR] [--model-dir models/staging] [--until 2025-09-01]

What is derived from the candles is kept under --work and taken up again by a run that was cut off. Each model adds a line with its
scores to lgbm/scores.jsonl below --model-dir. A model that fails leaves the one before it where it is.
"""

import argparse
import csv
import glob
import gzip
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import datetime, timezone
from multiprocessing import get_context

import numpy as np
import onnxruntime
from tqdm import tqdm

from dataset import read_dataset, sha256_of, source_key, unix
from export import git_commit, merge_entry, write_json
from lgbm_data import lead_rows
from lgbm_fit import MIN_ROWS, Plan, shipped, validated
from lgbm_golden import golden_cases
from lgbm_onnx import HEADS, check_parity, write_onnx

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HF = ["BTC", "ETH", "SOL", "XRP", "HYPE", "XAU"]
LF = [*HF, "NVDAX", "GOOGLX", "TSLAX", "AAPLX", "WTIOIL", "SP500", "SPYX"]
#: Folders of recordings that stand for assets (src/market/assets.ts), where their names differ.
FOLDERS = {"NVDAX": "NVDA", "GOOGLX": "GOOGL", "TSLAX": "TSLA", "AAPLX": "AAPL", "SP500": "SPY", "SPYX": "SPY"}
#: Candles that a grid can be made of; a download has minutes alone.
RESOLUTIONS = {"HF": ["1m"], "LF": ["1m", "5m"]}
#: Eight of HF's half-lives: older rows would weigh less than .4 %. LF: a year.
HISTORY_DAYS = {"HF": 112, "LF": 365}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--hf-only", action="store_true")
    only.add_argument("--lf-only", action="store_true")
    parser.add_argument("--asset", nargs="+", choices=LF, metavar="ASSET", help=f"of {', '.join(LF)}; default: all")
    parser.add_argument("--data", default=os.path.join(ROOT, "..", "shared", "market"), help="folder of candles, as for backtest")
    parser.add_argument("--model-dir", default=os.path.join(ROOT, "models", "staging"), help="folder of manifest.json")
    parser.add_argument("--work", default=os.path.join(ROOT, "state", "train", "lgbm"), help="what may be deleted afterwards")
    parser.add_argument("--calibration", default=os.path.join(ROOT, "models", "calibration", "ewma.json"), help="whose sigmas are corrected")
    parser.add_argument("--until", help="a date: candles before it; default: each asset's last candle")
    parser.add_argument("--validated-by", help="manifest of a held-out run: its trees, shrinkages and scores are taken, nothing is held out")
    parser.add_argument("--out-log", help="scores as JSON lines; default: lgbm/scores.jsonl below --model-dir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="assets at a time, one core each")
    return parser.parse_args()


def last_candle(data: str, name: str) -> float | None:
    """Open time of the newest candle of a model's recordings, under the asset's own name or its stand-in's."""
    asset = name[3:]
    newest = []
    for resolution in RESOLUTIONS[name[:2]]:
        for folder in {asset, FOLDERS.get(asset, asset)}:
            if files := glob.glob(os.path.join(data, resolution, folder, "*.csv")) + glob.glob(os.path.join(data, resolution, folder, "*.csv.gz")):
                last = max(files, key=os.path.basename)
                with gzip.open(last, "rt") if last.endswith(".gz") else open(last, encoding="utf-8") as file:
                    newest += [float(row["t"]) for row in csv.DictReader(file)][-1:]
    return max(newest, default=None)


def exported(asked, name: str) -> str | None:
    """The training data of a model; an earlier export of the same candles, code, calibration and window is taken. None without candles."""
    newest = last_candle(asked.data, name)
    if newest is None:
        return None
    until = min(unix(asked.until), newest) if asked.until else newest
    calibration = sha256_of(asked.calibration)
    path = os.path.join(asked.work, f"{name}-{iso(until)}-{calibration[:8]}-{source_key(asked.data, ROOT)}.bin")
    if os.path.exists(f"{path}.json"):
        return path
    os.makedirs(asked.work, exist_ok=True)
    command = [
        os.path.join(ROOT, "node_modules", ".bin", "node"), os.path.join(ROOT, "src", "main.ts"), "train-data", "--model", name,
        "--data", os.path.abspath(asked.data), "--from", iso(until - 86400 * HISTORY_DAYS[name[:2]]), "--to", iso(until),
        "--engines.calibration", os.path.abspath(asked.calibration), "--out", path,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: train-data: {done.stderr.strip().splitlines()[-1:]}")
    return path


def train(asked, name: str, path: str, decided: dict | None) -> dict:
    """Fits, checks and writes one model; returns its line of the log. `decided`: entry of a held-out run."""
    began = time.monotonic()
    data = read_dataset(path)
    order = np.argsort(data.columns["start"], kind="stable")
    data = data.rows(order)
    header = data.header
    horizon = "1h" if header["horizonSeconds"] == 3600 else "24h"
    line = {"name": name, "until": asked.until, "calibrationSha256": header["calibration"]["sha256"], "seed": asked.seed, "rows": data.count}
    if data.count < MIN_ROWS:
        return line | {"skipped": f"fewer than {MIN_ROWS} prompts"}
    plan = Plan(horizon, asked.seed, 1)
    leads = lead_rows(data, asked.seed)
    facts = decisions(validated(leads, plan)) if decided is None else taken_over(decided)
    boosters = shipped(leads, facts["rounds"], plan)
    entry, parity = write_model(asked.model_dir, name, boosters, data, facts | {"seed": asked.seed})
    return line | {"seconds": round(time.monotonic() - began, 1), "parity": parity} | {key: entry[key] for key in ("sha256", *DECISIONS)}


DECISIONS = ("rounds", "centreShrinkage", "residualShrinkage", "validation")


def decisions(found: dict) -> dict:
    return {
        "rounds": {head: found[head]["rounds"] for head in HEADS},
        "centreShrinkage": found["centre"]["shrinkage"],
        "residualShrinkage": found["residual"]["shrinkage"],
        "validation": {"centreR2": found["centre"]["scores"], "residualCrps": found["residual"]["scores"]},
    }


def taken_over(decided: dict) -> dict:
    """The decisions of a held-out run's entry, and what they were made on."""
    held_out = {key: decided[key] for key in ("trainingWindow", "calibrationSha256")}
    return {key: decided[key] for key in DECISIONS} | {"validation": {**decided["validation"], "heldOut": held_out}}


def write_model(out: str, name: str, boosters: dict, data, facts: dict) -> tuple[dict, float]:
    """Files below `out`, the folder of the manifest, which changes last; nothing of a file that fails its checks stays."""
    header, start = data.header, data.columns["start"]
    folder = os.path.join(out, "lgbm")
    os.makedirs(folder, exist_ok=True)
    file, golden = os.path.join(folder, f"{name.lower()}.onnx"), os.path.join(folder, f"golden-{name.lower()}.json")
    unchecked = f"{file}.unchecked"
    try:
        write_onnx(boosters, len(header["featureNames"]), unchecked)
        parity = check_parity(unchecked, boosters, data.columns["features"], facts["seed"])
        session = onnxruntime.InferenceSession(unchecked, providers=["CPUExecutionProvider"])
        cases = golden_cases(name[3:], header, lambda rows: dict(zip(HEADS, session.run(list(HEADS), {"features": rows}))))
        os.replace(unchecked, file)
    finally:
        if os.path.exists(unchecked):
            os.remove(unchecked)
    write_json(golden, {"cases": cases})
    entry = {
        "kind": "lgbm",
        "file": f"lgbm/{name.lower()}.onnx",
        "sha256": sha256_of(file),
        "assets": [name[3:]],
        "horizon": "1h" if header["horizonSeconds"] == 3600 else "24h",
        "stepSeconds": header["stepSeconds"],
        "leadSeconds": header["leadSeconds"],
        "featureNames": header["featureNames"],
        "calibrationSha256": header["calibration"]["sha256"],
        "trainingWindow": {"from": iso(start.min()), "to": iso(start.max() + header["horizonSeconds"])},
        "gitCommit": git_commit(ROOT),
        **facts,
        "golden": {"file": f"lgbm/golden-{name.lower()}.json", "sha256": sha256_of(golden)},
    }
    merge_entry(out, name, entry)
    return entry, parity


def iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def one(asked, name: str, decided: dict | None) -> dict:
    path = exported(asked, name)
    if path is None:
        return {"name": name, "skipped": "no candles"}
    return train(asked, name, path, decided)


def names_of(asked) -> list[str]:
    names = ([] if asked.lf_only else [f"HF-{asset}" for asset in HF]) + ([] if asked.hf_only else [f"LF-{asset}" for asset in LF])
    return [name for name in names if not asked.asset or name[3:] in asked.asset]


def run(asked) -> list[str]:
    """Names of the models that failed; every other one is written and logged."""
    known = {}
    if asked.validated_by:
        with open(asked.validated_by, encoding="utf-8") as file:
            known = json.load(file)["models"]
    log = asked.out_log or os.path.join(asked.model_dir, "lgbm", "scores.jsonl")
    os.makedirs(os.path.dirname(os.path.abspath(log)), exist_ok=True)
    failed = []
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool, tqdm(total=len(names := names_of(asked)), unit="model") as bar:
        under_way = {pool.submit(one, asked, name, known.get(name)): name for name in names if not known or name in known}
        bar.update(len(names) - len(under_way))
        for done in as_completed(under_way):
            name = under_way[done]
            try:
                line = done.result()
            except Exception as error:  # One asset's broken candles say nothing of the others.
                failed.append(name)
                line = {"name": name, "failed": str(error)}
            bar.update()
            bar.set_postfix_str(name)
            tqdm.write(summary(line))
            with open(log, "a", encoding="utf-8") as file:
                file.write(json.dumps({"at": iso(time.time()), **line}) + "\n")
    return failed


def summary(line: dict) -> str:
    if "rounds" not in line:
        return f"{line['name']}: {line.get('failed') or line.get('skipped')}"
    r2 = " ".join(f"{1e4 * score['r2']:.1f}{'*' if own > 0 else ''}" for score, own in zip(line["validation"]["centreR2"], line["centreShrinkage"]))
    crps = " ".join(f"{1e4 * (score['ratio'] - 1):+.1f}{'*' if own > 0 else ''}" for score, own in zip(line["validation"]["residualCrps"], line["residualShrinkage"]))
    return f"{line['name']}: R² by lead, parts in ten thousand: {r2}; CRPS over the base's: {crps} (*: proven)"


def main():
    asked = arguments()
    failed = run(asked)
    if failed:
        sys.exit(f"failed, models before them stay: {', '.join(failed)}")


if __name__ == "__main__":
    main()
