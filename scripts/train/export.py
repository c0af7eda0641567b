"""A trained network as ONNX file, golden pairs and entry in models/manifest.json; the manifest changes last."""

import fcntl
import json
import os
import subprocess

import numpy as np
import onnx
import onnxruntime
import torch

from dataset import sha256_of
from golden import golden_cases
from network import OUTPUTS

OPSET = 17
INPUTS = ("sequence", "features", "calendar")
#: Assets a model answers besides those it was trained on.
SERVED_BY_POOLING = {"HF": [], "LF-crypto": [], "LF-equity": ["SPCX", "SPYX"]}
TRAINED = {
    "HF": ["BTC", "ETH", "SOL", "XRP", "HYPE", "XAU"],
    "LF-crypto": ["BTC", "ETH", "SOL", "XRP", "HYPE", "XAU"],
    "LF-equity": ["NVDAX", "GOOGLX", "TSLAX", "AAPLX", "SP500", "WTIOIL"],
}


def write_model(model: str, network, header: dict, out: str, facts: dict):
    """facts: trainingWindow, gitCommit, seed, epochs, validation. Files below `out`, the folder of the manifest."""
    folder = os.path.join(out, "patchtst")
    os.makedirs(folder, exist_ok=True)
    name = model.lower()
    file, golden = os.path.join(folder, f"{name}.onnx"), os.path.join(folder, f"golden-{name}.json")
    write_onnx(network, file)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def answer(**inputs):
        return dict(zip(OUTPUTS, session.run(list(OUTPUTS), inputs)))

    check_against_torch(network, answer)
    write_json(golden, {"cases": golden_cases(model, header, answer)})
    entry = {
        "kind": "patchtst",
        "file": f"patchtst/{name}.onnx",
        "sha256": sha256_of(file),
        "assets": TRAINED[model] + SERVED_BY_POOLING[model],
        "horizon": "1h" if header["horizonSeconds"] == 3600 else "24h",
        "stepSeconds": header["stepSeconds"],
        "sequenceLength": network.shape.bars,
        "channels": ["return", "range", "mask"],
        "featureHalfLifeSeconds": header["halfLifeSeconds"],
        "knotSeconds": header["knotSeconds"],
        "ratioSeconds": header["ratioSeconds"],
        "normalisation": {
            "sequence": "return clipped at 6 and log-compressed, range log-compressed, inside the graph",
            "statics": {"mean": rounded(network.mean), "deviation": rounded(network.deviation)},
        },
        "calibrationSha256": header["calibration"]["sha256"],
        **facts,
        "mu": "zero: brought nothing",
        "golden": {"file": f"patchtst/golden-{name}.json", "sha256": sha256_of(golden)},
    }
    merge_entry(out, model, entry)
    return entry


def merge_entry(out: str, name: str, entry: dict):
    """Puts one model's entry into the manifest; others that trainings under way put in at the same time stay."""
    path = os.path.join(out, "manifest.json")
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        models = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as known:
                models = json.load(known)["models"]
        write_json(path, {"schema": 1, "models": {**models, name: entry}}, indent=2)
    finally:
        os.close(folder)


def write_onnx(network, path: str):
    network.eval()
    shape = network.shape
    example = (torch.zeros(2, shape.bars, 3), torch.zeros(2, shape.features), torch.zeros(2, 4))
    example[0][..., 2] = 1
    names = [*INPUTS, *OUTPUTS]
    torch.onnx.export(
        network, example, f"{path}.part", input_names=list(INPUTS), output_names=list(OUTPUTS), opset_version=OPSET,
        dynamic_axes={name: {0: "batch"} for name in names}, dynamo=False,
    )  # fmt: skip
    onnx.checker.check_model(onnx.load(f"{path}.part"), full_check=True)
    os.replace(f"{path}.part", path)


def check_against_torch(network, answer):
    """The file answers as the network did, at another batch size than it was traced with."""
    shape = network.shape
    random = torch.Generator().manual_seed(1)
    sequence = torch.randn(5, shape.bars, 3, generator=random)
    sequence[..., 1].abs_()
    sequence[..., 2] = 1
    inputs = (sequence, torch.randn(5, shape.features, generator=random), torch.randn(5, 4, generator=random))
    with torch.no_grad():
        expected = network(*inputs)
    found = answer(**{name: value.numpy() for name, value in zip(INPUTS, inputs)})
    for name, value in zip(OUTPUTS, expected):
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


def write_json(path: str, value, indent=None):
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(value, file, indent=indent, separators=None if indent else (",", ":"))
        file.write("\n")
    os.replace(f"{path}.part", path)


def rounded(values):
    return [round(float(value), 6) for value in values]


def git_commit(root: str) -> str | None:
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None
