"""Fine-tune the network on a training set."""

import copy
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from commandline.terminal import progress_bar, say
from model_build.errors import UsageError
from model_build.training.augmentation import augment
from model_build.training.dataset import TEXTURE_OUTPUT, TrainingSet
from model_build.training.network import Network, normalise, pretrained_parts, pretrained_weights
from model_build.training.recipe import Recipe

EMA_EVERY: Final = 2  # steps; every step is no better and costs more
EMA_RAMP: Final = 20  # steps; the decay rises from 0 to the recipe's, so that early weights are forgotten
MIN_RATE: Final = 0.01  # of the peak, in the first step


class EpochResult(NamedTuple):
    """Means over one epoch's augmented images."""

    loss: float
    accuracy: float


def learning_rate(progress: float, warmup: float) -> float:
    """Return the learning rate as a fraction of its peak: linear warm-up, then cosine decay to zero."""
    if progress < warmup:
        return max(progress / warmup, MIN_RATE)
    return 0.5 * (1 + float(torch.cos(torch.tensor((progress - warmup) / (1 - warmup) * torch.pi))))


def fit(
    data: TrainingSet, recipe: Recipe, title: str = "training", time_budget: float | None = None
) -> tuple[Network, list[EpochResult]]:
    """Train one network; equal data and recipe give equal networks on the same kind of processor.

    A time budget, in seconds, shortens the schedule, at the cost of that.
    """
    # Threads split sums, and floats added in another order give another sum.
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    trainer = Trainer(data, recipe, time_budget)
    results = list[EpochResult]()
    with progress_bar(total=recipe.epochs, title=title, unit="epoch") as bar:
        while trainer.progress < 1:
            result = trainer.epoch()
            results.append(result)
            bar.set_postfix(loss=f"{result.loss:.3f}", accuracy=f"{result.accuracy:.3f}")
            bar.update()
            if bar.disable:  # in a log, such as a training job's
                counted = f"{title}: epoch {len(results)} of {recipe.epochs}"
                say(f"{counted}, loss {result.loss:.3f}, accuracy {result.accuracy:.3f}")
    blend(trainer.averaged, recipe.pretrained)
    return trainer.averaged, results


class Trainer:
    """The state of one training."""

    def __init__(self, data: TrainingSet, recipe: Recipe, time_budget: float | None) -> None:
        self.data, self.recipe = data, recipe
        self.random = torch.Generator().manual_seed(recipe.seed)
        network = Network(len(data.outputs), recipe.frozen, recipe.dropout)
        self.network = network.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.network).eval()
        # A lower learning rate for the pretrained parts than for the new output layer.
        tail = {"params": list(network.tail.parameters()), "peak": recipe.learning_rate, "weight_decay": 0.0}
        head = {"params": list(network.head.parameters()), "peak": recipe.head_rate}
        self.optimiser = torch.optim.AdamW([tail, head], weight_decay=recipe.weight_decay)
        epoch_steps = len(sample_epoch(data, recipe, torch.Generator())) // recipe.batch
        if not epoch_steps:
            raise UsageError(
                f"--batch {recipe.batch}: fewer training images than one batch; use a smaller one"
            )
        self.steps, self.total = 0, epoch_steps * recipe.epochs
        self.started, self.time_budget = time.monotonic(), time_budget

    @property
    def progress(self) -> float:
        """The fraction of the training that is done, by steps or by time, whichever is further."""
        elapsed = (time.monotonic() - self.started) / self.time_budget if self.time_budget else 0.0
        return min(1.0, max(self.steps / self.total, elapsed))

    def epoch(self) -> EpochResult:
        """Train for one epoch, or until the time budget is spent."""
        sums = torch.zeros(3)  # loss, correct answers, images
        for images, targets in _batches(self.data, self.recipe, self.random):
            progress = self.progress
            for group in self.optimiser.param_groups:
                group["lr"] = group["peak"] * learning_rate(progress, self.recipe.warmup)
            sums += self._step(images, targets)
            if progress >= 1:
                break
        return EpochResult(float(sums[0] / sums[2]), float(sums[1] / sums[2]))

    def _step(self, images: Tensor, targets: Tensor) -> Tensor:
        """Make one step of the optimiser; return the sum of the losses, correct answers and images."""
        recipe = self.recipe
        logits = self.network.classify(self.network.extract(normalise(images), bfloat16=recipe.bfloat16))
        loss = functional.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.steps += 1
        if self.steps % EMA_EVERY == 0:
            decay = min(recipe.averaging, self.steps / (self.steps + EMA_RAMP))
            with torch.no_grad():
                for mean, value in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                    if value.requires_grad:
                        mean.lerp_(value, 1 - decay)
        correct = (logits.argmax(1) == targets).sum()
        return torch.stack([loss.detach() * len(targets), correct, torch.tensor(len(targets))])


@torch.no_grad()
def blend(network: Network, share: float) -> None:
    """Interpolate with the pretrained weights: better on other images (WiSE-FT, arXiv:2109.01903)."""
    start = nn.Sequential(*pretrained_parts(pretrained_weights())[len(network.front) :])
    for trained, pretrained in zip(network.tail.parameters(), start.parameters(), strict=True):
        trained.lerp_(pretrained, share)


def sample_epoch(data: TrainingSet, recipe: Recipe, random: torch.Generator) -> Tensor:
    """Return shuffled indices [M] of all labelled images, and of some negatives, drawings and textures."""
    known = data.targets < len(data.labels)
    textures = data.targets == data.outputs.index(TEXTURE_OUTPUT)
    labelled = torch.nonzero(known & data.real).flatten()
    chosen = [labelled]
    for where, share in (
        (~known & data.real, recipe.others),
        (~data.real & ~textures, recipe.drawn),
        (textures, recipe.clutter),
    ):
        pool = torch.nonzero(where).flatten()
        picked = torch.randperm(len(pool), generator=random)[: round(share * len(labelled))]
        chosen.append(pool[picked])
    epoch = torch.cat(chosen)
    return epoch[torch.randperm(len(epoch), generator=random)]


def _batches(data: TrainingSet, recipe: Recipe, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of augmented images [N, 3, H, W] in 0..1 and their targets [N]."""
    order = sample_epoch(data, recipe, random)
    negatives = torch.nonzero(data.targets >= len(data.labels)).flatten()
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        index = order[start : start + recipe.batch]
        compressed = torch.rand(len(index), generator=random) < recipe.compressed
        images = torch.where(compressed[:, None, None, None], data.compressed[index], data.images[index])
        backgrounds = images
        if len(negatives):
            chosen = negatives[torch.randint(len(negatives), (len(index),), generator=random)]
            backgrounds = data.images[chosen]
        images = augment(images / 255, backgrounds / 255, recipe.side, recipe.augmentation, random)
        yield images, data.targets[index]
