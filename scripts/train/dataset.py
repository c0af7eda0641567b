"""What `train-data` wrote (src/evaluation/train/training-file.ts), split by time."""

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import torch

#: Between the end of one part's last horizon and the next part's first start, beside the horizon itself.
EMBARGO_SECONDS = 24 * 3600 + 120


@dataclass(frozen=True)
class Dataset:
    header: dict
    #: Arrays by name, first axis: row.
    columns: dict

    @property
    def count(self) -> int:
        return len(self.columns["start"])

    def rows(self, index: np.ndarray) -> "Dataset":
        return Dataset(self.header, {k: v[index] for k, v in self.columns.items()})


def read_dataset(path: str) -> Dataset:
    with open(f"{path}.json", encoding="utf-8") as file:
        header = json.load(file)
    if header["schema"] != 1:
        raise SystemExit(f"{path}.json: expected schema 1, was {header['schema']}; export again")
    content = np.memmap(path, np.uint8, "r")
    columns, tables = {}, {}
    for entry in header["arrays"]:
        size = int(np.prod(entry["shape"])) * np.dtype(entry["dtype"]).itemsize
        values = content[entry["offset"] : entry["offset"] + size].view(entry["dtype"]).reshape(entry["shape"])
        (tables if entry["name"].startswith("crps") else columns)[entry["name"]] = np.array(values)
    header["tables"] = tables
    # Origins without a single scored return would divide by zero.
    seen = np.isfinite(columns["logPrices"]).sum(1) >= 2
    return Dataset(header, {k: v[seen] for k, v in columns.items()})


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def split(data: Dataset, validation_from: float, test_from: float) -> tuple[Dataset, Dataset, Dataset]:
    """Training, validation and test rows in order of time. No horizon reaches within the embargo of the next part."""
    if datetime.fromisoformat(data.header["calibration"]["window"]["to"]).timestamp() > test_from:
        raise SystemExit("expected base sigmas of a calibration fitted before the test part begins")
    start = data.columns["start"]
    end = start + data.header["horizonSeconds"] + EMBARGO_SECONDS
    return (
        data.rows(end <= validation_from),
        data.rows((start >= validation_from) & (end <= test_from)),
        data.rows(start >= test_from),
    )


#: A bar beyond this many usual sizes is a broken one.
MAX_SIZE = 50


def sequence_input(sequence: np.ndarray) -> np.ndarray:
    """Return and range of each bar as the network takes them (sequenceInput in src/engines/patchtst/features.ts): cut, with a mask."""
    seen = np.isfinite(sequence[..., :1])
    cut = np.clip(np.where(seen, sequence, 0), -MAX_SIZE, MAX_SIZE)
    return np.concatenate([cut, seen], -1).astype(np.float32)


def tensors(data: Dataset) -> dict[str, torch.Tensor]:
    c = data.columns
    return {
        "sequence": torch.from_numpy(sequence_input(c["sequence"])),
        "features": torch.from_numpy(c["features"]),
        "calendar": torch.from_numpy(c["calendar"]),
        "base": torch.from_numpy(c["baseLogSigma"]),
        "prices": torch.from_numpy(c["logPrices"]),
        "zero": torch.from_numpy(c["zeroShare"]),
        "asset": torch.from_numpy(c["asset"]).long(),
    }


def source_key(data: str, root: str) -> str:
    """Eight digits that tell exports of other candles or of other code apart."""
    commit = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return hashlib.sha256(f"{os.path.abspath(data)} {commit}".encode()).hexdigest()[:8]


def sha256_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
