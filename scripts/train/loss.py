"""Closed-form price loss of a prompt, as the EWMA engine's fit has it (src/evaluation/calibrate/price-objective.ts)."""

import torch


class PriceLoss(torch.nn.Module):
    """
    Sum over scored blocks of weight times CRPS, bps. For a block's return x of variance R V, with V the sum of its steps'
    variances, CRPS = sigma C(|x| / sigma), C tabulated for the calibration's law by block length.
    """

    def __init__(self, header: dict):
        super().__init__()
        self.ratios = torch.tensor(header["varianceRatios"], dtype=torch.float32)
        self.weights = torch.tensor([block["ratioWeights"] for block in header["blocks"]], dtype=torch.float32)
        self.blocks = [
            (
                block["steps"],
                torch.tensor(block["firstSteps"]),
                torch.tensor(block["weights"], dtype=torch.float32),
                torch.tensor(header["tables"][f"crps{block['steps']}"], dtype=torch.float32),
            )
            for block in header["blocks"]
        ]

    def ratios_of(self, asset, delta_log_ratio):
        """[row, R]: the calibration's variance ratios, corrected."""
        return self.ratios[asset] * delta_log_ratio.exp()

    def forward(self, log_sigma, prices, ratios):
        """log_sigma: [row, step]; prices: [row, step + 1], logs, NaN where unobserved; ratios: [row, R]. Returns [row]."""
        # The sums of a day less those of the day before a block would lose the quiet steps in single precision.
        cumulative = torch.nn.functional.pad(torch.cumsum((2 * log_sigma.double()).exp(), 1), (1, 0))
        by_length = self.weights[:, 0] + ratios @ self.weights[:, 1:].T
        total = 0.0
        for length, (steps, first, weights, table) in enumerate(self.blocks):
            variance = (cumulative[:, first + steps] - cumulative[:, first]).float()
            x = prices[:, first + steps] - prices[:, first]
            observed = torch.isfinite(x)
            x = torch.where(observed, x, torch.zeros_like(x))
            sigma = (by_length[:, length : length + 1] * variance).sqrt()
            total = total + (sigma * crps(x.abs() / sigma, table) * observed * weights).sum(1)
        return total * 1e4


def crps(u: torch.Tensor, table: torch.Tensor, nodes_per_unit: int = 100) -> torch.Tensor:
    """C(u), linear between the table's nodes and of slope 1 beyond the last."""
    last = len(table) - 1
    position = u * nodes_per_unit
    node = position.detach().long().clamp(max=last - 1)
    below = table[node]
    inside = below + (position - node) * (table[node + 1] - below)
    return torch.where(position <= last, inside, table[last] + u - last / nodes_per_unit)
