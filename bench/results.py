"""bench/RESULTS.md and its two charts: the last kept run of the benchmarks."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

HERE: Final = Path(__file__).parent
RATIOS: Final = HERE / "ratios.svg"
GROWTH: Final = HERE / "growth.svg"


def write_results(report: dict[str, Any]) -> None:
    """Write the table and draw the charts.

    Args:
        report: what `python -m bench --json` prints.
    """
    mpl.rcParams |= {"svg.hashsalt": "scones", "font.size": 9}
    _draw_ratios(report["results"])
    if report["batches"]:
        _draw_growth(report["batches"])
    (HERE / "RESULTS.md").write_text(_page(report), encoding="utf-8")


def _page(report: dict[str, Any]) -> str:
    rows = [
        f"| {one['name']} | {one['p50_ms']:.1f} | {one['p90_ms']:.1f} | {one['reference']} | "
        f"{one['reference_p50_ms']:.1f} | {one['ratio']:.2f} |"
        for one in report["results"]
    ]
    batches = [
        f"| {one['photos']:,} | {one['seconds']:.1f} | {one['photos'] / one['seconds']:.0f} | "
        + " | ".join(f"{size:.0f}" for size in one["memory_mb"].values())
        + " |"
        for one in report["batches"]
    ]
    peaks = [
        f"- {name}: peak memory {peak:.0f} MB, the interpreter included"
        for name, peak in report["peak_mb"].items()
    ]
    memory = [
        f"| {one['function']} | {one['mb']:.0f} | {one['reference_mb']:.0f} |" for one in report["memory"]
    ]
    machine = f"{report['machine']}, {report['processors']} processors, Python {report['python']}"
    head = (
        f"{report['date']}, {machine}; written by `python -m bench --keep`. Each figure was measured in "
        "turns with its reference; the ratio is what can be compared between machines."
    )
    names = list(report["batches"][0]["memory_mb"]) if report["batches"] else []
    return "\n".join(
        [
            "# Results of the benchmarks",
            "",
            head,
            "",
            "| measured | p50 ms | p90 ms | reference | its p50 ms | ratio |",
            "|---|---:|---:|---|---:|---:|",
            *rows,
            "",
            *peaks,
            "",
            "![ratios to the references](ratios.svg)",
            "",
            "## Memory of the functions",
            "",
            "Peak of the process on AWS's runtime emulator, in MB; SerializeImage's photo has 12 megapixels.",
            "",
            "| function | ours | the plain way |",
            "|---|---:|---:|",
            *memory,
            "",
            "## A batch, by its size",
            "",
            "`operations batch` on a local cloud, thumbnails of 32 pixels; memory in MB after it.",
            "",
            f"| photos | seconds | a second | {' | '.join(names)} |",
            "|---:|" + "---:|" * (2 + len(names)),
            *batches,
            "",
            "![seconds and memory by photos](growth.svg)",
            "",
        ]
    )


def _draw_ratios(results: list[dict[str, Any]]) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 0.42 * len(results) + 0.8), layout="constrained")
    names = [one["name"] for one in results][::-1]
    ratios = [one["ratio"] for one in results][::-1]
    bars = axes.barh(names, ratios, color="#3465a4", height=0.6)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1, color="#888888", linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_xlabel("time divided by that of the reference (dashed)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(RATIOS, metadata={"Date": None})
    plt.close(figure)


def _draw_growth(batches: list[dict[str, Any]]) -> None:
    figure, (time, memory) = plt.subplots(1, 2, figsize=(7.5, 2.8), layout="constrained")
    photos = [one["photos"] for one in batches]
    time.plot(photos, [one["seconds"] for one in batches], "o-", color="#3465a4")
    time.set(xlabel="photos", ylabel="seconds", xlim=(0, None), ylim=(0, None))
    for name in batches[0]["memory_mb"]:
        memory.plot(photos, [one["memory_mb"][name] for one in batches], "o-", label=name)
    memory.set(xlabel="photos", ylabel="MB", xlim=(0, None), ylim=(0, None))
    memory.legend(frameon=False, loc="center right")
    for axes in (time, memory):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(GROWTH, metadata={"Date": None})
    plt.close(figure)
