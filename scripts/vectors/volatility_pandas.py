"""Test vectors of the volatility room, made by pandas: prints JSON. Run: python volatility_pandas.py > test/vectors/volatility_pandas.json

- ewma: `Series.ewm(halflife, adjust=True).mean()` of squared log returns of an unbroken minute series is our value / mass.
- five_minute: `resample("5min").agg(OHLC)` of a series with holes, last (unfinished) bucket left out.
"""

import json
import numpy as np
import pandas as pd

START = 1_754_006_520  # 2025-08-01T00:02:00Z, inside a five-minute bucket
rng = np.random.default_rng(20250801)
count = 400
close = np.round(100 * np.exp(np.cumsum(rng.standard_t(4, count) * 0.001)), 6)
open_ = np.concatenate([[100.0], close[:-1]])
high = np.round(np.maximum(open_, close) * (1 + rng.uniform(0, 0.0005, count)), 6)
low = np.round(np.minimum(open_, close) * (1 - rng.uniform(0, 0.0005, count)), 6)
volume = np.round(rng.uniform(0, 5, count), 3)
times = START + 60 * np.arange(count)
frame = pd.DataFrame({"t": times, "o": open_, "h": high, "l": low, "c": close, "v": volume})

HALF_LIFE_SECONDS = 1800
returns = np.log(frame.c).diff().dropna()
minute = (returns**2).ewm(halflife=HALF_LIFE_SECONDS / 60, adjust=True).mean().iloc[-1]

holes = rng.uniform(size=count) < 0.25
holes[100:117] = True
thin = frame[~holes]
bars = (
    thin.set_index(pd.to_datetime(thin.t, unit="s"))
    .resample("5min")
    .agg({"o": "first", "h": "max", "l": "min", "c": "last", "v": "sum"})
    .dropna()
)
stamps = bars.index.astype("datetime64[s]").astype("int64")
rows = [[int(t), *map(float, row)] for t, row in zip(stamps, bars.itertuples(index=False))]

as_rows = lambda f: [[int(t), *map(float, rest)] for t, *rest in f.itertuples(index=False)]
print(
    json.dumps(
        {
            "provenance": f"scripts/vectors/volatility_pandas.py, pandas {pd.__version__}, numpy {np.__version__}",
            "ewma": {"half_life_seconds": HALF_LIFE_SECONDS, "candles": as_rows(frame), "variance": float(minute)},
            "five_minute": {"candles": as_rows(thin), "bars": rows[:-1]},
        }
    )
)
