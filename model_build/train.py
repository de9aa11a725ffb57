"""Train a classifier of photos that also knows what it does not know, and write what serves it.

The shipped model is what this makes of CIFAR-100's bicycles and motorcycles (1,000 training images) and seven
kinds of CIFAR-10 that are neither, both archives in `data/`:

    python -m model_build train --output build/model

Seeds 0 to 4 on one thread of an AMD EPYC core that other programs shared: 470 to 580 CPU-seconds each;
0.965, 0.970, 0.970, 0.970 and 0.970 right on the 200 test images; on average 0.923 accepted (threshold 0.85),
0.982 right of those, 0.0004 of 1,400 other images accepted. Shipped is seed 0, the default, whatever the test
images say. MODEL_CARD.md has the rest. Choices were made by cross-validation and on photos that are not in
the archives; what the test images were read for all the same, the card says.

One script-mode program: `python -m model_build train` here, `python train.py` in a SageMaker training job,
where hyperparameters arrive as strings and the environment names data channels and model folder. One thread
by default, wherever it runs: a seed gives one model, other numbers of threads give others. It writes
`model.onnx`, `manifest.json`, `code/` and drawings of how the training went.
"""

import argparse
import copy
import dataclasses
import json
import os
import shutil
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

if not __package__:  # run as a plain script: its folder is the package, whatever the folder's name is
    _package = types.ModuleType("model_build")
    _package.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules["model_build"] = _package

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from model_build.data.download import training_archives
from model_build.errors import ModelBuildError, UsageError
from model_build.evaluation import charts
from model_build.evaluation.report import Evaluation, evaluate
from model_build.training.augmentation import Augmentation, augment
from model_build.training.dataset import Images, TrainingSet, assemble, channels, read_images
from model_build.training.fuse_padding import join_padding
from model_build.training.network import (
    PIXEL_MEAN,
    PIXEL_STD,
    PRETRAINED,
    STRIDE,
    Network,
    normalise,
    pretrained_weights,
)
from model_build.training.pretrained_head import WithPrior, fit_prior
from model_build.training.quantize import compact

SERVING: Final = Path(__file__).resolve().parent / "serving"
# What inference looks at (see serving/inference.py): thumbnails with some room around, averaged with their
# mirror image; photos larger, for their detail. The larger an image, the less decided the network
# sounds (its features are means over more places): `softness` is how much, to make confidences comparable.
# Photos are what the pretrained network knows best, thumbnails what it knows least: hence `prior_weight`.
VIEWS: Final[tuple[dict[str, Any], ...]] = (
    {"up_to": 64, "side": 160, "margin": 0.1, "mirror": True, "softness": 1.0, "prior_weight": 0.3},
    {"side": 192, "mirror": False, "softness": 0.79, "prior_weight": 0.7},
)
OPSET: Final = 17
DEFAULT_CLASSES: Final = "bicycle,motorcycle"

# ---------------------------------------------------------------------------------------------------------
# Hyperparameters


def _hyperparameter(default: Any, purpose: str) -> Any:
    """A field of the recipe that is an option of the command too."""
    return field(default=default, metadata={"purpose": purpose})


@dataclass(frozen=True)
class Recipe:
    """Everything but the data that decides what network comes out."""

    seed: int = _hyperparameter(0, "one seed gives one model")
    epochs: int = _hyperparameter(12, "how often each labelled image is seen")
    side: int = _hyperparameter(128, "height and width of the network's input in training")
    frozen: int = _hyperparameter(12, "how many of the network's 18 parts keep their pretrained weights")
    batch: int = _hyperparameter(64, "images a step")
    learning_rate: float = _hyperparameter(5e-4, "peak for the parts that learn")
    head_rate: float = _hyperparameter(5e-3, "peak for the output layer")
    weight_decay: float = _hyperparameter(0.05, "on the output layer")
    warmup: float = _hyperparameter(0.1, "share of training in which the learning rates rise")
    label_smoothing: float = _hyperparameter(0.05, "share of each target given to all outputs")
    dropout: float = _hyperparameter(0.2, "share of features left out at random")
    averaging: float = _hyperparameter(0.97, "share of the averaged weights kept every second step")
    pretrained: float = _hyperparameter(0.15, "share of the pretrained weights in the final ones (WiSE-FT)")
    others: float = _hyperparameter(2.0, "images of other kinds in an epoch, per labelled image")
    drawn: float = _hyperparameter(0.3, "drawings in an epoch, per labelled image")
    clutter: float = _hyperparameter(0.25, "pictures of nothing in particular, likewise")
    compressed: float = _hyperparameter(0.5, "share of images seen as JPEG left them")
    bfloat16: bool = _hyperparameter(True, "frozen parts in bfloat16 (faster where the CPU knows it)")
    threads: int = _hyperparameter(1, "to compute with; another number may give another model, as good")
    temperature: float = _hyperparameter(0.7, "divides the logits; see `cross-validate`")
    threshold: float = _hyperparameter(0.85, "confidence from which an answer is accepted by default")
    augmentation: Augmentation = field(default_factory=Augmentation)


DRAWINGS_PER_KIND: Final = 300
CLUTTER_PICTURES: Final = 1500


# ---------------------------------------------------------------------------------------------------------
# Training


@dataclass(frozen=True)
class EpochResult:
    """Means over one epoch's augmented images."""

    loss: float
    accuracy: float


def fit(
    data: TrainingSet, recipe: Recipe, *, title: str = "training", time_budget: float | None = None
) -> tuple[Network, list[EpochResult]]:
    """Train one network; the same data and recipe give the same network on the same kind of processor.

    Args:
        data: the training set.
        recipe: hyperparameters.
        title: of the progress bar.
        time_budget: seconds after which training must have ended; the schedule is shortened to fit.

    Returns:
        The network with averaged weights, in evaluation mode, and how the epochs went.

    Raises:
        UsageError: the recipe cannot be followed.
    """
    if recipe.threads < 1:
        raise UsageError(f"--threads {recipe.threads}: one is the least")
    # Threads share sums out among them, and floats added up in another order give another sum.
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    chance = torch.Generator().manual_seed(recipe.seed)
    network = Network(len(data.outputs), recipe.frozen, recipe.dropout)
    network.load_pretrained(pretrained_weights())
    network = network.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    optimiser = _optimiser(network, recipe)
    epoch_steps = len(sample_epoch(data, recipe, torch.Generator())) // recipe.batch
    if not epoch_steps:
        raise UsageError(f"fewer training images than one batch of {recipe.batch}: use a smaller --batch")
    started, steps, results = time.monotonic(), 0, list[EpochResult]()
    with tqdm(total=recipe.epochs, desc=title, unit="epoch") as bar:
        while (progress := _progress(steps, epoch_steps * recipe.epochs, started, time_budget)) < 1:
            sums = torch.zeros(3)
            for images, targets in _batches(data, recipe, chance):
                progress = _progress(steps, epoch_steps * recipe.epochs, started, time_budget)
                for group in optimiser.param_groups:
                    group["lr"] = group["peak"] * _rate(progress, recipe.warmup)
                logits = network.finish(network.begin(normalise(images), bfloat16=recipe.bfloat16))
                loss = functional.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                steps += 1
                if steps % 2 == 0:  # every second step is as good as every step, and cheaper
                    _follow(averaged, network, min(recipe.averaging, steps / (steps + 20)))
                right = (logits.argmax(1) == targets).sum()
                sums += torch.stack([loss.detach() * len(targets), right, torch.tensor(len(targets))])
                if progress >= 1:  # the time is up
                    break
            results.append(EpochResult(float(sums[0] / sums[2]), float(sums[1] / sums[2])))
            bar.set_postfix(loss=f"{results[-1].loss:.3f}", accuracy=f"{results[-1].accuracy:.3f}")
            bar.update()
    blend(averaged, recipe.pretrained)
    return averaged, results


@torch.no_grad()
def blend(network: Network, share: float) -> None:
    """Mix the parts that learned with what they started from.

    Part of the way back a network is nearly as right on images like those it was trained on, and more so on
    others (WiSE-FT, https://arxiv.org/abs/2109.01903).

    Args:
        network: the trained network.
        share: of the pretrained weights in the result.
    """
    start = Network(network.head.out_features, len(network.front))
    start.load_pretrained(pretrained_weights())
    for learned, pretrained in zip(network.tail.parameters(), start.tail.parameters(), strict=True):
        learned.lerp_(pretrained, share)


def _optimiser(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; the pretrained parts learn more slowly than the output layer, which starts from nothing."""
    tail = {"params": list(network.tail.parameters()), "peak": recipe.learning_rate, "weight_decay": 0.0}
    head = {"params": list(network.head.parameters()), "peak": recipe.head_rate}
    return torch.optim.AdamW([tail, head], weight_decay=recipe.weight_decay)


def _progress(steps: int, total: int, started: float, time_budget: float | None) -> float:
    """How much of the training is done, 0 to 1, by steps or by time, whichever is further."""
    by_time = (time.monotonic() - started) / time_budget if time_budget else 0.0
    return min(1.0, max(steps / total, by_time))


def _rate(progress: float, warmup: float) -> float:
    """The learning rate as a share of its peak: a linear rise, then half a cosine down to zero."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    return 0.5 * (1 + float(torch.cos(torch.tensor((progress - warmup) / (1 - warmup) * torch.pi))))


def sample_epoch(data: TrainingSet, recipe: Recipe, chance: torch.Generator) -> Tensor:
    """One epoch's images: every labelled one, and a fresh sample of everything else.

    Returns:
        Indices, int64 [M], shuffled.
    """
    known = data.targets < len(data.labels)
    clutter = data.targets == data.clutter_output
    labelled = torch.nonzero(known & data.real).flatten()
    chosen = [labelled]
    for where, share in (
        (~known & data.real, recipe.others),
        (~data.real & ~clutter, recipe.drawn),
        (clutter, recipe.clutter),
    ):
        pool = torch.nonzero(where).flatten()
        picked = torch.randperm(len(pool), generator=chance)[: round(share * len(labelled))]
        chosen.append(pool[picked])
    epoch = torch.cat(chosen)
    return epoch[torch.randperm(len(epoch), generator=chance)]


def _batches(data: TrainingSet, recipe: Recipe, chance: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented images [N, 3, H, W] in 0..1 and their targets [N]."""
    order = sample_epoch(data, recipe, chance)
    others = torch.nonzero(data.targets >= len(data.labels)).flatten()
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        index = order[start : start + recipe.batch]
        squeezed = torch.rand(len(index), generator=chance) < recipe.compressed
        images = torch.where(squeezed[:, None, None, None], data.compressed[index], data.images[index])
        around = images
        if len(others):
            around = data.images[others[torch.randint(len(others), (len(index),), generator=chance)]]
        images = augment(images / 255, around / 255, recipe.side, recipe.augmentation, chance)
        yield images, data.targets[index]


@torch.no_grad()
def _follow(averaged: Network, network: Network, keep: float) -> None:
    """Move the averaged weights towards the network's."""
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        if value.requires_grad:
            mean.lerp_(value, 1 - keep)


# ---------------------------------------------------------------------------------------------------------
# What the training leaves behind


def export(served: WithPrior, path: Path) -> None:
    """Write the network as ONNX: normalised `images` [batch, 3, H, W] to `logits` and `prior`.

    Args:
        served: the trained network with its second opinion.
        path: the file.
    """
    with warnings.catch_warnings():
        # The older exporter needs least, and says so about itself; it also tells what it does not fold.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served.eval().to(memory_format=torch.contiguous_format),
            (torch.zeros(1, 3, STRIDE * 4, STRIDE * 4),),
            str(path),
            input_names=["images"],
            output_names=["logits", "prior"],
            dynamic_axes={
                "images": {0: "batch", 2: "height", 3: "width"},
                "logits": {0: "batch"},
                "prior": {0: "batch"},
            },
            opset_version=OPSET,
            dynamo=False,
        )
    compact(path, served.origins(), served.coarse)
    join_padding(path)


def write_manifest(folder: Path, images: Images, data: TrainingSet, recipe: Recipe) -> dict[str, Any]:
    """Write everything that inference needs, and where the model comes from, to `manifest.json`."""
    manifest = {
        "format": 1,
        "labels": data.labels,
        "outputs": data.outputs,
        "input_size": [recipe.side, recipe.side],
        "normalisation": {"mean": PIXEL_MEAN, "std": PIXEL_STD},
        "temperature": recipe.temperature,
        "views": list(VIEWS),
        "default_threshold": recipe.threshold,
        "training_data": {
            "sha256": images.sources,
            "images": {name: images.count(name) for name in sorted(images.by_class)},
        },
        "starts_from": PRETRAINED,
        "recipe": dataclasses.asdict(recipe),
        "torch": torch.__version__,
        "metrics": {},
    }
    save_manifest(folder, manifest)
    return manifest


def save_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest in the one form that equal manifests have."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


METRICS: Final = (
    "images", "accuracy", "coverage", "selective_accuracy", "ece", "other_images", "other_accepted",
    "other_auroc", "jpeg_accuracy",
)  # fmt: skip


def measure(folder: Path, manifest: dict[str, Any], archives: Sequence[Path]) -> Evaluation | None:
    """Evaluate the finished model on the archives' test images and add the figures to its manifest."""
    if not archives:
        return None  # folders by class have no test split
    evaluation = evaluate(folder, archives)
    manifest["metrics"] = {name: evaluation.figures[name] for name in METRICS}
    save_manifest(folder, manifest)
    return evaluation


def draw_training(folder: Path, results: Sequence[EpochResult], evaluation: Evaluation | None) -> None:
    """Draw the curves of the training and the confusion matrix next to the model."""
    epochs = charts.Axis("epoch", 0, max(len(results), 1))
    for name, top in (("loss", max(result.loss for result in results)), ("accuracy", 1.0)):
        points = [(number + 1, getattr(result, name)) for number, result in enumerate(results)]
        title = f"{name} on augmented training images, all outputs"
        chart = charts.line_chart(title, epochs, charts.Axis(name, 0, top), [charts.Series(name, points)])
        chart.save(folder / f"training_{name}.png", optimize=True)
    if evaluation is not None:
        rows, labels = evaluation.figures["confusion"], evaluation.labels
        chart = charts.confusion_chart("test images", rows, labels)
        chart.save(folder / "confusion.png", optimize=True)


# ---------------------------------------------------------------------------------------------------------
# The command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `train`."""
    add_data_arguments(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(os.environ.get("SM_MODEL_DIR", "build/model")),
        metavar="DIR",
        help="where the model goes",
    )
    parser.add_argument(
        "--time-budget", "--time_budget", type=float, metavar="SECONDS",
        help="shorten the training so that it ends in time; then two runs are not alike",
    )  # fmt: skip


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that name data and hyperparameters, which `cross-validate` has too."""
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        metavar="PATH",
        help="CIFAR archives, folders of them, or folders with a folder per class; by default the channels "
        "of a SageMaker job, else CIFAR-100 (downloaded where missing) and, if it is there, CIFAR-10",
    )
    parser.add_argument(
        "--classes",
        default=DEFAULT_CLASSES,
        metavar="NAMES",
        help="what to tell apart, with commas between; images of other classes teach what is none of them",
    )
    for one in dataclasses.fields(Recipe):
        if "purpose" in one.metadata:
            # SageMaker hands hyperparameters over under their own names and every value as text.
            names = list(dict.fromkeys([f"--{one.name.replace('_', '-')}", f"--{one.name}"]))
            kind: Callable[[str], Any] = _truth if isinstance(one.default, bool) else type(one.default)
            parser.add_argument(
                *names, dest=one.name, type=kind, default=one.default, help=one.metadata["purpose"]
            )


def _truth(text: str) -> bool:
    """`true` or `false`, in any case."""
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r}: say true or false")
    return text.lower() == "true"


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe that the options describe."""
    names = [one.name for one in dataclasses.fields(Recipe) if "purpose" in one.metadata]
    return Recipe(**{name: getattr(args, name) for name in names})


def data_of(args: argparse.Namespace) -> tuple[list[Path], Images, TrainingSet]:
    """The data that the options describe: its paths, its images, and the training set made of them."""
    paths = args.data or channels()
    if not paths:
        paths = training_archives()
    images = read_images(paths)
    labels = [name.strip() for name in args.classes.split(",")]
    return paths, images, assemble(images, labels, drawings=DRAWINGS_PER_KIND, clutter=CLUTTER_PICTURES)


def run(args: argparse.Namespace) -> int:
    """The command `train`."""
    recipe, folder = recipe_of(args), args.output
    paths, images, data = data_of(args)
    network, results = fit(data, recipe, time_budget=args.time_budget)
    folder.mkdir(parents=True, exist_ok=True)
    prior = fit_prior(data, network, recipe.side)
    export(WithPrior(network, prior), folder / "model.onnx")
    manifest = write_manifest(folder, images, data, recipe)
    shutil.copytree(
        SERVING, folder / "code", ignore=shutil.ignore_patterns("__pycache__", "__init__.py", "ray"),
        dirs_exist_ok=True,
    )  # fmt: skip
    evaluation = measure(folder, manifest, archive_paths(paths))
    draw_training(folder, results, evaluation)
    for name, value in manifest["metrics"].items():
        print(f"{name:20}{value if not isinstance(value, float) else round(value, 4)}")
    print(f"{folder}: {len(data.labels)} labels, {len(data.outputs) - len(data.labels)} other kinds")
    return 0


def archive_paths(paths: Sequence[Path]) -> list[Path]:
    """The archives among data paths and in the folders among them."""
    return [
        archive for path in paths for archive in (sorted(path.glob("*.tar.gz")) if path.is_dir() else [path])
    ]


def main() -> int:
    """Run as a plain script, as a SageMaker training job does."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except ModelBuildError as exc:
        print(f"train: {exc}", file=sys.stderr)
        return exc.exit_code


if __name__ == "__main__":
    sys.exit(main())
