"""Figures of reports and of `compare`: scores side by side, classes, and curves over a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fromnoise.faces.style import BLUE, COLOURS, MARKERS, QUIET, VERMILION, log_scale, panels, styled

BAR: dict[str, Any] = {"color": "#d5e4ee", "edgecolor": BLUE, "width": 0.7}


@styled
def scores(rows: Sequence[tuple[str, float, float | None]]) -> Figure:
    """Distances side by side on a logarithmic axis, each with its deviation if it has one."""
    figure, (axis,) = panels(1, 1, (7.4, 0.9 + 0.55 * len(rows)))
    values = [value for _, value, _ in rows]
    places = range(len(rows) - 1, -1, -1)
    axis.hlines(places, min(values) / 2, values, color=QUIET, linestyle=":", linewidth=1)
    for k, (place, (_, value, deviation)) in enumerate(zip(places, rows, strict=True)):
        axis.plot([value], [place], marker=MARKERS[k % 4], color=COLOURS[k % len(COLOURS)], markersize=9)
        text = f"{value:.3f}" if deviation is None else f"{value:.3f} ± {deviation:.3f}"
        axis.annotate(text, (value, place), (10, 0), textcoords="offset points", va="center")
    axis.set_yticks(places, [name for name, _, _ in rows])
    axis.set(xscale="log", xlim=(min(values) / 2, max(values) * 6), ylim=(-0.6, len(rows) - 0.4))
    axis.set_xlabel("FID (logarithmic; smaller is better)")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.tick_params(axis="y", length=0)
    return figure


@styled
def excesses(rows: Sequence[tuple[str, float, float, float]]) -> Figure:
    """Excesses over the floor side by side: name, value, and the interval's two ends."""
    figure, (axis,) = panels(1, 1, (7.4, 0.9 + 0.55 * len(rows)))
    places = range(len(rows) - 1, -1, -1)
    axis.axvline(0, color=QUIET, linestyle=":", linewidth=1.5)
    for k, (place, (_, value, low, high)) in enumerate(zip(places, rows, strict=True)):
        colour = COLOURS[k % len(COLOURS)]
        axis.hlines(place, low, high, color=colour, linewidth=2)
        axis.plot([value], [place], marker=MARKERS[k % 4], color=colour, markersize=9)
        axis.annotate(f"{value:.3f}", (value, place), (0, 9), textcoords="offset points", ha="center")
    axis.set_yticks(places, [name for name, *_ in rows])
    axis.set(
        ylim=(-0.6, len(rows) - 0.2), xlabel="excess FID over the floor, 95 % interval (0: as close as real images)"
    )
    axis.tick_params(axis="y", length=0)
    return figure


@styled
def class_balance(
    shares: tuple[Sequence[float], Sequence[float]] | None, fids: Sequence[float | None] | None, names: Sequence[str]
) -> Figure:
    """How many images of each class there are beside how many there should be, and each class's FID; what is None has
    no panel."""
    figure, axes = panels((shares is not None) + (fids is not None), 1, (4.8, 3.2))
    places = np.arange(len(names))
    if shares is not None:
        counts, expected = shares
        axes[0].bar(places, counts, label="generated", **BAR)
        axes[0].plot(places, expected, "D", color=VERMILION, markersize=6, label="in the reference's shares")
        axes[0].set(ylim=(0, 1.35 * max(*counts, *expected)), ylabel="images")
        axes[0].legend(loc="upper center", ncols=2)
    if fids is not None:
        axes[-1].bar(places, np.array(fids, dtype=float), **BAR)
        axes[-1].set_ylabel("FID of the class")
    for axis in axes:
        axis.set_xlabel("class")
        axis.set_xticks(places, names, rotation=0 if max(map(len, names)) < 3 else 60)
    return figure


@styled
def score_over_time(
    steps: Sequence[int], kids: Sequence[float], errors: Sequence[float], shares: Sequence[float | None]
) -> Figure:
    """The averaged weights' KID while they were trained, and the share of images that lie close to training ones."""
    known = any(share is not None for share in shares)
    figure, axes = panels(1 + known, 1, (4.8, 3.2))
    axes[0].errorbar(steps, kids, errors, color=BLUE, marker="o", capsize=3)
    axes[0].axhline(0, color=QUIET, linestyle=":", linewidth=1.5)
    best = int(np.argmin(kids))
    axes[0].plot([steps[best]], [kids[best]], "D", color=VERMILION, markersize=9, label="best")
    axes[0].set(xlabel="step", ylabel="KID to validation images")
    axes[0].legend()
    if known:
        axes[1].plot(steps, 100 * np.array(shares, dtype=float), color=VERMILION, linestyle="--", marker="s")
        axes[1].axhline(1, color=QUIET, linestyle=":", linewidth=1.5)
        where = ("axes fraction", "data")
        axes[1].annotate("fresh images", (1, 1), xycoords=where, ha="right", va="bottom", color=QUIET)
        axes[1].set(xlabel="step", ylabel="% closer to training images\nthan 99 % of validation images", ylim=(0, None))
    return figure


@styled
def losses(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """The training losses of several runs against the minutes of training."""
    figure, (axis,) = panels(1, 1, (7.4, 3.6))
    for name, (minutes, loss) in curves.items():
        axis.plot(minutes, loss, label=name)
    log_scale(axis)
    axis.set(xlabel="minutes of training", ylabel="loss")
    axis.legend()
    return figure


@styled
def training_loss(
    epochs: Sequence[float], loss: Sequence[float], by_level: Mapping[str, Sequence[float | None]]
) -> Figure:
    """The loss against the epoch, of all noise levels together and of parts of them."""
    figure, (whole, parts) = panels(2, 1, (4.8, 3.6))
    every = max(1, len(epochs) // 10)
    whole.plot(epochs, loss, "o-", markevery=every, markersize=6)
    whole.set(title="all noise levels", ylabel="loss")
    for k, (name, values) in enumerate(by_level.items()):
        shown = np.array(values, dtype=float)  # NaN for None
        parts.plot(epochs, shown, marker=MARKERS[k], markevery=every, markersize=6, label=name)
    parts.set_title("by noise level")
    parts.legend()
    for axis in (whole, parts):
        log_scale(axis)
        axis.set_xlabel("epoch")
        axis.grid(axis="y", which="both", color="#e6e6e6", linewidth=0.6)
    return figure
