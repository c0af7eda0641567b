"""Training loop: closed-form loss first, then (where asked for) the nested CRPS of simulated paths; early stopping, checkpoints."""

import copy
import csv
import os
import time
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from dataset import Dataset, tensors
from loss import PriceLoss
from nested import NestedLoss, noise, simulate
from network import ResidualPatchTst, Shape, knot_basis

#: Share of the newest averaged weights that stays after a step: about the last hundred steps.
AVERAGING = 0.99


@dataclass(frozen=True)
class Options:
    epochs: int = 8
    nested_epochs: int = 0
    batch: int = 256
    nested_batch: int = 64
    #: Rows of a nested epoch, drawn anew for each: a step costs twenty of the closed form's.
    nested_rows: int = 8000
    paths: int = 96
    rate: float = 1e-3
    nested_rate: float = 3e-4
    decay: float = 0.3
    patience: int = 3
    seed: int = 1
    #: 1 also takes out how wild an origin is expected to be, 0 leaves it in as the score does.
    temper: float = 0.5


class Scorer:
    """Losses of a network's answers on rows of one exported file."""

    def __init__(self, header: dict):
        self.header = header
        self.closed, self.nested = PriceLoss(header), NestedLoss(header)
        self.steps = header["horizonSeconds"] // header["stepSeconds"]
        self.basis = knot_basis(header["knotSeconds"], self.steps, header["stepSeconds"])
        self.ratio_steps = [seconds // header["stepSeconds"] for seconds in header["ratioSeconds"]]

    def base_answers(self, rows: int) -> tuple[torch.Tensor, ...]:
        """Those of a network that changes nothing."""
        h = self.header
        zeros = [torch.zeros(rows, len(h[name])) for name in ("knotSeconds", "knotSeconds", "ratioSeconds")]
        law = (h["nu"], h["latent"]["tau"], h["latent"]["halfLifeSeconds"])
        return (*zeros, *(torch.full((rows, 1), float(value)) for value in law))

    def price(self, answers, part):
        return self.closed(part["base"] + answers[1] @ self.basis, part["prices"], self.closed.ratios_of(part["asset"], answers[2]))

    def paths(self, answers, part, drawn):
        """Price and weighted volatility CRPS, [row] each."""
        sigma = part["base"] + answers[1] @ self.basis
        ratios = self.closed.ratios_of(part["asset"], answers[2])
        returns = simulate(sigma, ratios, answers[3:], part["zero"], self.header["stepSeconds"], self.ratio_steps, drawn)
        return self.nested(returns, part["prices"])


def answers_of(network, part):
    return network(part["sequence"], part["features"], part["calendar"])


def batches_of(part, size):
    for at in range(0, len(part["base"]), size):
        yield {k: v[at : at + size] for k, v in part.items()}


def closed_losses(network, part, scorer):
    """[row]: the network's closed-form loss and the EWMA engine's."""
    network.eval()
    with torch.no_grad():
        both = [
            (scorer.price(answers_of(network, b), b), scorer.price(scorer.base_answers(len(b["base"])), b))
            for b in batches_of(part, 1024)
        ]
    return tuple(torch.cat(column).numpy() for column in zip(*both))


def nested_losses(network, part, scorer, paths, seed, batch=64):
    """[row, 4]: price and volatility of the network, then of the EWMA engine, from the same random numbers."""
    network.eval()
    generator = torch.Generator().manual_seed(seed)
    found = []
    with torch.no_grad():
        for b in batches_of(part, batch):
            drawn = noise(len(b["base"]), paths, scorer.steps, generator)
            own = scorer.paths(answers_of(network, b), b, drawn)
            found.append(torch.stack([*own, *scorer.paths(scorer.base_answers(len(b["base"])), b, drawn)], 1))
    return torch.cat(found).numpy()


def averaged(average, newest, count):
    """Exponentially, over fewer steps while there are few."""
    return average + (newest - average) * torch.clamp(9 / (10 + count), min=1 - AVERAGING)


def ratio_of(own, base, asset):
    """Mean over assets of the ratio of mean losses."""
    return float(np.mean([own[asset == a].mean() / base[asset == a].mean() for a in np.unique(asset)]))


def row_weights(part, base, temper, assets):
    """Assets count alike, whatever their number of rows."""
    level = part["base"].exp().square().mean(1).sqrt()
    asset, scale = part["asset"], torch.ones(assets)
    usual = torch.ones(assets)
    for a in np.unique(asset):
        scale[a] = float(base[asset == a].mean()) * float((asset == a).sum()) ** 0.5
        usual[a] = level[asset == a].mean()
    weights = (level / usual[asset]) ** -temper / scale[asset]
    return weights / weights.mean() / float(base.mean())


def shape_of(header: dict, bars: int, kind: str, sizes: dict) -> Shape:
    latent = header["latent"]
    return Shape(
        bars=bars, features=len(header["halfLifeSeconds"]), knots=len(header["knotSeconds"]), ratios=len(header["ratioSeconds"]),
        nu=header["nu"], tau=latent["tau"], half_life_seconds=latent["halfLifeSeconds"], kind=kind, **sizes,
    )  # fmt: skip


def create(data: Dataset, train: dict, kind: str, sizes: dict) -> ResidualPatchTst:
    """With the normalisation of these rows."""
    shape = shape_of(data.header, train["sequence"].shape[1], kind, sizes)
    plain = ResidualPatchTst(shape)
    with torch.no_grad():
        known = torch.cat([plain.statics(b["sequence"], b["features"], b["calendar"]) for b in batches_of(train, 1024)])
    return ResidualPatchTst(shape, known.mean(0).numpy(), known.std(0).numpy() + 1e-6)


class Run:
    """A training under way; all of it is in its checkpoint, so that a run cut off goes on as if it had not been."""

    def __init__(self, data: Dataset, validation: Dataset | None, kind: str, options: Options, folder: str, sizes: dict):
        torch.manual_seed(options.seed)
        self.options, self.folder = options, folder
        self.scorer = Scorer(data.header)
        self.train, self.validation = tensors(data), validation and tensors(validation)
        self.network = create(data, self.train, kind, sizes)
        self.average = torch.optim.swa_utils.AveragedModel(self.network, avg_fn=averaged)
        _, base = closed_losses(self.network, self.train, self.scorer)
        self.weights = row_weights(self.train, base, options.temper, len(data.header["assets"]))
        self.optimiser = torch.optim.AdamW(self.network.parameters(), options.rate, weight_decay=options.decay)
        #: Best validation ratio and epoch (0: the EWMA engine itself) by stage, curve, epochs done.
        self.progress = {"best": [1.0, 1.0], "at": [0, 0], "curve": [], "done": 0}
        self.best = copy.deepcopy(self.average.state_dict())
        #: A checkpoint of other rows, options or sizes is not taken up.
        self.identity = repr((data.header["calibration"], data.count, validation and validation.count, options, self.network.shape))

    @property
    def checkpoint(self) -> str:
        return os.path.join(self.folder, "checkpoint.pt")

    def resume(self):
        if os.path.exists(self.checkpoint):
            saved = torch.load(self.checkpoint, weights_only=False)
            if saved.get("identity") != self.identity:
                return
            for name in ("network", "average", "optimiser"):
                getattr(self, name).load_state_dict(saved[name])
            self.progress, self.best = saved["progress"], saved["best"]
            torch.set_rng_state(saved["random"])

    def save(self):
        os.makedirs(self.folder, exist_ok=True)
        kept = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimiser")}
        kept |= {"progress": self.progress, "best": self.best, "random": torch.get_rng_state(), "identity": self.identity}
        torch.save(kept, f"{self.checkpoint}.part")
        os.replace(f"{self.checkpoint}.part", self.checkpoint)

    def rate_at(self, epoch: float, epochs: int, rate: float) -> float:
        """Warm-up over a fifth, then a cosine to nothing."""
        share = epoch / epochs
        return rate * (share / 0.2 if share < 0.2 else 0.5 * (1 + np.cos(np.pi * (share - 0.2) / 0.8)) + 1e-3)

    def epoch(self, stage: int, at: int):
        o = self.options
        size, rate, epochs = ((o.batch, o.rate, o.epochs), (o.nested_batch, o.nested_rate, o.nested_epochs))[stage]
        self.network.train()
        order = torch.randperm(len(self.weights))[: None if stage == 0 else o.nested_rows]
        total, count = 0.0, max(1, len(order) // size)
        for number in tqdm(range(count), desc=f"{'price closed form' if stage == 0 else 'nested CRPS'} {at + 1}/{epochs}", disable=None, leave=False):
            index = order[number * size : (number + 1) * size]
            b = {k: v[index] for k, v in self.train.items()}
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate_at(at + number / count, epochs, rate)
            answers = answers_of(self.network, b)
            if stage == 0:
                own = self.scorer.price(answers, b)
            else:
                drawn = noise(len(index), o.paths, self.scorer.steps, torch.default_generator)
                own = sum(self.scorer.paths(answers, b, drawn))
            objective = (own * self.weights[index]).mean()
            self.optimiser.zero_grad()
            objective.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimiser.step()
            self.average.update_parameters(self.network)
            total += float(objective.detach())
        return total / count

    def validation_ratio(self, stage: int) -> float:
        asset = self.validation["asset"].numpy()
        if stage == 0:
            return ratio_of(*closed_losses(self.average, self.validation, self.scorer), asset)
        scores = nested_losses(self.average, self.validation, self.scorer, paths=200, seed=7)
        return ratio_of(scores[:, :2].sum(1), scores[:, 2:].sum(1), asset)

    def run(self, stop=None, log=print):
        """
        Epochs that were best, by stage. Without a validation part the weights after `stop` epochs of each stage are kept; rates
        go by the number of epochs of the options all the same.
        """
        self.resume()
        o, p = self.options, self.progress
        for stage, epochs in enumerate(stop or (o.epochs, o.nested_epochs)):
            first = 0 if stage == 0 else (stop[0] if stop else o.epochs)
            for at in range(max(0, p["done"] - first), epochs):
                began = time.time()
                if at == 0 and stage == 1:
                    self.start_nested()
                objective = self.epoch(stage, at)
                ratio = self.validation_ratio(stage) if self.validation else float("nan")
                p["curve"].append([stage, at + 1, objective, ratio])
                log(f"stage {stage + 1} epoch {at + 1} objective {objective:.5f} validation {ratio:.5f} {time.time() - began:.0f} s")
                if not self.validation or ratio < p["best"][stage]:
                    p["best"][stage], p["at"][stage] = ratio, at + 1
                    self.best = copy.deepcopy(self.average.state_dict())
                p["done"] = first + at + 1
                if self.validation and at + 1 - p["at"][stage] >= o.patience:
                    p["done"] = first + epochs
                self.save()
                self.write_curve()
                if p["done"] == first + epochs:
                    break
        self.average.load_state_dict(self.best)
        return p["at"]

    def start_nested(self):
        """From the best closed-form weights; its own best counts only where it beats them on the nested score."""
        self.average.load_state_dict(self.best)
        self.network.load_state_dict(self.average.module.state_dict())
        if self.validation:
            self.progress["best"][1] = min(1.0, self.validation_ratio(1))

    def write_curve(self):
        rows = self.progress["curve"]
        with open(os.path.join(self.folder, "loss.csv"), "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["stage", "epoch", "objective", "validation"], *rows])
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2))
        for stage, label in enumerate(("closed form", "nested CRPS")):
            own = [row for row in rows if row[0] == stage]
            offset = 0 if stage == 0 else sum(row[0] == 0 for row in rows)
            for axis, column in zip(axes, (2, 3)):
                axis.plot([offset + row[1] for row in own], [row[column] for row in own], ".-", label=label)
        for axis, title in zip(axes, ("objective (training)", "score / EWMA engine (validation)")):
            axis.set(title=title, xlabel="epoch")
            axis.legend()
        figure.tight_layout()
        figure.savefig(os.path.join(self.folder, "loss.png"), dpi=110)
        pyplot.close(figure)
