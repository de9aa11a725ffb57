"""From data to a finished model folder: read, train, export, measure, draw."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from model_build.archive.loaded_model import open_model
from model_build.archive.manifest import NETWORK, Manifest, Normalisation, TrainingData
from model_build.archive.package import write_code
from model_build.evaluation import charts
from model_build.evaluation.report import evaluate
from model_build.training.dataset import assemble
from model_build.training.fit import fit
from model_build.training.images import archives_in, read_images
from model_build.training.network import PIXEL_MEAN, PIXEL_STD, PRETRAINED
from model_build.training.pretrained_head import ServedNetwork, fit_pretrained_head
from model_build.training.pretrained_networks import write_experts
from model_build.training.recipe import LARGEST_THUMBNAIL, THUMBNAIL, Recipe


def train(
    paths: Sequence[Path], labels: Sequence[str], recipe: Recipe, output: Path, time_budget: float | None
) -> Manifest:
    """Train a model on archives and folders; write it, its charts, and its figures on the test images."""
    images = read_images(paths)
    data = assemble(images, labels)
    network, epochs = fit(data, recipe, time_budget=time_budget)
    head = fit_pretrained_head(data, network, recipe.side)
    output.mkdir(parents=True, exist_ok=True)
    ServedNetwork(network, head).export(output / NETWORK)
    photos = write_experts(output, labels)
    thumbnails = THUMBNAIL.model_copy(update={"up_to": LARGEST_THUMBNAIL})
    manifest = Manifest(
        labels=tuple(labels),
        outputs=tuple(data.outputs),
        input_size=(recipe.side, recipe.side),
        normalisation=Normalisation(mean=PIXEL_MEAN, std=PIXEL_STD),
        temperature=recipe.temperature,
        views=(thumbnails, photos) if photos else (THUMBNAIL,),
        default_threshold=recipe.threshold,
        training_data=TrainingData(sha256=images.sources, images=images.counts()),
        starts_from=PRETRAINED,
        recipe=dataclasses.asdict(recipe),
        torch=torch.__version__,
        metrics={},
    )
    manifest.write(output)
    write_code(output)
    for name in ("loss", "accuracy"):
        curve = charts.training_curve(name, [getattr(epoch, name) for epoch in epochs])
        charts.write_png(curve, output / f"training_{name}.png")
    archives = archives_in(paths)
    if archives:
        with open_model(output) as model:
            measured = evaluate(model, archives).archives
        manifest = manifest.model_copy(update={"metrics": dataclasses.asdict(measured.metrics)})
        manifest.write(output)
        confusion = charts.confusion_matrix(measured.confusion, labels, "test images")
        charts.write_png(confusion, output / "confusion.png")
    return manifest
