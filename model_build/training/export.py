"""Write a trained model: the networks as ONNX, the manifest, the serving code and the training curves."""

import dataclasses
from pathlib import Path

import torch

from model_build.artifact.manifest import NETWORK, Manifest, Normalisation, TrainingData
from model_build.artifact.package import write_code
from model_build.training.dataset import TrainingSet
from model_build.training.images import Images
from model_build.training.network import PIXEL_MEAN, PIXEL_STD, PRETRAINED
from model_build.training.onnx_files import fuse_padding, quantize, write_onnx
from model_build.training.pretrained_head import ServedNetwork
from model_build.training.pretrained_networks import write_experts
from model_build.training.recipe import VIEWS, Recipe


def export(served: ServedNetwork, path: Path) -> None:
    """Write the network as ONNX: normalised `images` [batch, 3, H, W] to `logits` and `prior`."""
    write_onnx(served, path, ["logits", "prior"])
    quantize(path, served.origins(), served.coarse)
    fuse_padding(path)


def write_model(
    folder: Path, served: ServedNetwork, images: Images, data: TrainingSet, recipe: Recipe
) -> Manifest:
    """Write everything that serves the model into a folder; metrics are added by whoever measures them."""
    folder.mkdir(parents=True, exist_ok=True)
    export(served, folder / NETWORK)
    manifest = Manifest(
        labels=tuple(data.labels),
        outputs=tuple(data.outputs),
        input_size=(recipe.side, recipe.side),
        normalisation=Normalisation(mean=PIXEL_MEAN, std=PIXEL_STD),
        temperature=recipe.temperature,
        views=(VIEWS[0], write_experts(folder, data.labels) or VIEWS[1]),
        default_threshold=recipe.threshold,
        training_data=TrainingData(
            sha256=images.sources, images=images.counts(), photos=tuple(images.photos) or None
        ),
        starts_from=PRETRAINED,
        recipe=dataclasses.asdict(recipe),
        torch=torch.__version__,
        metrics={},
    )
    manifest.write(folder)
    write_code(folder)
    return manifest
