"""Figures of distributions, expectations and risks: densities, samples over them, errors that fall with N."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import Tensor

from fromnoise.faces.style import BLACK, BLUE, COLOURS, DASHES, MARKERS, QUIET, VERMILION, Look, panels, styled

DEVIATIONS = np.array([3.0, 2.0, 1.0])  # from the mean, of contour lines
Pair = tuple[Float[Tensor, " k"], Float[Tensor, " k"]]
"""What was measured, and what theory says."""


@styled
def densities(x: Float[Tensor, " k"], curves: Mapping[str, Float[Tensor, " k"]], shaded: str | None = None) -> Figure:
    """Densities on the line, one curve each; the one called `shaded` is a grey area behind the others."""
    figure, (axis,) = panels(1, 1, (7.4, 3.6))
    for name, values in curves.items():
        if name == shaded:
            axis.fill_between(x, values, color=QUIET, alpha=0.35, linewidth=0, label=name)
            axis.plot(x, values, color=QUIET, linestyle="-", linewidth=1)
        else:
            (line,) = axis.plot(x, values, label=name)
            axis.fill_between(x, values, color=line.get_color(), alpha=0.08, linewidth=0)
    axis.set(xlabel="x", ylabel="p(x)", xlim=(float(x[0]), float(x[-1])), ylim=(0, None))
    axis.legend()
    return figure


@styled
def planes(
    points: Float[Tensor, "k k 2"],
    densities: Mapping[str, Float[Tensor, "k k"]],
    samples: Mapping[str, Float[Tensor, "m 2"]] | None = None,
) -> Figure:
    """Densities in the plane, one panel each with its name, and samples over those that have some.

    The lines lie where a Gaussian's density has fallen to what it is 1, 2 and 3 deviations from its mean.
    """
    figure, axes = panels(len(densities), 1, (6.4, 5.4) if len(densities) == 1 else (4.6, 4.4), square=True)
    figure.set_layout_engine("compressed")  # square panels close together
    most = max(float(density.max()) for density in densities.values())
    x, y = points[..., 0].numpy(), points[..., 1].numpy()
    for axis, (name, density) in zip(axes, densities.items(), strict=True):
        image = axis.pcolormesh(x, y, density.numpy(), vmin=0, vmax=most, shading="gouraud", rasterized=True)
        levels = float(density.max()) * np.exp(-(DEVIATIONS**2) / 2)
        axis.contour(x, y, density.numpy(), levels=levels, colors="white", linewidths=1.0, alpha=0.8)
        if samples is not None and name in samples:
            look: Look = {"s": 7, "color": "white", "edgecolors": BLACK, "linewidths": 0.4, "alpha": 0.8, "zorder": 3}
            axis.scatter(*samples[name].T, **look)
        axis.set(title=name, xlabel="x₁", ylabel="x₂", xlim=(x.min(), x.max()), ylim=(y.min(), y.max()))
    figure.colorbar(image, ax=axes, label="p(x)", pad=0.02)
    return figure


@styled
def masses(r: Float[Tensor, " k"], curves: Mapping[str, Float[Tensor, " k"]]) -> Figure:
    """What formulas for a density hold of mass within [−r, r] on every axis: 1 in the end, if they are densities."""
    figure, (axis,) = panels(1, 1, (7.4, 4.0))
    for name, values in curves.items():
        axis.semilogy(r, values, label=name)
    axis.axhline(1, color=QUIET, linestyle="-", linewidth=1, zorder=0)
    axis.set(xlabel="r", ylabel="mass within [−r, r]", xlim=(float(r[0]), float(r[-1])))
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def followed(noise: Float[Tensor, "m 2"], coloured: Float[Tensor, "m 2"], marked: int = 6) -> Figure:
    """White noise ε, and what a factor L makes of it; the first `marked` points are numbered in both panels."""
    figure, axes = panels(2, 1, (4.6, 4.2), square=True)
    number: Look = {"color": "white", "ha": "center", "va": "center_baseline", "fontsize": 10, "weight": "bold"}
    for axis, points, title in zip(axes, (noise, coloured), ("ε ~ N(0, I)", "x = μ + L ε"), strict=True):
        axis.scatter(points[:, 0], points[:, 1], s=9, color=QUIET, alpha=0.5, linewidths=0)
        for k, at in enumerate(points[:marked].tolist()):
            axis.plot(*at, marker="o", color=VERMILION, markersize=13, markeredgecolor="white")
            axis.annotate(str(k + 1), at, **number)
        reach = 1.08 * float(points.abs().max())
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel=title[0] + "₁", ylabel=title[0] + "₂", title=title)
    return figure


@styled
def radii(norms: Mapping[int, Float[Tensor, " m"]]) -> Figure:
    """How far samples of N(0, I) lie from the most likely point, in several dimensions n; ticks at √n."""
    figure, (axis,) = panels(1, 1, (7.4, 3.4))
    for k, (n, values) in enumerate(norms.items()):
        heights, edges = np.histogram(values, bins=40, density=True)
        axis.stairs(heights, edges, fill=True, color=COLOURS[k], alpha=0.25)
        axis.stairs(heights, edges, color=COLOURS[k], linewidth=1.5)
        top = (float(values.mean()), heights.max())
        axis.annotate(f"n = {n}", top, (0, 4), textcoords="offset points", ha="center")
        axis.plot([n**0.5], [0], marker="^", color=BLACK, clip_on=False, markersize=7, zorder=3)
    axis.set(xlabel="distance from the mean ‖x‖ (▲ at √n)", ylabel="density of ‖x‖", ylim=(0, None))
    axis.set_ymargin(0.15)
    return figure


@styled
def weighted(x: Float[Tensor, " k"], p: Float[Tensor, " k"], f: Float[Tensor, " k"], name: str) -> Figure:
    """An expectation as an area: p(x) beside the function f called `name`, and their product, shaded."""
    figure, (left, right) = panels(2, 1, (4.6, 3.3))
    left.plot(x, p, label="p(x)")
    left.plot(x, f, label=f"f(x) = {name}")
    left.legend()
    right.fill_between(x, f * p, color=BLUE, alpha=0.3, linewidth=0)
    right.plot(x, f * p, color=BLUE)
    right.set_title("f(x) p(x): its area is E f(x)")
    for axis in (left, right):
        axis.axhline(0, color=QUIET, linewidth=0.8, linestyle="-", zorder=0)
        axis.set(xlabel="x", xlim=(float(x[0]), float(x[-1])))
    return figure


@styled
def running_means(
    n: Float[Tensor, " k"], means: Float[Tensor, "runs k"], expectation: float, deviation: float
) -> Figure:
    """Sample means of the first N points of several sequences, in the funnel expectation ± 2·deviation/√N."""
    figure, (axis,) = panels(1, 1, (7.4, 3.6))
    low, high = (expectation + sign * 2 * deviation / n.sqrt() for sign in (-1, 1))
    axis.fill_between(n, low, high, color=QUIET, alpha=0.3, linewidth=0)
    axis.axhline(expectation, color=BLACK, linewidth=1, linestyle="-", label="expectation")
    for k, values in enumerate(means):
        axis.plot(n, values, color=COLOURS[k % 5], linestyle="-", linewidth=1.3)
    axis.set(xscale="log", xlabel="N, number of samples", ylabel="sample mean")
    axis.set(xlim=(float(n[0]), float(n[-1])), ylim=(float(low[0]), float(high[0])))
    axis.annotate("grey: ± 2 deviations of the mean", (0.98, 0.05), xycoords="axes fraction", ha="right", fontsize=11)
    return figure


@styled
def falling(n: Float[Tensor, " k"], curves: Mapping[str, Pair], ylabel: str, xlabel: str = "N") -> Figure:
    """Quantities that fall with N, on logarithmic axes: measured (markers) on what theory says (lines)."""
    figure, (axis,) = panels(1, 1, (7.0, 3.8))
    _measured_on_exact(axis, n, curves)
    axis.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    axis.legend(title="measured; lines: theory", alignment="left")
    return figure


@styled
def risks(
    w: Float[Tensor, " k"],
    statistical: Float[Tensor, " k"],
    empirical: Float[Tensor, "sets k"],
    minimisers: Float[Tensor, " sets"],
    least: Float[Tensor, " sets"],
) -> Figure:
    """The statistical risk, the empirical risks of several sets of samples, and where each of these is `least`."""
    figure, (axis,) = panels(1, 1, (7.4, 3.9))
    for k, values in enumerate(empirical):
        axis.plot(w, values, color=VERMILION, linestyle="--", linewidth=1.2, label="" if k else "empirical (9)")
    axis.plot(minimisers, least, "o", color=VERMILION, markersize=8, markeredgecolor="white")
    axis.plot(w, statistical, color=BLACK, linestyle="-", linewidth=2.5, label="statistical (10)")
    k = int(statistical.argmin())
    axis.plot([float(w[k])], [float(statistical[k])], "D", color=BLACK, markersize=9, markeredgecolor="white")
    axis.set(xlabel="w", ylabel="risk", xlim=(float(w[0]), float(w[-1])), ylim=(0, None))
    axis.legend()
    return figure


@styled
def two_risks(n: Float[Tensor, " k"], train: Pair, test: Pair, least: float) -> Figure:
    """Mean risks of what n samples taught, on these samples and on new ones: measured (markers), exact (lines)."""
    figure, (axis,) = panels(1, 1, (7.0, 3.8))
    _measured_on_exact(axis, n, {"on new samples (10)": test, "on its own samples (9)": train})
    axis.axhline(least, color=QUIET, linestyle="-", linewidth=1, label="least possible")
    axis.set(xscale="log", xlabel="n, number of samples", ylabel="mean risk")
    axis.set_xticks(n.tolist(), [f"{int(value)}" for value in n])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.legend()
    return figure


def _measured_on_exact(axis: Axes, n: Float[Tensor, " k"], curves: Mapping[str, Pair]) -> None:
    for k, (name, (measured, exact)) in enumerate(curves.items()):
        axis.plot(n, exact, color=COLOURS[k], linestyle=DASHES[k], linewidth=1.3)
        axis.plot(n, measured, MARKERS[k], color=COLOURS[k], markersize=7, label=name)
