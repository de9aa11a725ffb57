"""What charts show, read from the figures before they become pixels, and the files that they become."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from model_build.evaluation import charts
from model_build.evaluation.predictions import Predictions

# Predictions 0, 0, 1, 0, 1 with confidence 0.9, 0.8, 0.8, 0.6, 0.7; the second and the last are wrong.
PROBABILITIES = [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]
TRUTH = [0, 1, 1, 0, 0]
LABELS = ["red", "blue"]


def predictions(negatives: list[list[float]] | None = None) -> Predictions:
    return Predictions(
        names=tuple("abcde"),
        probabilities=np.array(PROBABILITIES),
        labels=np.array(TRUTH),
        negatives=np.array(negatives or []).reshape(-1, 2),
        negative_names=("negative",) * len(negatives or []),
    )


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def lines_of(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.get_lines()}


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def points_of(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def test_the_confusion_matrix_has_true_classes_in_rows() -> None:
    axes = axes_of(charts.confusion_matrix([[96, 4], [3, 1]], LABELS, "photos"))
    assert axes.get_title() == "Confusion matrix, photos"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [text.get_text() for text in axes.get_xticklabels()] == LABELS
    assert [text.get_text() for text in axes.get_yticklabels()] == LABELS
    assert list(axes.get_xticks()) == list(axes.get_yticks()) == [0, 1]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "96",
        (1, 0): "4",
        (0, 1): "3",
        (1, 1): "1",
    }
    assert {(text.get_horizontalalignment(), text.get_verticalalignment()) for text in axes.texts} == {
        ("center", "center")
    }


def test_the_confusion_matrix_is_shaded_by_the_share_of_the_true_class() -> None:
    axes = axes_of(charts.confusion_matrix([[96, 4], [3, 1], [0, 0]], ["a", "b", "c"], "photos"))
    (image,) = axes.get_images()
    np.testing.assert_allclose(np.asarray(image.get_array()), [[0.96, 0.04], [0.75, 0.25], [0.0, 0.0]])
    assert image.get_clim() == (0, 1)
    assert image.get_cmap().name == "Blues"
    assert not any(line.get_visible() for line in axes.get_xgridlines())


def test_the_reliability_diagram_shows_accuracy_by_confidence() -> None:
    axes = axes_of(charts.reliability_diagram(predictions(), "photos"))
    # ECE of 15 bins: gaps 0.1, (0.3, 2 images), 0.4, 0.7 of five images
    assert axes.get_title() == "Reliability diagram, photos (ECE 0.360)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("confidence", "accuracy")
    (bins,) = axes.collections
    assert isinstance(bins, PathCollection)
    np.testing.assert_allclose(np.asarray(bins.get_offsets()), [[0.6, 1], [0.7, 0], [0.8, 0.5], [0.9, 1]])
    np.testing.assert_allclose(bins.get_sizes(), [65, 65, 115, 65])  # 15 + 250 * share of the images
    assert not bins.get_clip_on()  # an accuracy of 1 lies on the edge
    assert bins.get_zorder() > lines_of(axes)["perfect calibration"].get_zorder()
    assert np.asarray(bins.get_facecolor())[0].tolist() == list(to_rgba(charts.BLUE))


def test_the_risk_coverage_curve() -> None:
    axes = axes_of(charts.risk_coverage_curve(predictions([[0.75, 0.25], [0.1, 0.9]]), 0.75, "photos"))
    assert axes.get_title() == "Risk-coverage curve, photos"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("coverage", "rate")
    assert axes.get_xlim() == (0, 1)
    assert axes.get_ylim()[0] == 0
    lines = lines_of(axes)
    risk = points_of(lines["selective risk (1 - selective accuracy)"])
    np.testing.assert_allclose(risk, [(1 / 5, 0), (3 / 5, 1 / 3), (4 / 5, 2 / 4), (1, 2 / 5)])
    assert points_of(lines["false acceptance rate"]) == [(1 / 5, 0.5), (3 / 5, 0.5), (4 / 5, 1), (1, 1)]
    np.testing.assert_allclose(points_of(lines["operating point (threshold 0.75)"]), [(3 / 5, 1 / 3)])
    assert legend_of(axes) == list(lines)


def test_the_risk_coverage_curve_has_no_line_of_what_is_not_there() -> None:
    risk = "selective risk (1 - selective accuracy)"
    without_negatives = axes_of(charts.risk_coverage_curve(predictions(), 0.75, "photos"))
    assert legend_of(without_negatives) == [risk, "operating point (threshold 0.75)"]
    nothing_accepted = axes_of(charts.risk_coverage_curve(predictions(), 0.95, "photos"))
    assert list(lines_of(nothing_accepted)) == [risk]


def test_training_curves_begin_with_the_first_epoch() -> None:
    axes = axes_of(charts.training_curve("loss", [1.5, 0.5, 0.25]))
    assert axes.get_title() == "Training loss"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss on augmented training images")
    (line,) = axes.get_lines()
    assert points_of(line) == [(1, 1.5), (2, 0.5), (3, 0.25)]
    assert line.get_marker() == "o"
    assert line.get_color() == charts.BLUE
    assert axes.get_ylim()[0] == 0
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_a_file_has_the_figure_and_nothing_that_changes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        charts.write_png(charts.risk_coverage_curve(predictions(), 0.75, "photos"), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as image:
        assert image.format == "PNG"
        assert image.size == (616, 440)  # 5.6 x 4 inches at 110 dots per inch
        assert set(image.info) <= {"dpi"}  # neither a version nor a time
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in ((255, 255, 255), (0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73)):
        assert (pixels == colour).all(axis=1).any(), colour


def test_a_users_own_style_changes_nothing(tmp_path: Path) -> None:
    def written(name: str) -> bytes:
        charts.write_png(charts.reliability_diagram(predictions(), "photos"), tmp_path / name)
        return (tmp_path / name).read_bytes()

    usual = written("a.png")
    with mpl.rc_context(
        {"axes.facecolor": "black", "font.size": 20, "savefig.dpi": 50, "lines.linewidth": 9}
    ):
        assert written("b.png") == usual
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]  # and ours stays with us
