"""Tiny trees with the inputs and outputs of models/lgbm/*.onnx and golden pairs of them, and SciPy's PCHIP, for the tests of serving.
Run: python lgbm_fixture.py test/fixtures/lgbm test/vectors/pchip_scipy.json

Features are worked out here by numpy alone, from the bars of patchtst_fixture.py; outputs by onnxruntime. trees.onnx: two stumps for
each lead and head, but none for the centre of the second lead (a booster that early stopping left nothing of). wild.onnx has
leaves beyond all bounds.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import scipy
from onnx import TensorProto, helper, numpy_helper
from scipy.interpolate import PchipInterpolator

from patchtst_fixture import HALF_LIVES, REFERENCE, STEP, bars, calendar_of, features_of, new_york, seen_bars

LEADS = [300, 1800, 10800, 86400]
RETURNS, SIZES, RANGES, PLACES = [1, 2, 3, 5, 10, 15, 30, 60, 120, 240], [5, 15, 60, 240], [1, 12, 60], [60, 240]
NAMES = [
    *[f"level_{seconds}s" for seconds in HALF_LIVES],
    *[f"return_{n}" for n in RETURNS],
    *[f"size_{n}" for n in SIZES],
    *[f"range_{n}" for n in RANGES],
    *[f"place_{n}" for n in PLACES],
    *["zero_share", "age", "day_sin", "day_cos", "week_sin", "week_cos"],
    *[f"weekly_{lead}s" for lead in LEADS],
]


def factors_at(times: np.ndarray, week: np.ndarray) -> np.ndarray:
    local = new_york(times)
    return week[np.asarray(local.day_of_week * 288 + (local.hour * 60 + local.minute) // 5)]


def features(asset: str, candles: dict, week: np.ndarray, start: int) -> np.ndarray:
    z, _, f = seen_bars(candles, week)
    levels = features_of(asset, z, f)
    size = REFERENCE[asset] * np.sqrt(STEP / 3600) * np.exp(levels[-1])
    follows = np.flatnonzero(np.diff(candles["openTime"]) == STEP) + 1
    # Laid end to end backwards from the last close, at zero.
    after = z[::-1].cumsum()[::-1] - z
    top = np.log(candles["high"] / candles["close"])[follows] - after
    bottom = np.log(candles["low"] / candles["close"])[follows] - after

    def over(counts, value):
        return [value(slice(-n, None)) if n <= len(z) else np.nan for n in counts]

    unit = lambda own: size * np.sqrt((f[own] ** 2).sum())
    newest = np.sqrt((f[-12:] ** 2).mean())
    stretches = [np.arange(start + before, start + lead, STEP) for before, lead in zip([0, *LEADS], LEADS)]
    return np.array(
        [
            *levels,
            *over(RETURNS, lambda own: z[own].sum() / unit(own)),
            *over(SIZES, lambda own: np.abs(z[own]).sum() / (size * f[own].sum())),
            *over(RANGES, lambda own: (top[own].max() - bottom[own].min()) / unit(own)),
            *over(PLACES, lambda own: -bottom[own].min() / (top[own].max() - bottom[own].min())),
            (z[-240:] == 0).mean(),
            np.log1p((start - candles["openTime"][-1] - STEP) / STEP),
            *calendar_of(start),
            *[np.log(np.sqrt((factors_at(times, week) ** 2).mean()) / newest) for times in stretches],
        ]
    )


def stumps(name: str, random: np.random.Generator, leaf: float) -> onnx.NodeProto:
    """Two trees of one split each; a missing value goes left in the first and right in the second. The first head's ask for windows of
    240 bars, which a short history has not."""
    trees, rows = [], []
    for tree in range(2):
        low, high = random.uniform(-leaf, leaf, 2)
        feature = NAMES.index(("return_240", "size_240")[tree]) if name == "centre.0" else int(random.integers(len(NAMES)))
        rows += [(tree, 0, "BRANCH_LEQ", feature, float(random.normal(0, 0.5)), 1, 2, 1 - tree)]
        rows += [(tree, node, "LEAF", 0, 0.0, 0, 0, 0) for node in (1, 2)]
        trees += [(tree, 1, low), (tree, 2, high)]
    column = lambda i, of=rows: [row[i] for row in of]
    return helper.make_node(
        "TreeEnsembleRegressor", ["features"], [name], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=column(0), nodes_nodeids=column(1), nodes_modes=column(2), nodes_featureids=column(3),
        nodes_values=column(4), nodes_truenodeids=column(5), nodes_falsenodeids=column(6),
        nodes_missing_value_tracks_true=column(7),
        target_treeids=column(0, trees), target_nodeids=column(1, trees), target_ids=[0] * len(trees),
        target_weights=[float(value) for value in column(2, trees)],
    )  # fmt: skip


def model(leaf: float) -> onnx.ModelProto:
    random = np.random.default_rng(11)
    nodes = [
        helper.make_node("Shape", ["features"], ["shape"], end=1),
        helper.make_node("Concat", ["shape", "one"], ["column"], axis=0),
        helper.make_node("ConstantOfShape", ["column"], ["centre.1"]),
    ]
    for head in ("centre", "residual"):
        names = [f"{head}.{lead}" for lead in range(len(LEADS))]
        nodes += [stumps(name, random, leaf) for name in names if name != "centre.1"]
        nodes.append(helper.make_node("Concat", names, [head], axis=1))
    constants = [numpy_helper.from_array(np.int64([1]), "one")]
    shape = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
    outputs = [shape("centre", len(LEADS)), shape("residual", len(LEADS))]
    graph = helper.make_graph(nodes, "fixture", [shape("features", len(NAMES))], outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def case(session, start: int, count: int) -> dict:
    week = np.round(np.exp(0.4 * np.sin(np.arange(2016) * 2 * np.pi / 288)), 6)
    candles = bars(start, count, 91234.5)
    begin = int(candles["openTime"][-1]) + STEP + 120
    row = features("BTC", candles, week, begin)
    centre, residual = session.run(["centre", "residual"], {"features": row.astype(np.float32)[None]})
    return {
        "asset": "BTC",
        "candles": {name: values.tolist() for name, values in candles.items()},
        "profile": {"week": week.tolist(), "minute": [1.0] * 60},
        "startTime": begin,
        "features": [None if np.isnan(value) else value for value in row.tolist()],
        "outputs": {"centre": centre[0].astype(float).tolist(), "residual": residual[0].astype(float).tolist()},
    }


def pchip_cases() -> list[dict]:
    """Of both signs, with plateaus, turns, widths that differ by orders, and two knots alone."""
    random = np.random.default_rng(3)
    cases = []
    for knots in (2, 3, 4, 5, 6, 7, 12):
        for turn in range(4):
            x = np.concatenate([[0], np.cumsum(np.exp(random.normal(0, 2, knots - 1)))])
            y = np.concatenate([[0], random.normal(0, 1, knots - 1)])
            y = {0: y, 1: np.cumsum(np.abs(y)), 2: np.round(y), 3: y * 1e-5}[turn]
            at = np.sort(np.concatenate([x, random.uniform(0, x[-1], 20)]))
            values = PchipInterpolator(x, y)(at)
            cases.append({name: own.tolist() for name, own in [("x", x), ("y", y), ("at", at), ("values", values)]})
    return cases


def main(out: Path, vectors: Path) -> None:
    files = {"trees.onnx": model(0.4).SerializeToString(), "wild.onnx": model(400).SerializeToString()}
    session = onnxruntime.InferenceSession(files["trees.onnx"])
    # Of winter and summer time; the second is too short for the longest windows.
    starts = [int(pd.Timestamp(day, tz="UTC").timestamp()) for day in ("2026-01-05", "2026-07-08T07:35")]
    cases = [case(session, starts[0], 640), case(session, starts[1], 200)]
    files["golden.json"] = (json.dumps({"cases": cases}, allow_nan=False) + "\n").encode()
    digest = lambda name: hashlib.sha256(files[name]).hexdigest()
    entry = {
        "kind": "lgbm",
        "file": "trees.onnx",
        "sha256": digest("trees.onnx"),
        "assets": ["BTC"],
        "horizon": "24h",
        "stepSeconds": STEP,
        "leadSeconds": LEADS,
        "featureNames": NAMES,
        "calibrationSha256": "0" * 64,
        "trainingWindow": {"from": "2025-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        "gitCommit": None,
        "seed": 11,
        "rounds": {"centre": [2, 0, 2, 2], "residual": [2, 2, 2, 2]},
        "centreShrinkage": [0.5, 0, 0.25, 1],
        "residualShrinkage": [1, 0.5, 0, 1],
        "validation": {},
        "golden": {"file": "golden.json", "sha256": digest("golden.json")},
    }
    files["manifest.json"] = (json.dumps({"schema": 1, "models": {"LF-BTC": entry}}, indent=1) + "\n").encode()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
        print(name, len(content))
    provenance = f"scripts/vectors/lgbm_fixture.py, scipy {scipy.__version__}"
    vectors.write_text(json.dumps({"provenance": provenance, "cases": pchip_cases()}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
