"""PatchTST (Nie et al., arXiv 2211.14730) that corrects the EWMA engine: patches, encoder, flattened head; zero before training."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

#: Largest corrections: of a log-sigma (a factor of two), of a log variance ratio, of the logs of tau and of the half-life.
MAX_DELTA, MAX_RATIO, MAX_TAU, MAX_HALF_LIFE = 0.7, 0.3, 0.5, 1.5
#: Bounds of the degrees of freedom; training's shocks are exact enough above the lower one (see nested.py).
MIN_NU, MAX_NU = 5.0, 40.0
#: Half-lives of the range's levels, and lengths of the sums whose size is set against single returns, in bars.
RANGE_HALF_LIVES = (6, 24, 72, 288)
RATIO_BARS = (3, 6, 36)
OUTPUTS = ("mu", "delta_log_sigma", "delta_log_ratio", "nu", "tau", "half_life_seconds")


@dataclass(frozen=True)
class Shape:
    bars: int
    features: int
    knots: int
    ratios: int
    nu: float
    tau: float
    half_life_seconds: float
    patch: int = 16
    width: int = 32
    layers: int = 2
    heads: int = 4
    dropout: float = 0.3
    hidden: int = 32
    #: "patchtst", "static" (what is known of levels, calendar, ranges, through one hidden layer), "linear" or "constant".
    kind: str = "patchtst"

    @property
    def outputs(self) -> int:
        return self.knots + self.ratios + 3

    @property
    def statics(self) -> int:
        return self.features + 4 + len(RANGE_HALF_LIVES) + len(RATIO_BARS)


class Encoder(nn.Module):
    """One pre-norm Transformer layer, spelled out so that it exports to plain ONNX operators."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.queries, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches, width = x.shape[1], x.shape[2]
        q, k, v = (
            part.reshape(-1, patches, self.heads, width // self.heads).transpose(1, 2)
            for part in self.queries(self.norms[0](x)).split(width, -1)
        )
        weights = torch.softmax(q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5, -1)
        x = x + self.drop(self.out((self.drop(weights) @ v).transpose(1, 2).reshape(-1, patches, width)))
        return x + self.drop(self.feed(self.norms[1](x)))


class ResidualPatchTst(nn.Module):
    """
    forward(sequence [row, bar, 3], features [row, half-life], calendar [row, 4]) -> OUTPUTS, as models/manifest.json has
    them. Inputs are raw; their normalisation is part of the network.
    """

    def __init__(self, shape: Shape, mean: np.ndarray | None = None, deviation: np.ndarray | None = None):
        super().__init__()
        self.shape = shape
        age = torch.arange(shape.bars).flip(0)[:, None]
        self.register_buffer("range_weights", 0.5 ** (age / torch.tensor(RANGE_HALF_LIVES)), persistent=False)
        self.register_buffer("mean", torch.as_tensor(np.zeros(shape.statics) if mean is None else mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.as_tensor(np.ones(shape.statics) if deviation is None else deviation, dtype=torch.float32))
        self.constant = nn.Parameter(torch.zeros(shape.outputs))
        if shape.kind in ("linear", "static", "patchtst"):
            # Straight from what is known: a network that overfits its bars still does what a regression does.
            self.skip = zeroed(nn.Linear(shape.statics, shape.outputs, bias=False))
        if shape.kind in ("static", "patchtst"):
            joined = shape.hidden
            self.known = nn.Sequential(nn.Linear(shape.statics, shape.hidden), nn.GELU())
            if shape.kind == "patchtst":
                patches = shape.bars // shape.patch
                self.embed = nn.Linear(shape.patch * 4, shape.width)
                self.position = nn.Parameter(torch.randn(1, patches, shape.width) * 0.02)
                self.encoder = nn.Sequential(*(Encoder(shape.width, shape.heads, shape.dropout) for _ in range(shape.layers)))
                self.flatten = nn.Sequential(
                    nn.LayerNorm(shape.width), nn.Flatten(), nn.Dropout(shape.dropout),
                    nn.Linear(patches * shape.width, shape.hidden), nn.GELU(),
                )  # fmt: skip
                joined += shape.hidden
            self.mix = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(joined, shape.hidden), nn.GELU())
            self.head = zeroed(nn.Linear(shape.hidden, shape.outputs))

    def statics(self, sequence, features, calendar):
        """[row, static]: levels relative to the slowest, that one, calendar, ranges and sums relative to single returns."""
        z, span, seen = sequence.unbind(-1)
        size = z.abs()
        mass = seen @ self.range_weights
        ranges = torch.log(span @ self.range_weights / mass + 1e-3) - torch.log(size @ self.range_weights / mass + 1e-3)
        mean = size.sum(1, keepdim=True) / seen.sum(1, keepdim=True)
        sums = [self.relative_sum(z, seen, mean, bars) for bars in RATIO_BARS]
        return torch.cat([features[:, :-1] - features[:, -1:], features[:, -1:], calendar, ranges, *sums], 1)

    def relative_sum(self, z, seen, mean, bars):
        """ln(mean |sum of n returns| / (sqrt(n) mean |return|)): below zero for bounce, above for trend."""
        ones = torch.ones(1, 1, bars)
        whole = (nn.functional.conv1d(seen[:, None], ones)[:, 0] > bars - 0.5).to(z.dtype)
        moved = nn.functional.conv1d(z[:, None], ones)[:, 0].abs() * whole
        average = moved.sum(1, keepdim=True) / whole.sum(1, keepdim=True).clamp(min=1)
        return torch.log((average / bars**0.5 + 1e-3) / (mean + 1e-3))

    def patches(self, sequence):
        """[row, patch, patch length x 4]: compressed size, clipped return, compressed range, mask."""
        z, span, seen = sequence.unbind(-1)
        channels = [
            (torch.log1p(z.abs()) - 0.6) / 0.4 * seen,
            z.clamp(-6, 6) / 1.5,
            (torch.log1p(span) - 1.0) / 0.35 * seen,
            seen,
        ]
        return torch.stack(channels, -1).reshape(-1, self.shape.bars // self.shape.patch, self.shape.patch * 4)

    def forward(self, sequence, features, calendar):
        shape = self.shape
        raw = self.constant + torch.zeros_like(features[:, :1])
        if shape.kind != "constant":
            known = ((self.statics(sequence, features, calendar) - self.mean) / self.deviation).clamp(-4, 4)
            raw = raw + self.skip(known)
        if shape.kind in ("static", "patchtst"):
            parts = [self.known(known)]
            if shape.kind == "patchtst":
                parts.append(self.flatten(self.encoder(self.embed(self.patches(sequence)) + self.position)))
            raw = raw + self.head(self.mix(torch.cat(parts, 1)))
        delta, ratio, nu, tau, half_life = raw.split([shape.knots, shape.ratios, 1, 1, 1], 1)
        return (
            torch.zeros_like(delta),
            bounded(delta, MAX_DELTA),
            bounded(ratio, MAX_RATIO),
            (shape.nu * bounded(nu, 1.0).exp()).clamp(MIN_NU, MAX_NU),
            shape.tau * bounded(tau, MAX_TAU).exp(),
            shape.half_life_seconds * bounded(half_life, MAX_HALF_LIFE).exp(),
        )


def bounded(x, most):
    return most * torch.tanh(x / most)


def zeroed(layer):
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def knot_basis(knot_seconds: list[float], steps: int, step_seconds: float) -> torch.Tensor:
    """[knot, step]: piecewise linear in lead time, constant beyond the last knot."""
    lead = np.arange(steps) * step_seconds
    rows = [np.interp(lead, knot_seconds, np.eye(len(knot_seconds))[j]) for j in range(len(knot_seconds))]
    return torch.tensor(np.array(rows), dtype=torch.float32)
