"""Golden pairs of the boosters: synthetic candles, what this file's own code makes of them, and what the exported file answers."""

import numpy as np

from golden import MIN_BARS, OFF_HOURS, bars_of, calendar_of, factor, synthetic

#: Whose reference sigma and off hours stand in; features are free of either but for the levels.
STAND_IN = {True: "BTC", False: "NVDAX"}
ALWAYS_OPEN = ("BTC", "ETH", "SOL", "XRP", "HYPE", "XAU", "WTIOIL")


def features_of(names: list[str], candles: dict, profile: dict, asset: str, header: dict, start: int) -> np.ndarray:
    """By name, in 64 bits (lgbmFeatures in src/engines/lgbm/features.ts)."""
    step, leads = header["stepSeconds"], header["leadSeconds"]
    bars = bars_of(candles, profile, asset, step, header["halfLifeSeconds"])
    z, size, level = bars["z"], bars["size"], bars["usual"]
    # Each bar's close in logs, laid end to end.
    end_to_end = np.cumsum(z)
    high = end_to_end + np.log(bars["high"] / bars["close"])
    low = end_to_end + np.log(bars["low"] / bars["close"])
    known = {f"level_{seconds}s": value for seconds, value in zip(header["halfLifeSeconds"], bars["levels"])}
    known |= dict(zip(("day_sin", "day_cos", "week_sin", "week_cos"), calendar_of(start)))
    known["zero_share"] = (z[-240:] == 0).mean()
    known["age"] = np.log1p((start - bars["time"][-1] - step) / step)
    for before, lead in zip([0, *leads], leads):
        ahead = [factor(start + at, profile, step, OFF_HOURS[asset]) for at in range(before, lead, step)]
        known[f"weekly_{lead}s"] = np.log(np.mean(np.square(ahead)) / np.mean(size[-12:] ** 2)) / 2

    def windowed(kind: str, n: int) -> float:
        if n > len(z):
            return np.nan
        usual = level * np.sqrt((size[-n:] ** 2).sum())
        top, bottom = high[-n:].max(), low[-n:].min()
        match kind:
            case "return":
                return z[-n:].sum() / usual
            case "size":
                return np.abs(z[-n:]).sum() / (level * size[-n:].sum())
            case "range":
                return (top - bottom) / usual
            case "place":
                return (end_to_end[-1] - bottom) / (top - bottom) if top > bottom else np.nan
        raise ValueError(f"expected a feature of {__file__}, was {kind}_{n}")

    return np.array([known[name] if name in known else windowed(*split(name)) for name in names])


def split(name: str) -> tuple[str, int]:
    kind, n = name.rsplit("_", 1)
    return kind, int(n)


def golden_cases(asset: str, header: dict, answer) -> list[dict]:
    """`answer(features)`: the exported file's outputs by name, one row. A long history and one too short for some windows."""
    stand_in = STAND_IN[asset in ALWAYS_OPEN]
    step, cases = header["stepSeconds"], []
    for seed, count in ((1, 1500), (2, MIN_BARS + 20)):
        candles, profile = synthetic(count, step, seed)
        # On the bars' grid: a step that straddles the end of a session is one of its open hours here, not there.
        start = candles["openTime"][-1] + 2 * step
        found = features_of(header["featureNames"], candles, profile, stand_in, header, start).astype(np.float32)
        outputs = answer(found[None])
        cases.append(
            {
                "asset": stand_in, "candles": candles, "profile": profile, "offHoursMultiplier": OFF_HOURS[stand_in], "startTime": start,
                "features": [None if np.isnan(value) else float(value) for value in found],
                "outputs": {name: values[0].astype(float).tolist() for name, values in outputs.items()},
            }  # fmt: skip
        )
    return cases
