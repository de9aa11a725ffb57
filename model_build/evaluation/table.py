"""A report as text for a terminal."""

import math
from collections.abc import Sequence

from model_build.evaluation.figures import Metrics, Report, SetReport, Target
from model_build.evaluation.promise import ErrorBound, Promise


def table(report: Report) -> str:
    """Return the report as text: a column per set of images, then confusion matrices and errors."""
    sets = report.sets()
    head = f"threshold {report.threshold:.3g}"
    lines = [f"{head:40}" + "".join(f"{title:>13}" for title in sets)]
    for name, title in Metrics.titles().items():
        cells = [getattr(one.metrics, name) for one in sets.values()]
        if any(cell is not None and not (cell == 0 and isinstance(cell, int)) for cell in cells):
            lines.append(f"{title:40}" + "".join(f"{_cell(cell):>13}" for cell in cells))
    for title, one in sets.items():
        lines += _details(title, one, report.labels)
    return "\n".join(lines)


def _details(title: str, one: SetReport, labels: Sequence[str]) -> list[str]:
    lines = []
    if one.metrics.images:
        lines += [
            "",
            f"confusion matrix, {title} (rows: true class):",
            *_confusion_lines(one.confusion, labels),
        ]
    if one.error_bound.images:
        lines += ["", f"{title}: {bound_sentence(one.error_bound)}"]
    if one.promise and one.metrics.images:
        lines += ["", f"{title}: {promise_sentence(one.promise)}"]
    if one.target and one.metrics.images:
        lines += ["", f"{title}: {target_sentence(one.target)}"]
    if one.mistakes:
        lines += ["", f"misclassified {title}, the most confident first:"]
        lines += [f"  {error.image}: {error.answer} ({error.confidence:.3f})" for error in one.mistakes]
    if one.false_acceptances:
        lines += ["", f"falsely accepted {title}:"]
        lines += [
            f"  {error.image}: {error.answer} ({error.confidence:.3f})" for error in one.false_acceptances
        ]
    return lines


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _confusion_lines(rows: list[list[int]], labels: Sequence[str]) -> list[str]:
    width = max(len(label) for label in labels) + 2
    head = " " * width + "".join(f"{label:>{width}}" for label in labels)
    return [head] + [
        f"{label:{width}}" + "".join(f"{count:>{width}}" for count in row)
        for label, row in zip(labels, rows, strict=True)
    ]


def target_sentence(target: Target) -> str:
    """Return which operating point reaches the wanted selective accuracy."""
    point = target.choice
    if point is None:
        return f"no threshold reaches a selective accuracy of {target.wanted:g}"
    return (
        f"threshold {point.threshold:.4f} reaches a selective accuracy of {point.selective_accuracy:.3f} "
        f"(target {target.wanted:g}) at a coverage of {point.coverage:.3f}"
    )


def bound_sentence(bound: ErrorBound) -> str:
    """Return how many accepted predictions are wrong at most."""
    if bound.rate is None:
        return "nothing was accepted"
    return (
        f"{bound.errors} of {bound.images} accepted predictions are wrong: of such images at most "
        f"{_percent(bound.rate)} are, with {100 * bound.confidence:.0f} % confidence"
    )


def promise_sentence(promise: Promise) -> str:
    """Return which threshold keeps a promised error rate, or what a proof lacks."""
    sure = f"{100 * promise.confidence:.0f} %"
    wanted = f"at most {_percent(promise.rate)} of the accepted wrong, with {sure} confidence"
    seen = f"{promise.errors} of {promise.accepted} accepted are wrong"
    if promise.threshold is not None:
        return f"threshold {promise.threshold:.2f} promises {wanted} ({seen})"
    lacking = (
        "no number of images like these proves it"
        if promise.missing is None
        else f"about {promise.missing:,} further labelled images like these would be needed for a proof"
    )
    return f"no threshold promises {wanted}: at the highest tested {seen}, and {lacking}"


def _percent(rate: float) -> str:
    """Return a rate as a percentage, rounded up: a bound must not lose by rounding."""
    return f"{math.ceil(rate * 10_000 - 1e-9) / 100:g} %"
