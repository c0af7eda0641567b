"""Held-out scores relative to the EWMA engine, with intervals by calendar time."""

import numpy as np

#: Days of a bootstrap block: longer than a horizon, so that origins whose horizons overlap are drawn together.
BLOCK_DAYS = 5
#: An asset seen in fewer blocks has no interval, and does not count in the mean.
MIN_BLOCKS = 8
DRAWS = 2000


def relative_scores(assets, start, model, base, names, seed=1):
    """
    Ratio of mean losses by asset and ("pooled") their mean over assets, each with the 2.5 % and 97.5 % points of a bootstrap
    over blocks of calendar time that all assets share; None where there is no interval. Arrays: [row].
    """
    block = np.unique((start // (BLOCK_DAYS * 86400)).astype(int), return_inverse=True)[1]
    count = block.max() + 1
    draws = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    result, pooled = {}, []
    for i, name in enumerate(names):
        own = assets == i
        if not own.any():
            continue
        sums = np.stack([np.bincount(block[own], losses[own], count) for losses in (model, base)])
        ratio = sums[0].sum() / sums[1].sum()
        if (sums[1] > 0).sum() < MIN_BLOCKS:
            result[name] = (ratio, None, None)
            continue
        drawn = sums[:, draws].sum(2)
        with np.errstate(invalid="ignore"):
            ratios = drawn[0] / drawn[1]
        result[name] = (ratio, *interval(ratios))
        pooled.append((ratio, ratios))
    if pooled:
        result["pooled"] = (np.mean([ratio for ratio, _ in pooled]), *interval(np.mean([ratios for _, ratios in pooled], 0)))
    return result


def interval(values):
    return np.nanpercentile(values, [2.5, 97.5])
