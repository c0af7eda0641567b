"""Test vectors for src/scoring, from the rules of the subnet written out directly in float64 numpy.

Shares nothing with the TypeScript: the CRPS is the double sum, quantiles and standard deviations are numpy's own.
Run from the repository root: python3 scripts/vectors/scoring_vectors.py && npx prettier --write test/vectors/scoring
"""

import json
from pathlib import Path

import numpy as np

OUT = Path("test/vectors/scoring")
PRICE_INTERVALS = {
    "24h": [("5min", 300), ("30min", 1800), ("3hour", 10800), ("24hour_abs", 86400)],
    "1h": [("1min", 60), ("2min", 120), ("5min", 300), ("15min", 900), ("30min", 1800), ("60min_abs", 3600)]
    + [(f"0_{m}min_gaps", 60 * m) for m in range(5, 61, 5)],
}
VOL_BLOCKS = {
    "24h": [],
    "1h": [("vol_60min", 3600, 5.25 / 3), ("vol_15min", 900, 5.25 / 12), ("vol_5min", 300, 5.25 / 36)],
}


def crps(x, y):
    return np.mean(np.abs(y - x)) - np.sum(np.abs(y[:, None] - y[None, :])) / (2 * len(y) ** 2)


def observed_crps(realised, simulated):
    """Sum of the CRPS over the columns with an observation."""
    return sum(crps(x, simulated[:, t]) for t, x in enumerate(realised) if not np.isnan(x))


def price_crps(name, seconds, step, paths, real):
    k = seconds // step
    if name.endswith("_abs"):
        while len(real[::k]) == 1 and k > 1:
            k -= 1
        return observed_crps(real[::k][1:], paths[:, ::k][:, 1:]) / real[-1] * 1e4
    prices = np.vstack([real, paths])[:, ::k]
    if name.endswith("_gaps"):
        prices = prices[:, :2]
    changes = np.diff(prices) / prices[:, :-1] * 1e4
    return observed_crps(changes[0], changes[1:])


def block_volatility(returns):
    returns = returns[~np.isnan(returns)]
    return np.std(returns, ddof=1) if len(returns) >= 2 else np.nan


def vol_crps(seconds, step, paths, real):
    k = seconds // step
    rows = np.vstack([real, paths])
    returns = np.diff(rows) / rows[:, :-1] * 1e4
    whole = returns.shape[1] // k
    blocks = returns[:, : whole * k].reshape(len(rows), whole, k)
    volatility = np.array([[block_volatility(block) for block in row] for row in blocks]).reshape(len(rows), whole)
    return observed_crps(volatility[0], volatility[1:])


def scored(name, competition, step, paths, real):
    by_interval = {n: float(price_crps(n, s, step, paths, real)) for n, s in PRICE_INTERVALS[competition]}
    by_block = {n: float(vol_crps(s, step, paths, real)) for n, s, _ in VOL_BLOCKS[competition]}
    price = sum(by_interval.values())
    vol = sum(w * by_block[n] for n, _, w in VOL_BLOCKS[competition])
    return {
        "name": name,
        "competition": competition,
        "time_increment": step,
        "paths": paths.tolist(),
        "real": [None if np.isnan(x) else float(x) for x in real],
        "total": price + vol,
        "price_crps": price,
        "vol_crps": vol,
        "price_crps_by_interval": by_interval,
        "vol_crps_by_block_unweighted": by_block,
    }


def walks(rng, anchor, count, points, sigma):
    steps = 1 + sigma * rng.standard_t(4, size=(count, points - 1))
    paths = anchor * np.hstack([np.ones((count, 1)), np.cumprod(steps, axis=1)])
    return np.array([[float(f"{x:.8g}") for x in path] for path in paths])


def crps_cases(rng):
    def case(name, competition, step, points, count, anchor=100.0, sigma=1e-3, real_anchor=None, missing=()):
        paths = walks(rng, anchor, count, points, sigma)
        real = walks(rng, real_anchor or anchor, 1, points, sigma)[0]
        real[list(missing)] = np.nan
        return name, competition, step, paths, real

    yield case("1h_two_paths", "1h", 60, 61, 2)
    yield case("1h_short", "1h", 60, 13, 4)
    yield case("1h_every_other_minute_missing", "1h", 60, 61, 3, missing=range(0, 60, 2))
    yield case("1h_half_minute_steps", "1h", 30, 121, 3)
    yield case("24h_only_the_first_point", "24h", 300, 1, 3)
    yield case("24h_minute_steps", "24h", 60, 200, 3, anchor=0.00012345)
    yield case("24h_two_days", "24h", 300, 580, 2)
    yield case("24h_far_off", "24h", 300, 40, 5, real_anchor=250.0, sigma=1e-5, missing=(7, 8))
    name, competition, step, paths, real = case("24h_one_wild_path", "24h", 300, 14, 60)
    paths[0, 1:] *= 1e6
    yield name, competition, step, paths, real
    name, competition, step, paths, real = case("1h_frozen", "1h", 60, 61, 3)
    paths[:], real[:] = 100.0, 100.0
    real[30:] = 101.0
    yield name, competition, step, paths, real


def field_case(rng, count, misses, outliers):
    scores = rng.gamma(20, 100, size=count)
    scores[rng.permutation(count)[:outliers]] *= 1e4
    scores[rng.permutation(count)[:misses]] = -1
    answered = scores[scores != -1]
    cap = 10 * np.median(answered)
    miss = np.percentile(answered[answered <= cap], 95)
    filled = np.where(scores == -1, miss, np.minimum(scores, cap))
    relative = filled - filled.min()
    exponentials = np.exp(-0.15 * (relative - relative.min()))
    return {
        "scores": scores.tolist(),
        "relative": relative.tolist(),
        "miss_score": float(miss),
        "capped": [bool(x) for x in scores > cap],
        "softmax": (exponentials / exponentials.sum()).tolist(),
    }


def main():
    rng = np.random.default_rng(20261001)
    OUT.mkdir(parents=True, exist_ok=True)
    cases = [scored(*case) for case in crps_cases(rng)]
    (OUT / "crps.json").write_text(json.dumps({"cases": cases}))
    fields = [field_case(rng, *sizes) for sizes in [(1, 0, 0), (2, 1, 0), (40, 5, 0), (41, 0, 4), (100, 20, 12)]]
    (OUT / "leaderboard.json").write_text(json.dumps({"softmax_beta": -0.15, "fields": fields}))


main()
