"""The validators' score of simulated paths, differentiable in all that the network answers (src/engines/paths/, src/scoring/)."""

import torch

#: The 1h competition's volatility blocks: steps of a minute and weight of each block (src/scoring/intervals.ts).
VOLATILITY_BLOCKS = ((60, 5.25 / 3), (15, 5.25 / 12), (5, 5.25 / 36))


def noise(rows: int, paths: int, steps: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """What the paths of every model compared are drawn from."""
    drawn = {name: torch.randn(rows, paths, steps, generator=generator) for name in ("z", "g", "e")}
    return drawn | {"u": torch.rand(rows, paths, steps, generator=generator)}


def simulate(log_sigma, ratios, law, zero_share, step_seconds, ratio_steps, drawn):
    """
    Log returns [row, path, step] of the model in src/engines/path-model.ts. law: nu, tau, half-life, each [row, 1]. Student's
    t comes from Wilson and Hilferty's chi-square (1931), smooth in nu: its quantiles are within 1 % from nu = 5 on.
    """
    nu, tau, half_life = (value[:, :, None] for value in law)
    part = 2 / (9 * nu)
    chi = (1 - part + drawn["g"] * part.sqrt()).clamp(min=0.2) ** 3
    shocks = drawn["z"] * ((nu - 2) / nu / chi).sqrt()
    phi = 2 ** (-step_seconds / half_life[:, :, 0])
    h, levels = drawn["e"][:, :, 0], []
    for step in range(log_sigma.shape[1]):
        if step > 0:
            h = phi * h + (1 - phi**2).sqrt() * drawn["e"][:, :, step]
        levels.append(h)
    h = torch.stack(levels, 2) * tau
    share = zero_share[:, None, None]
    trades = (drawn["u"] >= share).float()
    returns = shocks * (log_sigma[:, None] + h - tau**2).exp() * trades / (1 - share).sqrt()
    return with_ratios(returns, (2 * log_sigma).exp(), trades, ratios, ratio_steps)


def with_ratios(returns, variance, trades, ratios, ratio_steps):
    """Blocks get their variance ratios level by level (src/engines/paths/variance-ratio.ts); lengths that divide the horizon."""
    sums = [returns]
    modelled, traded = [variance], [variance[:, None] * trades]
    lengths = [1, *ratio_steps]
    for fine, coarse in zip(lengths, lengths[1:]):
        sums.append(blocks_of(sums[-1], coarse // fine).sum(-1))
        modelled.append(blocks_of(modelled[-1], coarse // fine).sum(-1))
        traded.append(blocks_of(traded[-1], coarse // fine).sum(-1))
    every = torch.cat([torch.ones_like(ratios[:, :1]), ratios], 1)
    result = sums[-1] * every[:, -1, None, None].sqrt()
    for level in reversed(range(len(lengths) - 1)):
        parts = lengths[level + 1] // lengths[level]
        q = ((blocks_of(modelled[level], parts) / modelled[level + 1][..., None]) ** 2).sum(-1)
        fine, coarse = every[:, level, None], every[:, level + 1, None]
        gain = ((fine - q * coarse) / (1 - q)).clamp(min=0.05).sqrt()[:, None, :, None]
        share = blocks_of(traded[level], parts) / traded[level + 1].clamp(min=1e-30)[..., None]
        x = blocks_of(sums[level], parts)
        result = (share * result[..., None] + gain * (x - share * sums[level + 1][..., None])).flatten(-2)
    return result


def blocks_of(values, size):
    return values.unflatten(-1, (values.shape[-1] // size, size))


class NestedLoss(torch.nn.Module):
    """Fair CRPS (Ferro 2014) of the price changes and of the volatility blocks, bps: price [row] and weighted volatility [row]."""

    def __init__(self, header: dict):
        super().__init__()
        self.blocks = [
            (b["steps"], torch.tensor(b["firstSteps"]), torch.tensor(b["weights"], dtype=torch.float32)) for b in header["blocks"]
        ]
        self.scores_volatility = header["horizonSeconds"] == 3600

    def forward(self, returns, prices):
        """returns: [row, path, step]; prices: [row, step + 1], logs, NaN where unobserved."""
        cumulative = torch.nn.functional.pad(returns.cumsum(2), (1, 0))
        members = torch.cat([cumulative[:, :, f + n] - cumulative[:, :, f] for n, f, _ in self.blocks], 2)
        observed = torch.cat([prices[:, f + n] - prices[:, f] for n, f, _ in self.blocks], 1)
        price = (fair_crps(members, observed) * torch.cat([w for _, _, w in self.blocks])).sum(1) * 1e4
        volatility = torch.zeros_like(price)
        if self.scores_volatility:
            realised = prices[:, 1:] - prices[:, :-1]
            for steps, weight in VOLATILITY_BLOCKS:
                own = fair_crps(deviation(blocks_of(returns, steps)), deviation(blocks_of(realised, steps)))
                volatility = volatility + weight * own.sum(1) * 1e4
        return price, volatility


def deviation(blocks):
    """Sample standard deviation over the last axis, NaN returns left out; NaN where fewer than two are left."""
    seen = torch.isfinite(blocks)
    count = seen.sum(-1)
    values = torch.where(seen, blocks, torch.zeros_like(blocks))
    mean = values.sum(-1) / count
    squares = (torch.where(seen, blocks - mean[..., None], torch.zeros_like(blocks)) ** 2).sum(-1)
    return torch.where(count >= 2, (squares / (count - 1).clamp(min=1) + 1e-18).sqrt(), torch.full_like(squares, torch.nan))


def fair_crps(members, observed):
    """members: [row, path, block], observed: [row, block], NaN counting nothing. Returns [row, block]."""
    paths = members.shape[1]
    seen = torch.isfinite(observed)
    x = torch.where(seen, observed, torch.zeros_like(observed))
    ranks = (2 * torch.arange(paths) - paths + 1)[:, None] / (paths * (paths - 1))
    ordered = members.sort(1).values
    own = (members - x[:, None]).abs().mean(1) - (ordered * ranks).sum(1)
    return torch.where(seen, own, torch.zeros_like(own))
