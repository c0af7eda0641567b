"""The direct formula of the ensemble CRPS in numpy, on the prompt that crps.bench.ts wrote; prints JSON.

Usage: crps_numpy.py FILE PATHS POINTS   (float64: the paths row-major, then the realised path)
"""

import json
import sys
import time

import numpy as np

BLOCK_STEPS = [1, 6, 36]  # 5 min, 30 min, 3 h


def crps(x, y):
    return np.abs(y - x).mean() - np.abs(y[:, None] - y[None, :]).sum() / (2 * len(y) ** 2)


def score(paths, real):
    total = 0.0
    for k in BLOCK_STEPS:
        simulated = np.diff(paths[:, ::k]) / paths[:, ::k][:, :-1] * 1e4
        realised = np.diff(real[::k]) / real[::k][:-1] * 1e4
        total += sum(crps(x, simulated[:, t]) for t, x in enumerate(realised))
    return total + crps(real[-1], paths[:, -1]) / real[-1] * 1e4


def main():
    file, count, points = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    data = np.fromfile(file).reshape(count + 1, points)
    start = time.perf_counter()
    total = score(data[:-1], data[-1])
    print(json.dumps({"ms": (time.perf_counter() - start) * 1e3, "total": total, "numpy": np.__version__}))


main()
