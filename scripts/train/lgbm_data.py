"""Targets of the boosters from what `train-data` wrote of one asset, and rows drawn from them by lead."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from dataset import Dataset

#: A standardised return beyond this many standard deviations would lead a squared error.
MAX_RETURN = 4
#: Corrections of ln sigma at which the loss is worked out; in between it is a cubic spline.
GRID = np.linspace(-0.6, 0.6, 9)
MAX_RESIDUAL = 0.5
#: Of the six (or four) leads each row is used for so many, drawn at random.
LEADS_PER_ROW = 2
NODES_PER_UNIT = 100


@dataclass(frozen=True)
class LeadRows:
    """All rows of one asset as one lead sees them; the first axis of all is the row, in order of time."""

    features: np.ndarray
    start: np.ndarray
    #: Log return up to the lead over the base's standard deviation of it; NaN where a price was not observed.
    target: np.ndarray
    #: [row, len(GRID)]: loss of the scored blocks in (lead before, lead] at each correction, bps; NaN where none was observed.
    losses: np.ndarray
    #: [row]: what the base expects that loss to be in proportion to.
    scale: np.ndarray
    #: Whether stochastic sampling gave the row to this lead for training.
    drawn: np.ndarray


def lead_rows(data: Dataset, seed: int) -> list[LeadRows]:
    """By lead."""
    header, columns = data.header, data.columns
    step = header["stepSeconds"]
    leads = [seconds // step for seconds in header["leadSeconds"]]
    log_sigma, prices = columns["baseLogSigma"].astype(float), columns["logPrices"].astype(float)
    variance = np.concatenate([np.zeros((len(prices), 1)), np.cumsum(np.exp(2 * log_sigma), 1)], 1)
    drawn = drawn_leads(len(prices), len(leads), seed)
    found = []
    for k, (before, lead) in enumerate(zip([0, *leads], leads)):
        losses, scale = stretch_losses(header, variance, prices, before, lead)
        target = (prices[:, lead] - prices[:, 0]) / np.sqrt(variance[:, lead])
        found.append(LeadRows(columns["features"], columns["start"], target, losses, scale, drawn[:, k]))
    return found


def drawn_leads(rows: int, leads: int, seed: int) -> np.ndarray:
    """[row, lead]: whether the row trains the lead; LEADS_PER_ROW of each row."""
    order = np.random.default_rng(seed).random((rows, leads)).argsort(1)
    return order < LEADS_PER_ROW


def stretch_losses(header: dict, variance: np.ndarray, prices: np.ndarray, before: int, lead: int) -> tuple[np.ndarray, np.ndarray]:
    """
    The closed-form price loss (loss.py) of the scored blocks that lie in steps (before, lead], with ln sigma shifted by each
    of GRID: [row, grid] bps; and the sum of weighted block sigmas, [row] bps. `variance`: sums from the start, [row, step + 1].
    """
    (ratios,) = header["varianceRatios"]
    losses, scale = np.zeros((len(prices), len(GRID))), np.zeros(len(prices))
    for block in header["blocks"]:
        steps, first, weights = block["steps"], np.array(block["firstSteps"]), np.array(block["weights"], float)
        inside = (first >= before) & (first + steps <= lead) & (weights != 0)
        if not inside.any():
            continue
        first, weights = first[inside], weights[inside]
        ratio = np.dot(block["ratioWeights"], [1, *ratios])
        sigma = np.sqrt(ratio * (variance[:, first + steps] - variance[:, first]))
        size = np.abs(prices[:, first + steps] - prices[:, first])
        weights = np.where(np.isfinite(size), weights, 0)
        size = np.nan_to_num(size)
        table = header["tables"][f"crps{steps}"]
        for g, shift in enumerate(np.exp(GRID)):
            losses[:, g] += (weights * sigma * shift * crps(size / (sigma * shift), table)).sum(1)
        scale += (weights * sigma).sum(1)
    losses[scale == 0] = np.nan
    return losses * 1e4, scale * 1e4


def crps(u: np.ndarray, table: np.ndarray) -> np.ndarray:
    """C(u), linear between the table's nodes and of slope 1 beyond the last."""
    last = len(table) - 1
    position = u * NODES_PER_UNIT
    node = np.minimum(position, last - 1).astype(np.int64)
    # Beyond the last node the position is cut off, and what was cut is added at slope 1.
    inside = table[node] + (np.minimum(position, last) - node) * (table[node + 1] - table[node])
    return inside + np.maximum(position - last, 0) / NODES_PER_UNIT


class LossCurves:
    """Loss of each row as a smooth function of its own correction of ln sigma."""

    def __init__(self, losses: np.ndarray):
        """losses: [row, len(GRID)]."""
        self.coefficients = CubicSpline(GRID, losses.T, bc_type="natural").c

    def at(self, correction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Loss, and its first and second derivative, [row] each; corrections beyond ±MAX_RESIDUAL count as those."""
        x = np.clip(correction, -MAX_RESIDUAL, MAX_RESIDUAL)
        piece = np.clip(((x - GRID[0]) / (GRID[1] - GRID[0])).astype(int), 0, len(GRID) - 2)
        t = x - GRID[piece]
        a, b, c, d = self.coefficients[:, piece, np.arange(len(x))]
        return ((a * t + b) * t + c) * t + d, (3 * a * t + 2 * b) * t + c, 6 * a * t + 2 * b
