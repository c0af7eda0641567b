"""Files as `train-data` writes them, for the smoke tests."""

import json
from math import erf, exp, pi, sqrt

import numpy as np


def write_file(path: str, arrays: dict, header: dict):
    """In the layout of `train-data`, with what its header says of any calibration."""
    entries, content = [], b""
    for name, values in arrays.items():
        content += b"\0" * (-len(content) % 8)
        entries.append({"name": name, "dtype": str(values.dtype), "shape": values.shape, "offset": len(content)})
        content += values.tobytes()
    calibration = {"sha256": "0" * 64, "window": {"from": "2023-01-01T00:00:00.000Z", "to": "2025-05-01T00:00:00.000Z"}}
    law = {"halfLifeSeconds": [3600, 14400, 86400], "nu": 8, "latent": {"tau": 0.3, "halfLifeSeconds": 3600}}
    with open(path, "wb") as file:
        file.write(content)
    with open(f"{path}.json", "w", encoding="utf-8") as file:
        json.dump({"schema": 1, "calibration": calibration, **law, **header, "arrays": entries}, file)


def gaussian_crps(u):
    return np.array([x * erf(x / sqrt(2)) + 2 * exp(-x * x / 2) / sqrt(2 * pi) - 1 / sqrt(pi) for x in u])
