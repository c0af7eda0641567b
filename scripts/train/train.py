"""
Trains one shared model as a residual on the EWMA engine and writes ONNX file, golden pairs and manifest entry:
    python scripts/train/train.py --model HF|LF-crypto|LF-equity --data DIR [--out models/staging]

DIR holds candles in the layout of `backtest --data`; what is derived from them (a calibration fitted before the validation part,
exported training data, checkpoints, loss.csv and loss.png) is kept under --work and taken up again where a run was cut off.
"""

import argparse
import json
import os
import subprocess
import tempfile
from datetime import datetime, timezone

import numpy as np
import torch

# Before `export` loads ONNX Runtime, which would report its use to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from dataset import read_dataset, sha256_of, source_key, split, tensors, unix
from export import git_commit, write_model
from fit import Options, Run, closed_losses, nested_losses
from score import relative_scores

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
#: Where held-out parts begin, first candles of the export (minutes exist from 2023 on), and what suited the model.
MODELS = {
    "HF": {"horizon": "1h", "from": "2023-01-01", "validation": "2025-03-01", "test": "2025-05-01"},
    "LF-crypto": {"horizon": "24h", "from": "2023-01-01", "validation": "2025-06-01", "test": "2025-09-01"},
    "LF-equity": {"horizon": "24h", "from": "2023-01-01", "validation": "2025-06-01", "test": "2025-09-01"},
}
OPTIONS = {"HF": Options(epochs=3, nested_epochs=1), "LF-crypto": Options(), "LF-equity": Options()}
#: Of the nested score of the test part: the same random numbers for both engines leave .0001 of noise in their ratio.
SCORE_PATHS, SCORE_ROWS = 200, 5000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS))
    parser.add_argument("--data", help="folder of candles")
    parser.add_argument("--out", default=os.path.join(ROOT, "models", "staging"), help="folder of manifest.json")
    parser.add_argument("--work", default=os.path.join(ROOT, "state", "train"), help="what may be deleted afterwards")
    parser.add_argument("--to", help="candles up to this date alone, so that later ones can judge the shipped model")
    parser.add_argument("--validation", help="where held-out training's validation part begins; default: by model")
    parser.add_argument("--test", help="… and its test part")
    parser.add_argument("--epochs", type=int, help="at most this many of the closed-form stage")
    parser.add_argument("--nested-epochs", type=int, help="… and of the nested CRPS")
    parser.add_argument("--kind", default="patchtst", choices=["patchtst", "static", "linear", "constant"])
    parser.add_argument("--calibration", default=os.path.join(ROOT, "models", "calibration", "ewma.json"), help="that the shipped model corrects")
    parser.add_argument("--held-out-calibration", help="one fitted before the validation part; default: fit it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="seconds: every step on synthetic rows, into a temporary folder")
    asked = parser.parse_args()
    if not asked.smoke and not (asked.model and asked.data):
        parser.error("expected --model and --data, or --smoke")
    return asked


def miner(*command: str):
    """Runs a command of the TypeScript side."""
    node = os.path.join(ROOT, "node_modules", ".bin", "node")
    subprocess.run([node, os.path.join(ROOT, "src", "main.ts"), *command], cwd=ROOT, check=True)


def exported(asked, calibration: str, name: str) -> str:
    """The training data of this calibration; an earlier export of the same one is taken."""
    path = os.path.join(asked.work, asked.model, f"{name}-{source_key(asked.data, ROOT)}.bin")
    if os.path.exists(f"{path}.json"):
        with open(f"{path}.json", encoding="utf-8") as file:
            if json.load(file)["calibration"]["sha256"] == sha256_of(calibration):
                return path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    miner("train-data", "--model", asked.model, "--data", asked.data, "--from", MODELS[asked.model]["from"],
          "--engines.calibration", os.path.abspath(calibration), "--out", path, *(["--to", asked.to] if asked.to else []))  # fmt: skip
    return path


def held_out_calibration(asked) -> str:
    """Fitted before the validation part: inside what it was fitted on every correction of it looks bad."""
    model = MODELS[asked.model]
    path = asked.held_out_calibration or os.path.join(asked.work, f"calibration-{model['horizon']}-{model['validation']}.json")
    if not os.path.exists(path):
        miner("calibrate", "--horizon", model["horizon"], "--data", asked.data, "--from", model["from"], "--to", model["validation"], "--out", path)
    return path


def score(run: Run, part) -> dict:
    """Ratio to the EWMA engine with its interval by asset, of the closed-form price score or (HF) of the validators' total."""
    if run.options.nested_epochs > 0:
        part = part.rows(np.unique(np.linspace(0, part.count - 1, SCORE_ROWS).astype(int)))
    own, rows = tensors(part), part.columns
    if run.options.nested_epochs > 0:
        scores = nested_losses(run.average, own, run.scorer, SCORE_PATHS, seed=11)
        model, base = scores[:, :2].sum(1), scores[:, 2:].sum(1)
    else:
        model, base = closed_losses(run.average, own, run.scorer)
    names = part.header["assets"]
    found = relative_scores(rows["asset"], rows["start"], model, base, names)
    count = {name: int((rows["asset"] == i).sum()) for i, name in enumerate(names)} | {"pooled": part.count}
    return {
        name: dict(zip(("ratioToEwma", "low", "high"), (None if v is None else round(float(v), 5) for v in values))) | {"prompts": count[name]}
        for name, values in found.items()
    }


def train(asked, held_out: str, shipped: str, options: Options, sizes: dict) -> dict:
    """Held-out training decides how long to train and what to claim; the shipped weights see all rows for as long."""
    model, folder = MODELS[asked.model], os.path.join(asked.work, asked.model)
    data = read_dataset(held_out)
    parts = split(data, unix(model["validation"]), unix(model["test"]))
    run = Run(parts[0], parts[1], asked.kind, options, os.path.join(folder, "held-out"), sizes)
    print(f"{asked.model}: {' / '.join(str(part.count) for part in parts)} rows, {sum(p.numel() for p in run.network.parameters())} parameters")
    epochs = run.run()
    validation = score(run, parts[2])
    print(f"test: {json.dumps(validation)}")
    everything = read_dataset(shipped)
    final = Run(everything, None, asked.kind, options, os.path.join(folder, "shipped"), sizes)
    final.run(stop=epochs)
    start = everything.columns["start"]
    window = {"from": iso(start.min()), "to": iso(start.max() + everything.header["horizonSeconds"])}
    facts = {
        "trainingWindow": window, "gitCommit": git_commit(ROOT), "seed": options.seed, "epochs": sum(epochs),
        "validation": {"from": model["test"], "kind": asked.kind, "assets": validation},
    }  # fmt: skip
    return write_model(asked.model, final.average.module, everything.header, asked.out, facts)


def iso(time: float) -> str:
    return datetime.fromtimestamp(int(time), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main():
    asked = arguments()
    torch.set_num_threads(asked.threads)
    torch.use_deterministic_algorithms(True)
    if asked.smoke:
        from smoke import smoke

        with tempfile.TemporaryDirectory() as folder:
            smoke(folder)
        return
    dates = {"validation": asked.validation, "test": asked.test}
    MODELS[asked.model].update({name: value for name, value in dates.items() if value is not None})
    chosen = {"epochs": asked.epochs, "nested_epochs": asked.nested_epochs, "seed": asked.seed}
    options = Options(**{**vars(OPTIONS[asked.model]), **{name: value for name, value in chosen.items() if value is not None}})
    held_out = exported(asked, held_out_calibration(asked), "held-out")
    entry = train(asked, held_out, exported(asked, asked.calibration, "shipped"), options, {})
    print(f"{entry['file']}: {entry['epochs']} epochs, sha256 {entry['sha256']}")


if __name__ == "__main__":
    main()
