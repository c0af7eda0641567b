"""Boosters of one asset: early stopping and honest scores on a rolling split by time, then the shipped ones on all rows."""

from dataclasses import dataclass

import lightgbm
import numpy as np

from lgbm_data import LeadRows, LossCurves
from score import interval

#: Test folds at the end of the recordings, and the part of the rows that they share.
FOLDS, TEST_SHARE = 4, 0.4
#: Of the rows before a test fold: the newest ones, which early stopping watches.
VALIDATION_SHARE = 0.2
#: Of an asset, and of a lead's share of a part: with fewer nothing is fitted.
MIN_ROWS, MIN_DRAWN = 500, 300
#: Beside the horizon itself between the end of one part's last horizon and the next part's first start.
EMBARGO_SECONDS = 120
HALF_LIFE_DAYS = {"1h": 14, "24h": 60}
#: Days of a bootstrap block; a result in fewer than MIN_BLOCKS has no interval.
BLOCK_DAYS = {"1h": 1, "24h": 5}
MIN_BLOCKS, DRAWS = 8, 2000
PATIENCE = 15
#: An early stop that gained less than this part of the loss learnt nothing.
MIN_GAIN = 1e-5
#: Below this the second derivative of a row's loss is taken for noise.
HESSIAN_FLOOR = 0.1
SMALL = {
    "num_leaves": 6, "max_depth": 3, "min_data_in_leaf": 100, "min_sum_hessian_in_leaf": 40, "lambda_l2": 40, "max_bin": 63,
    "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "deterministic": True, "force_col_wise": True,
    "boost_from_average": False, "verbosity": -1, "metric": "None",
}  # fmt: skip
HEADS = {"centre": {"learning_rate": 0.03, "rounds": 150}, "residual": {"learning_rate": 0.08, "rounds": 60}}


@dataclass(frozen=True)
class Plan:
    horizon: str
    seed: int
    threads: int

    @property
    def embargo(self) -> int:
        return 2 * (3600 if self.horizon == "1h" else 86400) + EMBARGO_SECONDS


class CentreHead:
    """Squared error of the standardised return."""

    def __init__(self, rows: LeadRows, seen: np.ndarray):
        self.target = np.clip(rows.target[seen], -4, 4)

    def objective(self, prediction):
        return prediction - self.target, np.ones(len(self.target))

    def loss(self, prediction) -> float:
        return float(((prediction - self.target) ** 2).mean())


class ResidualHead:
    """CRPS of the scored blocks relative to what the base expects of the row, by gradient of its curve."""

    def __init__(self, rows: LeadRows, seen: np.ndarray):
        self.curves = LossCurves(rows.losses[seen] / rows.scale[seen, None])
        self.usual = float(self.curves.at(np.zeros(int(seen.sum())))[0].mean())

    def objective(self, prediction):
        _, gradient, hessian = self.curves.at(prediction)
        return gradient / self.usual, np.maximum(hessian / self.usual, HESSIAN_FLOOR)

    def loss(self, prediction) -> float:
        return float(self.curves.at(prediction)[0].mean() / self.usual)


HEAD_OF = {"centre": CentreHead, "residual": ResidualHead}


def usable(rows: LeadRows, head: str) -> np.ndarray:
    return np.isfinite(rows.target) if head == "centre" else np.isfinite(rows.losses[:, 0])


def weights_of(start: np.ndarray, horizon: str) -> np.ndarray:
    return 2.0 ** ((start - start.max()) / (HALF_LIFE_DAYS[horizon] * 86400))


def boost(rows: LeadRows, head: str, train: np.ndarray, plan: Plan, rounds: int, validation: np.ndarray | None = None):
    """A booster of `rounds` trees; with a validation part its best number of trees, 0 where none is better than no correction."""
    if rounds == 0:
        return None, 0
    train = train & usable(rows, head) & rows.drawn
    if train.sum() < MIN_DRAWN:
        return None, 0
    own = HEAD_OF[head](rows, train)
    weight = weights_of(rows.start[train], plan.horizon)

    def objective(prediction, _):
        gradient, hessian = own.objective(prediction)
        return gradient * weight, hessian * weight

    options = {**SMALL, "learning_rate": HEADS[head]["learning_rate"], "seed": plan.seed, "num_threads": plan.threads, "objective": objective}
    data = lightgbm.Dataset(rows.features[train], np.zeros(int(train.sum())), params={"verbosity": -1, "max_bin": SMALL["max_bin"]})
    if validation is None:
        return lightgbm.train(options, data, rounds), rounds
    validation = validation & usable(rows, head)
    if validation.sum() < MIN_DRAWN // 4:
        return None, 0
    watched = HEAD_OF[head](rows, validation)
    found = lightgbm.train(
        options, data, rounds,
        valid_sets=[data.create_valid(rows.features[validation], np.zeros(int(validation.sum())))],
        feval=lambda prediction, _: ("loss", watched.loss(prediction), False),
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )  # fmt: skip
    gained = watched.loss(np.zeros(int(validation.sum()))) * (1 - MIN_GAIN) > found.best_score["valid_0"]["loss"]
    return found, found.best_iteration if gained else 0


def predict(booster, features: np.ndarray) -> np.ndarray:
    return np.zeros(len(features)) if booster is None else booster.predict(features)


def rolling(rows: LeadRows, head: str, plan: Plan) -> tuple[np.ndarray, list[int]]:
    """
    Predictions of the test folds (NaN elsewhere) by boosters that saw only what had ended before their fold, and the trees
    of each: as many as the newest part before the fold liked best.
    """
    start, end = rows.start, rows.start + plan.embargo
    edges = start[np.linspace(len(start) * (1 - TEST_SHARE), len(start) - 1, FOLDS + 1).astype(int)]
    edges[-1] = np.inf
    found, rounds = np.full(len(start), np.nan), []
    for first, last in zip(edges, edges[1:]):
        before = end <= first
        if before.sum() < MIN_ROWS:
            continue
        watched_from = start[before][int(before.sum() * (1 - VALIDATION_SHARE))]
        _, best = boost(rows, head, end <= watched_from, plan, HEADS[head]["rounds"], before & (start >= watched_from))
        booster, _ = boost(rows, head, before, plan, best)
        test = (start >= first) & (start < last)
        found[test] = predict(booster, rows.features[test])
        rounds.append(best)
    return found, rounds


def bootstrap(start: np.ndarray, sums: np.ndarray, horizon: str, seed: int) -> np.ndarray | None:
    """[draw, column]: sums of the columns of `sums` [row, column] over blocks of calendar time drawn again; None: too few blocks."""
    block = np.unique((start // (BLOCK_DAYS[horizon] * 86400)).astype(int), return_inverse=True)[1]
    count = block.max(initial=-1) + 1
    if count < MIN_BLOCKS:
        return None
    by_block = np.stack([np.bincount(block, column, count) for column in sums.T], 1)
    draws = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    return by_block[draws].sum(1)


def believed(gain: float, low: float, high: float) -> float:
    """
    What part of a proven gain with this 95 % interval to count on: 1 - 1/z² with z the gain in standard errors (the positive part
    of James & Stein 1961), 0 where the interval reaches 0.
    """
    return max(1 - ((high - low) / (2 * 1.96 * gain)) ** 2, 0.0) if low > 0 else 0.0


def centre_score(rows: LeadRows, prediction: np.ndarray, plan: Plan) -> tuple[dict, float]:
    """R² out of sample against no drift, and the shrinkage that it supports: 0 unless its lower bound is above 0."""
    seen = np.isfinite(prediction) & np.isfinite(rows.target)
    y, f = rows.target[seen], prediction[seen]
    if not f.any():
        return {"r2": 0.0, "low": None, "high": None, "rows": int(seen.sum())}, 0.0
    gain, total = y**2 - (y - f) ** 2, y**2
    r2 = gain.sum() / total.sum()
    drawn = bootstrap(rows.start[seen], np.stack([gain, total], 1), plan.horizon, plan.seed)
    if drawn is None:
        return {"r2": round(float(r2), 6), "low": None, "high": None, "rows": int(seen.sum())}, 0.0
    low, high = interval(drawn[:, 0] / drawn[:, 1])
    slope = float(np.clip((y * f).sum() / (f**2).sum(), 0, 1))
    scores = {"r2": round(float(r2), 6), "low": round(float(low), 6), "high": round(float(high), 6), "rows": int(seen.sum())}
    return scores, round(float(slope * believed(r2, low, high)), 4)


def residual_score(rows: LeadRows, prediction: np.ndarray, plan: Plan) -> tuple[dict, float]:
    """CRPS over the base's out of sample, and the shrinkage that it supports: 0 unless its upper bound is below 1."""
    seen = np.isfinite(prediction) & usable(rows, "residual")
    f = prediction[seen]
    if not f.any():
        return {"ratio": 1.0, "low": None, "high": None, "rows": int(seen.sum())}, 0.0
    curves = LossCurves(rows.losses[seen])
    base = curves.at(np.zeros(len(f)))[0]
    tried = {share: curves.at(share * f)[0] for share in (0.25, 0.5, 0.75, 1.0)}
    share, own = min(tried.items(), key=lambda one: one[1].sum())
    ratio = own.sum() / base.sum()
    drawn = bootstrap(rows.start[seen], np.stack([own, base], 1), plan.horizon, plan.seed)
    if drawn is None:
        return {"ratio": round(float(ratio), 6), "low": None, "high": None, "rows": int(seen.sum())}, 0.0
    low, high = interval(drawn[:, 0] / drawn[:, 1])
    scores = {"ratio": round(float(ratio), 6), "low": round(float(low), 6), "high": round(float(high), 6), "rows": int(seen.sum())}
    return scores, round(float(share * believed(1 - ratio, 1 - high, 1 - low)), 4)


SCORE_OF = {"centre": centre_score, "residual": residual_score}


def validated(leads: list[LeadRows], plan: Plan, tick=lambda: None) -> dict:
    """By head: trees, shrinkages and scores, by lead."""
    found = {}
    for head, score in SCORE_OF.items():
        results = []
        for rows in leads:
            prediction, rounds = rolling(rows, head, plan)
            scores, shrinkage = score(rows, prediction, plan)
            results.append((int(round(np.mean(rounds))) if rounds else 0, shrinkage, {**scores, "foldRounds": rounds}))
            tick()
        names = ("rounds", "shrinkage", "scores")
        found[head] = dict(zip(names, map(list, zip(*results))))
    return found


def shipped(leads: list[LeadRows], rounds: dict[str, list[int]], plan: Plan) -> dict:
    """By head and lead: the booster of all rows, None without trees."""
    everything = np.ones(len(leads[0].start), bool)
    return {
        head: [boost(rows, head, everything, plan, count)[0] for rows, count in zip(leads, counts)] for head, counts in rounds.items()
    }
