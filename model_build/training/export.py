"""Write a trained model: the network as ONNX, the manifest, the serving code and the training curves."""

import dataclasses
import warnings
from pathlib import Path
from typing import Final

import torch

from model_build.artifact.manifest import Manifest, Normalisation, TrainingData
from model_build.artifact.package import NETWORK, write_code
from model_build.training.dataset import TrainingSet
from model_build.training.fuse_padding import fuse_padding
from model_build.training.images import Images
from model_build.training.network import PIXEL_MEAN, PIXEL_STD, PRETRAINED, STRIDE
from model_build.training.pretrained_head import ServedNetwork
from model_build.training.quantize import quantize
from model_build.training.recipe import VIEWS, Recipe

OPSET: Final = 17


def export(served: ServedNetwork, path: Path) -> None:
    """Write the network as ONNX: normalised `images` [batch, 3, H, W] to `logits` and `prior`.

    Args:
        served: the trained network with its pretrained head.
        path: the file to write.
    """
    with warnings.catch_warnings():
        # The TorchScript-based exporter needs no further package; it warns about its deprecation and about
        # what it does not fold.
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
    quantize(path, served.origins(), served.coarse)
    fuse_padding(path)


def write_model(
    folder: Path, served: ServedNetwork, images: Images, data: TrainingSet, recipe: Recipe
) -> Manifest:
    """Write everything that serves the model into a folder; metrics are added by whoever measures them.

    Args:
        folder: the model folder, created if missing.
        served: the trained network with its pretrained head.
        images: where the training set comes from.
        data: the training set.
        recipe: hyperparameters.

    Returns:
        The manifest written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    export(served, folder / NETWORK)
    manifest = Manifest(
        labels=tuple(data.labels),
        outputs=tuple(data.outputs),
        input_size=(recipe.side, recipe.side),
        normalisation=Normalisation(mean=PIXEL_MEAN, std=PIXEL_STD),
        temperature=recipe.temperature,
        views=VIEWS,
        default_threshold=recipe.threshold,
        training_data=TrainingData(sha256=images.sources, images=images.counts()),
        starts_from=PRETRAINED,
        recipe=dataclasses.asdict(recipe),
        torch=torch.__version__,
        metrics={},
    )
    manifest.write(folder)
    write_code(folder)
    return manifest
