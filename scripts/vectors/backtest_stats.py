"""Test vectors of the backtest's statistics, made by numpy and scipy: prints JSON.
Run: python backtest_stats.py > test/vectors/backtest_stats.json

- diebold_mariano: Newey-West variance by the Bartlett-weighted quadratic form of the centred series (not by a loop over
  lags), p-values by scipy.stats.t.
- student_two_sided: scipy.stats.t.
- bootstrap: 400,000 resamples of whole blocks by numpy's generator; ours agrees within its own sampling noise.
"""

import json
import numpy as np
import scipy
from scipy.linalg import toeplitz
from scipy.stats import t as student

rng = np.random.default_rng(20251001)


def rounded(values):
    return [float(f"{value:.12g}") for value in values]


def diebold_mariano(series, lags):
    d = np.asarray(series)
    n = len(d)
    weights = toeplitz(np.maximum(0, 1 - np.arange(n) / (lags + 1)))
    centred = d - d.mean()
    variance = centred @ weights @ centred / n
    statistic = d.mean() / np.sqrt(variance / n)
    return {
        "series": list(series),
        "lags": lags,
        "long_run_variance": float(variance),
        "statistic": float(statistic),
        "p_value": float(2 * student.sf(abs(statistic), n - 1)),
    }


def autoregressive(n, phi, mean):
    noise = rng.standard_normal(n)
    out = [noise[0]]
    for value in noise[1:]:
        out.append(phi * out[-1] + value)
    return rounded(np.array(out) + mean)


cases = [
    diebold_mariano(autoregressive(12, 0.0, 0.3), 0),
    diebold_mariano(autoregressive(150, 0.6, -0.4), 5),
    diebold_mariano(autoregressive(500, -0.3, 0.02), 9),
    diebold_mariano(autoregressive(20, 0.9, 1.0), 19),
]

engine = rounded(rng.gamma(20, 1, 60))
baseline = rounded(np.array(engine) * rng.normal(1.03, 0.08, 60))
drawn = rng.integers(0, 60, size=(400_000, 60))
ratios = np.array(engine)[drawn].sum(axis=1) / np.array(baseline)[drawn].sum(axis=1)

print(
    json.dumps(
        {
            "provenance": f"scripts/vectors/backtest_stats.py, numpy {np.__version__}, scipy {scipy.__version__}",
            "diebold_mariano": cases,
            "student_two_sided": [
                [t, nu, float(2 * student.sf(abs(t), nu))]
                for nu in (2, 5, 11, 149, 2000)
                for t in (0.0, 0.1, 1.0, -1.96, 4.5, 12.0)
            ],
            "bootstrap": {
                "engine": engine,
                "baseline": baseline,
                "low": float(np.quantile(ratios, 0.025)),
                "high": float(np.quantile(ratios, 0.975)),
            },
        }
    )
)
