"""A tiny network with the inputs and outputs of models/patchtst/*.onnx, and golden pairs of it, for the tests of serving.
Run: python patchtst_fixture.py test/fixtures/models

Features, calendar and sequence are worked out here by numpy and pandas' time zones alone, from seeded random bars; outputs by
onnxruntime. wild.onnx has the same interface without bounds.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

STEP, BARS, CLIP = 300, 512, 50.0
HALF_LIVES, KNOTS, RATIOS = [1800, 86400], [0, 43200], [3600]
#: Hourly sigma of the reference miner, as in src/market/assets.ts.
REFERENCE = {"BTC": 0.00541, "ETH": 0.00766}
MAX_SPREAD = 2.5

rng = np.random.default_rng(20261121)


def bars(start: int, count: int, price: float) -> dict:
    """Seeded, with one hole and volatility that changes by regime."""
    times = start + STEP * np.arange(count)
    sigma = 6e-4 * np.exp(0.6 * np.sin(np.arange(count) / 90))
    close = price * np.exp(np.cumsum(sigma * rng.standard_t(5, count)))
    opening = np.concatenate([[price], close[:-1]])
    wick = np.exp(np.abs(rng.normal(0, sigma, count)))
    kept = (np.arange(count) < 400) | (np.arange(count) >= 407)
    columns = {
        "openTime": times,
        "open": opening.round(2),
        "high": (np.maximum(opening, close) * wick).round(2),
        "low": (np.minimum(opening, close) / wick).round(2),
        "close": close.round(2),
    }
    return {name: values[kept] for name, values in columns.items()}


def new_york(times) -> pd.DatetimeIndex:
    return pd.to_datetime(np.asarray(times), unit="s", utc=True).tz_convert("America/New_York")


def seen_bars(candles: dict, week: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times, close = candles["openTime"], candles["close"]
    follows = np.diff(times) == STEP
    local = new_york(times[1:][follows])
    factor = week[np.asarray(local.day_of_week * 288 + (local.hour * 60 + local.minute) // 5)]
    moves = np.diff(np.log(close))[follows]
    ranges = np.log(candles["high"] / candles["low"])[1:][follows]
    return moves, ranges, factor


def features_of(asset: str, moves: np.ndarray, factor: np.ndarray) -> np.ndarray:
    def mean(values: np.ndarray, half_life: int) -> float:
        return pd.Series(values).ewm(halflife=half_life / STEP, adjust=True).mean().iloc[-1]

    levels = [mean(np.abs(moves), half_life) / mean(factor, half_life) for half_life in HALF_LIVES]
    slowest = np.log(levels[-1] / (REFERENCE[asset] * np.sqrt(STEP / 3600)))
    return slowest + np.clip(np.log(np.array(levels) / levels[-1]), -MAX_SPREAD, MAX_SPREAD)


def calendar_of(start: int) -> np.ndarray:
    local = new_york([start])[0]
    day = (local.hour * 3600 + local.minute * 60 + local.second) / 86400
    angles = 2 * np.pi * np.array([day, (local.day_of_week + day) / 7])
    return np.stack([np.sin(angles), np.cos(angles)], 1).ravel()


def sequence_of(asset, moves, ranges, factor, features) -> np.ndarray:
    size = REFERENCE[asset] * np.sqrt(STEP / 3600) * np.exp(features[-1]) * factor
    rows = np.stack([np.clip(moves / size, -CLIP, CLIP), np.minimum(ranges / size, CLIP), np.ones(len(size))], 1)[-BARS:]
    return np.concatenate([np.zeros((BARS - len(rows), 3)), rows])


def network(bound: bool) -> onnx.ModelProto:
    """Linear in the bars' means, features and calendar; `bound`: through tanh and sigmoid as the real ones."""
    weights = np.random.default_rng(7)
    inputs = 3 + len(HALF_LIVES) + 4
    heads = {
        "delta_log_sigma": (len(KNOTS), 0.7, 0.0, "Tanh"),
        "delta_log_ratio": (len(RATIOS), 0.3, 0.0, "Tanh"),
        "nu": (1, 20.0, 3.0, "Sigmoid"),
        "tau": (1, 0.9, 0.0, "Sigmoid"),
        "half_life_seconds": (1, 20000.0, 600.0, "Sigmoid"),
        "mu": (len(KNOTS), 0.0, 0.0, "Tanh"),
    }
    constants, nodes = [], []

    def constant(name: str, values) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    nodes.append(helper.make_node("ReduceMean", ["sequence"], ["pooled"], axes=[1], keepdims=0))
    nodes.append(helper.make_node("Concat", ["pooled", "features", "calendar"], ["joined"], axis=1))
    for name, (width, scale, offset, squash) in heads.items():
        kernel = constant(f"{name}.weight", weights.normal(0, 0.3, (inputs, width)))
        nodes.append(helper.make_node("MatMul", ["joined", kernel], [f"{name}.raw"]))
        nodes.append(helper.make_node(squash if bound else "Identity", [f"{name}.raw"], [f"{name}.unit"]))
        if not bound:
            scale *= 100
        nodes.append(helper.make_node("Mul", [f"{name}.unit", constant(f"{name}.scale", scale)], [f"{name}.scaled"]))
        nodes.append(helper.make_node("Add", [f"{name}.scaled", constant(f"{name}.offset", offset)], [name]))
    shape = lambda name, *sizes: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])
    given = [shape("sequence", BARS, 3), shape("features", len(HALF_LIVES)), shape("calendar", 4)]
    graph = helper.make_graph(nodes, "fixture", given, [shape(n, h[0]) for n, h in heads.items()], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def case(session, asset: str, start: int, count: int, price: float, flat: bool) -> dict:
    week = np.round(np.exp(0.4 * np.sin(np.arange(2016) * 2 * np.pi / 288)), 6)
    candles = bars(start, count, price)
    moves, ranges, factor = seen_bars(candles, week)
    features = features_of(asset, moves, factor)
    # A minute later than the last bar's close, on the grid of minutes.
    begin = int(candles["openTime"][-1]) + STEP + 120
    calendar = calendar_of(begin)
    sequence = sequence_of(asset, moves, ranges, factor, features)
    fed = {"sequence": sequence[None], "features": features[None], "calendar": calendar[None]}
    outputs = session.run(None, {name: values.astype(np.float32) for name, values in fed.items()})
    names = [output.name for output in session.get_outputs()]
    rows = sequence.ravel()
    ends = {"first": rows[:96].tolist(), "last": rows[-96:].tolist(), "sum": rows.sum(), "sumOfSquares": (rows**2).sum()}
    return {
        "asset": asset,
        "candles": {name: values.tolist() for name, values in candles.items()},
        "profile": {"week": week.tolist(), "minute": [1.0] * 60},
        "startTime": begin,
        "features": features.tolist(),
        "calendar": calendar.tolist(),
        "sequence": rows.tolist() if flat else ends,
        "outputs": {name: values[0].astype(float).tolist() for name, values in zip(names, outputs)},
    }


def main(out: Path) -> None:
    files = {"tiny.onnx": network(True).SerializeToString(), "wild.onnx": network(False).SerializeToString()}
    session = onnxruntime.InferenceSession(files["tiny.onnx"])
    # Of winter and summer time; the second has fewer bars than a sequence.
    monday = int(pd.Timestamp("2026-01-05", tz="UTC").timestamp())
    summer = int(pd.Timestamp("2026-07-08T07:35", tz="UTC").timestamp())
    cases = [case(session, "BTC", monday, 640, 91234.5, False), case(session, "ETH", summer, 300, 3456.7, True)]
    files["golden.json"] = (json.dumps({"cases": cases}) + "\n").encode()
    digest = lambda name: hashlib.sha256(files[name]).hexdigest()
    entry = {
        "kind": "patchtst",
        "file": "tiny.onnx",
        "sha256": digest("tiny.onnx"),
        "assets": ["BTC", "ETH"],
        "horizon": "24h",
        "stepSeconds": STEP,
        "sequenceLength": BARS,
        "channels": ["return", "range", "mask"],
        "featureHalfLifeSeconds": HALF_LIVES,
        "knotSeconds": KNOTS,
        "ratioSeconds": RATIOS,
        "normalisation": {},
        "calibrationSha256": "0" * 64,
        "trainingWindow": {"from": "2025-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        "gitCommit": None,
        "seed": 7,
        "epochs": 0,
        "validation": {},
        "mu": "zero: brought nothing",
        "golden": {"file": "golden.json", "sha256": digest("golden.json")},
    }
    files["manifest.json"] = (json.dumps({"schema": 1, "models": {"LF-crypto": entry}}, indent=1) + "\n").encode()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
        print(name, len(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
