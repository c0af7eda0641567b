"""Test vectors of the weekly rhythm, made by numpy and pandas: prints JSON.
Run: python weekly_profile.py > test/vectors/weekly_profile.json

- counting: |log return| over its own slow level, by bin of the New York week (pandas' time zone data) and minute of the hour.
- profiles: pooling and smoothing of such means, convolutions by FFT; every seventh bin of the week and every minute.
- levels: `Series.ewm(halflife, adjust=True, ignore_na=True).mean()` of |log returns| over that of their factors, of a series with holes.
"""

import json
import numpy as np
import pandas as pd
import scipy.stats

rng = np.random.default_rng(20260301)
EPOCH = pd.Timestamp("2026-01-01", tz="UTC").timestamp()
HALF_LIFE = 120 * 86_400
DAY_BINS, WEEK_BINS = 288, 2016
SHOWN = slice(None, None, 7)


def digits(values, count=3):
    return [float(f"{value:.{count}g}") for value in values]


def new_york(times):
    return pd.to_datetime(np.asarray(times), unit="s", utc=True).tz_convert("America/New_York")


def week_bin(times):
    local = new_york(times)
    return np.asarray(local.day_of_week * DAY_BINS + (local.hour * 60 + local.minute) // 5)


# --- counting


def count_returns(times, returns, step, bins, length):
    frame = pd.DataFrame({"t": times, "size": np.abs(returns)})
    ewm = frame["size"].ewm(halflife=3.5 * 86_400 / step, adjust=True).mean().shift(1)
    mass = 1 - 2.0 ** (-step * np.arange(len(frame)) / (3.5 * 86_400))
    seen = (mass >= 0.1) & (ewm > 0).to_numpy()
    weight = 2.0 ** ((frame["t"] - EPOCH) / HALF_LIFE)
    ratio = (frame["size"] / ewm).clip(upper=8)
    total = pd.DataFrame({"bin": bins, "sum": weight * ratio, "weight": weight})[seen].groupby("bin").sum()
    return total.reindex(range(length), fill_value=0.0)


def series(start, step, count):
    times = start + step * np.arange(count)
    returns = digits(0.001 * rng.standard_t(3, count))
    returns[5 * count // 6] = 0.4  # an outlier, to be capped
    returns[count // 3] = 0.0
    return times, np.array(returns)


five_times, five_returns = series(int(pd.Timestamp("2026-03-13T10:00Z").timestamp()), 300, 500)
minute_times, minute_returns = series(int(pd.Timestamp("2026-03-10T01:00Z").timestamp()), 60, 1000)
five = count_returns(five_times, five_returns, 300, week_bin(five_times), WEEK_BINS)
minute = count_returns(minute_times, minute_returns, 60, (minute_times // 60) % 60, 60)
nonzero = five[five["weight"] > 0]
counting = {
    "five_minute": {"from": int(five_times[0]), "returns": list(five_returns)},
    "minute": {"from": int(minute_times[0]), "returns": list(minute_returns)},
    "week": [[int(bin), float(row["sum"]), float(row["weight"])] for bin, row in nonzero.iterrows()],
    "minute_sum": list(minute["sum"]),
    "minute_weight": list(minute["weight"]),
}

# --- profiles


def smooth(values, bandwidth):
    length = len(values)
    reach = min(int(np.ceil(4 * bandwidth)), (length - 1) // 2)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.zeros(length)
    kernel[offsets % length] = np.exp(-0.5 * (offsets / bandwidth) ** 2)
    return np.fft.irfft(np.fft.rfft(values) * np.fft.rfft(kernel / kernel.sum()), length)


def profile(stats, prior, sessions):
    newest = 2.0 ** ((stats["until"] - EPOCH) / HALF_LIFE)
    share = np.zeros((7, DAY_BINS))
    share[:5, 9 * 12 + 6 : 16 * 12] = 1
    share = share.ravel()
    weekend = np.arange(WEEK_BINS) >= 5 * DAY_BINS
    means = share + (1 - share) * np.where(weekend, sessions**2, sessions) if sessions else np.ones(WEEK_BINS)
    weights = np.full(WEEK_BINS, 0.5)
    live_weight = np.array(stats["week_weight"])
    live = np.divide(stats["week_sum"], live_weight, out=np.zeros(WEEK_BINS), where=live_weight > 0)
    layers = [(np.array(prior["week"]), np.array(prior["week_weight"]))] if prior else []
    for mean, weight in [*layers, (live, live_weight / newest)]:
        if weight.sum() == 0:
            continue
        both = scipy.stats.hmean([np.maximum(weight, 1e-300), weights], axis=0) * (weight > 0)
        level = np.average(mean, weights=both) / np.average(means, weights=both)
        means = np.average([means, mean / level], weights=[weights, weight], axis=0)
        weights = weights + weight

    frame = pd.DataFrame({"hour": np.arange(WEEK_BINS) % 12, "sum": means * weights, "weight": weights})
    frame["smooth"] = weights * smooth(means * weights, 6) / smooth(weights, 6)
    by_hour = frame.groupby("hour").sum()
    hour = by_hour["sum"] / by_hour["smooth"]
    hour = np.tile((hour / hour.mean()).to_numpy(), WEEK_BINS // 12)

    flat = (means / hour * weights).reshape(7, DAY_BINS)
    count = weights.reshape(7, DAY_BINS)
    kinds = [
        np.tile(smooth(flat[days].sum(axis=0), 3) / smooth(count[days].sum(axis=0), 3), n)
        for days, n in [(slice(0, 5), 5), (slice(5, 7), 2)]
    ]
    day = np.concatenate(kinds)
    deviation = smooth(flat.ravel(), 9) / smooth(day * weights, 9)
    effective = smooth(weights, 9) * 9 * 2 * np.sqrt(np.pi)
    week = day * (deviation * effective + 100) / (effective + 100) * hour
    week = np.clip(week / np.average(week, weights=share if sessions else weights), 0.02, 8)

    prior_minute = np.array(prior["minute"]) if prior else np.ones(60)
    prior_weight = prior["minute_weight"] if prior else 0
    own = np.array(stats["minute_sum"]) / newest + prior_weight * prior_minute + 50
    minutes = own / (np.array(stats["minute_weight"]) / newest + prior_weight + 50)
    minutes = minutes.reshape(12, 5) / minutes.reshape(12, 5).mean(axis=1, keepdims=True)
    return {"week": list(week[SHOWN]), "minute": list(minutes.ravel())}


def statistics(weeks, rhythm, until, holes):
    faded = 2.0 ** ((until - EPOCH) / HALF_LIFE)
    weight = np.where(holes, 0.0, weeks * faded * rng.uniform(0.5, 1.0, WEEK_BINS))
    weight = np.array(digits(weight))
    minute_weight = np.array(digits(rng.uniform(10, 400, 60) * faded))
    return {
        "until": until,
        "week_sum": digits(weight * rhythm * rng.gamma(4, 0.25, WEEK_BINS)),
        "week_weight": list(weight),
        "minute_sum": digits(minute_weight * (1 + 0.3 * (np.arange(60) % 15 == 0))),
        "minute_weight": list(minute_weight),
    }


bins = np.arange(WEEK_BINS)
daily = np.exp(0.6 * np.sin(2 * np.pi * bins / DAY_BINS))
session = np.where((bins < 5 * DAY_BINS) & (bins % DAY_BINS >= 114) & (bins % DAY_BINS < 192), 1.6, 0.7)
weekend = bins >= 5 * DAY_BINS
until = int(pd.Timestamp("2026-06-01T12:35Z").timestamp())
prior = {
    "week": digits(3 * session * rng.gamma(9, 1 / 9, WEEK_BINS)),
    "week_weight": digits(np.where(weekend, 0.0, rng.uniform(2, 8, WEEK_BINS))),
    "minute": digits(rng.uniform(0.8, 1.3, 60)),
    "minute_weight": 300,
}
cases = [
    {"stats": statistics(12, daily, until, bins < 0), "prior": None, "off_hours_multiplier": None},
    {"stats": statistics(0.4, daily, until, weekend), "prior": prior, "off_hours_multiplier": 0.45},
]
profiles = [{**case, "expected": profile(case["stats"], case["prior"], case["off_hours_multiplier"])} for case in cases]

# --- levels

FACTORS = digits(np.exp(0.5 * np.cos(2 * np.pi * bins / DAY_BINS)))
MINUTES = digits(1 + 0.2 * np.cos(np.arange(60)))

def levels(start, step):
    times = start + 60 * np.arange(900)
    close = np.round(100 * np.exp(np.cumsum(rng.standard_t(4, 900) * 0.001)), 3)
    kept = rng.uniform(size=900) > 0.01
    kept[300:340] = False
    kept[600] = True
    close[601:606] = close[600]  # unchanged closes
    stamps = pd.Series(np.where(kept, close, np.nan), index=times + 60)
    grid = stamps[stamps.index % step == 0]
    returns = np.log(grid).diff()
    opens = grid.index.to_numpy() - step
    factor = np.array(FACTORS)[week_bin(opens)]
    if step == 60:
        factor = factor * np.array(MINUTES)[(opens // 60) % 60]
    def mean(values, halflife):
        return float(values.ewm(halflife=halflife / step, adjust=True, ignore_na=True).mean().iloc[-1])

    sizes = returns.abs()
    factors = pd.Series(factor, index=sizes.index).where(sizes.notna())
    half_lives = [900, 7200, 172_800]
    return {
        "step_seconds": step,
        "candles": [[int(t), float(c)] for t, c, keep in zip(times, close, kept) if keep],
        "half_life_seconds": half_lives,
        "count": int(returns.count()),
        "newest_zero_share_of_40": float((returns.dropna().tail(40) == 0).mean()),
        "levels": [mean(sizes, h) / mean(factors, h) for h in half_lives],
    }


provenance = f"scripts/vectors/weekly_profile.py, pandas {pd.__version__}, numpy {np.__version__}"
summer, winter = (int(pd.Timestamp(day).timestamp()) for day in ("2026-07-08T03:00Z", "2026-01-14T20:00Z"))
series_levels = {"week": FACTORS, "minute": MINUTES, "series": [levels(summer, 300), levels(winter, 60)]}
found = {"counting": counting, "profiles": profiles, "levels": series_levels}
print(json.dumps({"provenance": provenance, **found}))
