"""What charts show, read from the figures before they become pixels, and the files that they become."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from PIL import Image

from model_build.evaluation import charts
from model_build.evaluation.predictions import Predictions

# Predictions 0, 0, 1, 0, 1 with confidence 0.9, 0.8, 0.8, 0.6, 0.7; the second and the last are wrong.
PROBABILITIES = [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]
TRUTH = [0, 1, 1, 0, 0]


def predictions(negatives: list[list[float]] | None = None) -> Predictions:
    return Predictions(
        names=tuple("abcde"),
        probabilities=np.array(PROBABILITIES),
        labels=np.array(TRUTH),
        negatives=np.array(negatives or []).reshape(-1, 2),
        negative_names=("negative",) * len(negatives or []),
    )


def axes_of(figure: Figure, title: str, *names: str) -> Axes:
    """Return the axes, which have this title and these names."""
    (axes,) = figure.axes
    assert axes.get_title() == title
    assert (axes.get_xlabel(), axes.get_ylabel()) == names
    return axes


def points_of(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each line by its name in the legend."""
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
        for line in axes.get_lines()
    }


def test_the_confusion_matrix_has_true_classes_in_rows_shaded_by_their_share() -> None:
    expected = ("Confusion matrix, photos", "predicted class", "true class")
    axes = axes_of(charts.confusion_matrix([[96, 4], [3, 1]], ["red", "blue"], "photos"), *expected)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["red", "blue"]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "96",
        (1, 0): "4",
        (0, 1): "3",
        (1, 1): "1",
    }
    (image,) = axes.get_images()
    np.testing.assert_allclose(np.asarray(image.get_array()), [[0.96, 0.04], [0.75, 0.25]])
    assert image.get_clim() == (0, 1)
    unseen_class = charts.confusion_matrix([[96, 4], [0, 0]], ["red", "blue"], "photos")
    (unseen,) = axes_of(unseen_class, *expected).get_images()
    np.testing.assert_allclose(np.asarray(unseen.get_array()), [[0.96, 0.04], [0.0, 0.0]])


def test_the_reliability_diagram_shows_accuracy_by_confidence() -> None:
    # ECE of 15 bins: gaps 0.1, (0.3, 2 images), 0.4, 0.7 of five images
    title = "Reliability diagram, photos (ECE 0.360)"
    axes = axes_of(charts.reliability_diagram(predictions(), "photos"), title, "confidence", "accuracy")
    (bins,) = axes.collections
    assert isinstance(bins, PathCollection)
    np.testing.assert_allclose(np.asarray(bins.get_offsets()), [[0.6, 1], [0.7, 0], [0.8, 0.5], [0.9, 1]])
    np.testing.assert_allclose(bins.get_sizes(), [65, 65, 115, 65])  # 15 + 250 * share of the images


def test_the_risk_coverage_curve_has_a_line_of_what_is_there() -> None:
    risk = "selective risk (1 - selective accuracy)"
    point = "operating point (threshold 0.75)"
    expected = ("Risk-coverage curve, photos", "coverage", "rate")

    def drawn(threshold: float, negatives: list[list[float]] | None = None) -> Axes:
        figure = charts.risk_coverage_curve(predictions(negatives), threshold, "photos")
        return axes_of(figure, *expected)

    axes = drawn(0.75, [[0.75, 0.25], [0.1, 0.9]])
    found, legend = points_of(axes), axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(found)
    np.testing.assert_allclose(found[risk], [(1 / 5, 0), (3 / 5, 1 / 3), (4 / 5, 2 / 4), (1, 2 / 5)])
    assert found["false acceptance rate"] == [(1 / 5, 0.5), (3 / 5, 0.5), (4 / 5, 1), (1, 1)]
    np.testing.assert_allclose(found[point], [(3 / 5, 1 / 3)])
    assert list(points_of(drawn(0.75))) == [risk, point]
    assert list(points_of(drawn(0.95))) == [risk], "nothing is accepted"


def test_training_curves_begin_with_the_first_epoch() -> None:
    figure = charts.training_curve("loss", [1.5, 0.5, 0.25])
    axes = axes_of(figure, "Training loss", "epoch", "loss on augmented training images")
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    assert list(points_of(axes).values()) == [[(1, 1.5), (2, 0.5), (3, 0.25)]]


def test_a_file_has_the_figure_and_nothing_that_changes(tmp_path: Path) -> None:
    def written(name: str) -> bytes:
        charts.write_png(charts.risk_coverage_curve(predictions(), 0.75, "photos"), tmp_path / name)
        return (tmp_path / name).read_bytes()

    usual = written("a.png")
    with mpl.rc_context(
        {"axes.facecolor": "black", "font.size": 20, "savefig.dpi": 50, "lines.linewidth": 9}
    ):
        assert written("b.png") == usual  # whatever a user's own style is
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]  # and ours stays with us
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.size) == ("PNG", (616, 440))  # 5.6 x 4 inches at 110 dots per inch
        assert set(image.info) <= {"dpi"}  # neither a version nor a time
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in ((255, 255, 255), (0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73)):
        assert (pixels == colour).all(axis=1).any(), colour
