"""Every step of the boosters' training on synthetic rows, in seconds; raises where one does not do what it says."""

import json
import os
from types import SimpleNamespace

import numpy as np

import lgbm
from dataset import read_dataset, sha256_of, unix
from lgbm_data import GRID, LEADS_PER_ROW, LossCurves, crps, drawn_leads, lead_rows
from lgbm_fit import Plan, believed, rolling, shipped
from lgbm_onnx import PARITY, check_parity, rounded_down, write_onnx
from synthetic_file import gaussian_crps, write_file

ROWS, STEPS, STEP = 3000, 60, 60
LEADS = [60, 300, 3600]
NAMES = [
    "level_3600s", "level_14400s", "level_86400s", "return_1", "return_240", "size_5", "range_12", "place_60", "zero_share",
    "age", "day_sin", "day_cos", "week_sin", "week_cos", "weekly_60s", "weekly_300s", "weekly_3600s",
]  # fmt: skip
#: Columns that tell the next minutes' return, and (the range) how much larger the moves are than the base says.
TELLING, WILD = NAMES.index("return_1"), NAMES.index("range_12")
PLAN = Plan("1h", 1, 1)


def lgbm_smoke(folder: str):
    os.makedirs(folder)
    check_losses()
    check_sampling()
    path = os.path.join(folder, "HF-BTC.bin")
    write_rows(path)
    leads = lead_rows(read_dataset(path), 1)
    check_targets(path, leads)
    check_nothing_leaks(leads)
    check_export(folder, leads)
    check_training(folder, path)


def write_rows(path: str):
    """A market whose first five minutes follow return_1 until the rest of the hour takes it back, and whose moves are as large as range_12 says; the rest is noise."""
    random = np.random.default_rng(4)
    features = random.normal(0, 1, (ROWS, len(NAMES)))
    features[:, WILD] = np.abs(features[:, WILD])
    size = np.exp(0.3 * (features[:, WILD] - 0.8))[:, None]
    returns = 0.001 * size * random.normal(0, 1, (ROWS, STEPS))
    drift = 0.0004 * size * np.tanh(features[:, [TELLING]])
    returns += np.where(np.arange(STEPS) < 5, drift, -drift * 5 / (STEPS - 5))
    prices = np.concatenate([np.zeros((ROWS, 1)), returns.cumsum(1)], 1)
    prices[random.random(prices.shape) < 0.01] = np.nan
    features[random.random(features.shape) < 0.05] = np.nan
    lengths = [1, 5, STEPS]
    arrays = {
        "asset": np.zeros(ROWS, "f4"), "start": unix("2025-01-01") + 1200.0 * np.arange(ROWS), "baseLogSigma": np.full((ROWS, STEPS), np.log(0.001), "f4"),
        "zeroShare": np.zeros(ROWS, "f4"), "features": features.astype("f4"), "logPrices": prices.astype("f4"),
        **{f"crps{length}": gaussian_crps(np.arange(801) / 100) for length in lengths},
    }  # fmt: skip
    blocks = [
        {"steps": n, "firstSteps": list(range(0, STEPS, n)), "weights": [1] * (STEPS // n), "ratioWeights": [float(n == own) for own in lengths]}
        for n in lengths
    ]  # fmt: skip
    header = {
        "model": "HF-BTC", "horizonSeconds": STEPS * STEP, "stepSeconds": STEP, "assets": ["BTC"], "ratioSeconds": [300, 3600], "varianceRatios": [[1, 1]],
        "blocks": blocks, "featureNames": NAMES, "leadSeconds": LEADS,
    }  # fmt: skip
    write_file(path, arrays, header)


def check_losses():
    """The tabulated CRPS is the closed form's of a normal, and the curves' derivatives are those of their values."""
    u = np.array([0.0, 0.7, 2.3, 12.0])
    table = gaussian_crps(np.arange(801) / 100)
    np.testing.assert_allclose(crps(u, table), gaussian_crps(u), atol=1e-4)
    size = np.abs(np.random.default_rng(1).normal(0, 1, (50, 20)))
    exact = lambda shift: (np.exp(shift) * gaussian_crps((size / np.exp(shift)).ravel()).reshape(size.shape)).sum(1)  # noqa: E731
    curves = LossCurves(np.stack([exact(shift) for shift in GRID], 1))
    at = np.random.default_rng(2).uniform(-0.4, 0.4, 50)
    value, gradient, hessian = curves.at(at)
    np.testing.assert_allclose(value, [exact(shift)[i] for i, shift in enumerate(at)], rtol=2e-3)
    step = 1e-5
    np.testing.assert_allclose(gradient, (curves.at(at + step)[0] - curves.at(at - step)[0]) / (2 * step), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(hessian, (curves.at(at + step)[1] - curves.at(at - step)[1]) / (2 * step), rtol=1e-3, atol=1e-2)
    assert believed(1.0, -0.1, 2.1) == 0 and 0.7 < believed(1.0, 0.001, 1.999) < 0.75 and believed(1.0, 0.9, 1.1) > 0.99


def check_sampling():
    drawn = drawn_leads(900, 6, 1)
    assert (drawn.sum(1) == LEADS_PER_ROW).all() and abs(drawn.mean(0) - 1 / 3).max() < 0.06
    np.testing.assert_array_equal(drawn, drawn_leads(900, 6, 1))


def check_targets(path: str, leads):
    """By hand, of one row: the return to five minutes over sqrt(5) steps, and the four one-minute blocks of (1, 5] minutes."""
    data = read_dataset(path)
    prices = data.columns["logPrices"].astype(float)
    row = int(np.flatnonzero(np.isfinite(prices[:, :6]).all(1))[0])
    sigma = np.exp(float(data.columns["baseLogSigma"][row, 0]))
    np.testing.assert_allclose(leads[1].target[row], (prices[row, 5] - prices[row, 0]) / (sigma * 5**0.5), rtol=1e-6)
    expected = (sigma * gaussian_crps(np.abs(np.diff(prices[row, 1:6])) / sigma)).sum() * 1e4
    np.testing.assert_allclose(leads[1].losses[row, np.argmin(np.abs(GRID))], expected, rtol=1e-3)
    np.testing.assert_allclose(leads[1].scale[row], 4 * sigma * 1e4, rtol=1e-6)


def check_nothing_leaks(leads):
    """What is predicted of the first test fold knows nothing of its own targets or of later rows."""
    rows = leads[0]
    clean, _ = rolling(rows, "centre", PLAN)
    first = int(np.flatnonzero(np.isfinite(clean))[0])
    fold = slice(first, first + 250)
    target = np.where(np.arange(ROWS) >= first - 3, -5.0, rows.target)
    changed, _ = rolling(type(rows)(rows.features, rows.start, target, rows.losses, rows.scale, rows.drawn), "centre", PLAN)
    np.testing.assert_array_equal(changed[fold], clean[fold])
    assert np.nanmax(np.abs(changed[-200:] - clean[-200:])) > 0.01 and clean[fold].std() > 0


def check_export(folder: str, leads):
    """The file decides as LightGBM does at and around its splits and where values are missing; another model's answers are refused."""
    assert rounded_down(0.1) == float(np.nextafter(np.float32(0.1), np.float32(0))) and rounded_down(0.5) == 0.5
    boosters = shipped(leads, {"centre": [30, 0, 5], "residual": [0, 20, 0]}, PLAN)
    path = os.path.join(folder, "export.onnx")
    write_onnx(boosters, len(NAMES), path)
    assert check_parity(path, boosters, leads[0].features, 1) <= PARITY
    other = shipped(leads, {"centre": [29, 0, 5], "residual": [0, 20, 0]}, PLAN)
    try:
        check_parity(path, other, leads[0].features, 1)
    except ValueError:
        return
    raise AssertionError("expected a file of another model to be refused")


def check_training(folder: str, path: str):
    """What can be told is found and proven, what cannot is not; other entries of the manifest stay; decisions can be taken over."""
    out = os.path.join(folder, "models")
    os.makedirs(out)
    with open(os.path.join(out, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump({"schema": 1, "models": {"HF": {"kind": "patchtst"}}}, file)
    asked = SimpleNamespace(until=None, seed=1, model_dir=out)
    line = lgbm.train(asked, "HF-BTC", path, None)
    entry = manifest_of(out)["HF-BTC"]
    assert manifest_of(out)["HF"] == {"kind": "patchtst"} and entry["sha256"] == sha256_of(os.path.join(out, entry["file"]))
    scores = entry["validation"]["centreR2"]
    assert scores[0]["low"] > 0.02 and scores[1]["low"] > 0.02 and min(entry["centreShrinkage"][:2]) > 0.5, line
    assert entry["centreShrinkage"][2] < 0.5 and scores[2]["r2"] < 0.02, line
    assert all(score["high"] < 1 for score in entry["validation"]["residualCrps"]) and min(entry["residualShrinkage"]) > 0.2, line
    assert line["parity"] <= PARITY and entry["rounds"]["residual"][0] <= 60
    with open(os.path.join(out, entry["golden"]["file"]), encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    assert any(value is None for value in cases[1]["features"]) and len(cases[0]["outputs"]["centre"]) == len(LEADS)
    held_out = {key: entry[key] for key in ("trainingWindow", "calibrationSha256")}
    known = entry | {"centreShrinkage": [0.1, 0.2, 0.3], "rounds": {"centre": [3, 2, 1], "residual": [1, 0, 2]}}
    lgbm.train(asked, "HF-BTC", path, known)
    again = manifest_of(out)["HF-BTC"]
    assert again["centreShrinkage"] == [0.1, 0.2, 0.3] and again["rounds"] == known["rounds"] and again["sha256"] != entry["sha256"]
    assert again["validation"]["heldOut"] == held_out and "heldOut" not in entry["validation"]


def manifest_of(out: str) -> dict:
    with open(os.path.join(out, "manifest.json"), encoding="utf-8") as file:
        return json.load(file)["models"]
