"""Golden pairs: synthetic candles, what this file's own code makes of them, and what the network answers (src/engines/patchtst/golden.ts)."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np

from dataset import sequence_input
from network import OUTPUTS

BARS = 512
#: The reference miner's sigma per hour, and how much quieter off hours are taken to be (src/market/assets.ts, config).
REFERENCE = {"BTC": 0.00541, "NVDAX": 0.00338}
OFF_HOURS = {"BTC": 1.0, "NVDAX": 0.6}
#: Shortest history of a forecast, in bars.
MIN_BARS = 130
#: Beyond this factor (e^2.5) from the slowest one a level is cut.
MAX_SPREAD = 2.5
#: Bars of unchanged closes for this long say nothing of an open market.
STILL_SECONDS = 3600
NEW_YORK = ZoneInfo("America/New_York")
#: The week of the candles holds a holiday and an early close.
FIRST_DAY = datetime(2025, 11, 24, tzinfo=timezone.utc)
HOLIDAY, EARLY_CLOSE = "2025-11-27", "2025-11-28"


def local(time: int) -> datetime:
    """New York's clock; its offset is that of the UTC day's noon."""
    utc = datetime.fromtimestamp(time, timezone.utc)
    return (utc + utc.replace(hour=12).astimezone(NEW_YORK).utcoffset()).replace(tzinfo=None)


def week_seconds(time: int) -> int:
    here = local(time)
    return here.weekday() * 86400 + here.hour * 3600 + here.minute * 60 + here.second


def open_hours(time: int, ordinary: bool) -> bool:
    """Whether the exchange trades in the five minutes of `time`: in an ordinary week, or on that day."""
    here = local(time)
    minutes = here.hour * 60 + here.minute
    if here.weekday() > 4 or not 570 <= minutes < 960:
        return False
    return ordinary or not (str(here.date()) == HOLIDAY or (str(here.date()) == EARLY_CLOSE and minutes >= 780))


def factor(time: int, profile: dict, step: int, off_hours: float) -> float:
    value = profile["week"][week_seconds(time) // 300]
    if step < 300:
        value *= profile["minute"][time % 3600 // 60]
    if off_hours != 1 and open_hours(time, True) and not open_hours(time, False):
        value = min(value, off_hours)
    return value


def still(z: np.ndarray, bars: int) -> np.ndarray:
    """Whether a return lies in a run of at least so many zeros."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], z == 0, [0]]).astype(int)))
    marked = np.zeros(len(z), bool)
    for first, end in edges.reshape(-1, 2):
        marked[first:end] = end - first >= bars
    return marked


def bars_of(candles: dict, profile: dict, asset: str, step: int, half_lives: list[float]) -> dict:
    """Bars whose return is known, oldest first, and the levels x_k, in 64 bits: time, z, size (weekly factor), high, low, close, levels, usual."""
    time, high, low, close = (np.asarray(candles[name], float) for name in ("openTime", "high", "low", "close"))
    after = np.flatnonzero(np.diff(time) == step) + 1
    size = np.array([factor(int(t), profile, step, OFF_HOURS[asset]) for t in time[after]])
    z = np.log(close[after] / close[after - 1])
    moving = ~still(z, STILL_SECONDS // step)
    age = np.arange(moving.sum())[::-1]
    weights = [2.0 ** (-age * step / half_life) for half_life in half_lives]
    levels = np.array([(w * np.abs(z[moving])).sum() / (w * size[moving]).sum() for w in weights])
    reference = REFERENCE[asset] * np.sqrt(step / 3600)
    features = np.log(levels[-1] / reference) + np.clip(np.log(levels / levels[-1]), -MAX_SPREAD, MAX_SPREAD)
    return {
        "time": time[after], "z": z, "size": size, "high": high[after], "low": low[after], "close": close[after],
        "levels": features, "usual": levels[-1],
    }  # fmt: skip


def calendar_of(start: int) -> np.ndarray:
    here = week_seconds(start)
    angles = 2 * np.pi * np.array([here % 86400 / 86400, here / 604800])
    return np.stack([np.sin(angles), np.cos(angles)], 1).ravel()


def inputs_of(candles: dict, profile: dict, asset: str, step: int, half_lives: list[float], start: int) -> dict:
    """features, calendar, and sequence [bar, channel], in 64 bits."""
    own = bars_of(candles, profile, asset, step, half_lives)
    usual = own["usual"] * own["size"]
    bars = np.stack([own["z"] / usual, np.log(own["high"] / own["low"]) / usual], 1)[-BARS:]
    sequence = np.concatenate([np.full((BARS - len(bars), 2), np.nan), bars])
    return {"features": own["levels"], "calendar": calendar_of(start), "sequence": sequence_input(sequence)}


def synthetic(count: int, step: int, seed: int) -> tuple[dict, dict]:
    """Candles whose volatility wanders, with a few bars missing and (where there are many) a feed that stands still, and a weekly profile."""
    random = np.random.default_rng(seed)
    sigma = 0.006 * np.sqrt(step / 3600) * np.exp(np.cumsum(random.normal(0, 0.03, count)))
    close = 100 * np.exp(np.cumsum(sigma * random.standard_t(5, count)))
    wick = np.exp(sigma * random.exponential(0.5, (2, count)))
    frozen = slice(count - 300, count - 200) if count > 1000 else slice(0)
    close[frozen], wick[:, frozen] = close[count - 300], 1
    before = np.concatenate([[100.0], close[:-1]])
    time = int(FIRST_DAY.timestamp()) + step * np.arange(count)
    kept = random.random(count) > 0.01
    columns = {"open": before, "high": np.maximum(before, close) * wick[0], "low": np.minimum(before, close) / wick[1], "close": close}
    candles = {"openTime": time[kept].tolist()} | {name: [float(f"{v:.7g}") for v in own[kept]] for name, own in columns.items()}
    at = np.arange(2016) / 2016
    week = 1 + 0.3 * np.sin(14 * np.pi * at) + 0.1 * np.cos(2 * np.pi * at) + random.normal(0, 0.03, 2016)
    minute = 1 + random.normal(0, 0.1, 60)
    return candles, {"week": week.round(4).tolist(), "minute": minute.round(4).tolist()}


def golden_cases(model: str, header: dict, answer) -> list[dict]:
    """`answer(sequence, features, calendar)`: the exported network's outputs by name, one row. A long history and a short one."""
    asset = "NVDAX" if model == "LF-equity" else "BTC"
    step = header["stepSeconds"]
    cases = []
    for seed, count in ((1, 1500), (2, MIN_BARS + 20)):
        candles, profile = synthetic(count, step, seed)
        start = candles["openTime"][-1] + step + 60
        found = inputs_of(candles, profile, asset, step, header["halfLifeSeconds"], start)
        outputs = answer(**{name: value[None].astype(np.float32) for name, value in found.items()})
        sequence = found["sequence"].astype(float).ravel()
        cases.append(
            {
                "asset": asset,
                "candles": candles,
                "profile": profile,
                "offHoursMultiplier": OFF_HOURS[asset],
                "startTime": start,
                "features": found["features"].tolist(),
                "calendar": found["calendar"].tolist(),
                "sequence": {
                    "first": sequence[:96].tolist(),
                    "last": sequence[-96:].tolist(),
                    "sum": float(sequence.sum()),
                    "sumOfSquares": float((sequence**2).sum()),
                },
                "outputs": {name: outputs[name][0].astype(float).tolist() for name in OUTPUTS},
            }
        )
    return cases
