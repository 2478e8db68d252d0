"""Figures of diffusion in one and two dimensions: schedules, paths, posteriors, samplers, and points in the plane."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise.diffusion.schedule import Schedule
from fromnoise.faces.style import BLUE, COLOURS, DASHES, MARKERS, QUIET, VERMILION, bare, counts, panels, styled

REACH = 3.0  # of the plane's axes: the sets of points have unit deviation


@styled
def schedules(tables: Mapping[str, Schedule]) -> Figure:
    """√ᾱ_t, the share of the signal that is left, and λ_t, each over t."""
    figure, (share, logsnr) = panels(2)
    for name, table in tables.items():
        t = np.arange(table.T + 1)
        share.plot(t, table.alphas_cumprod.sqrt(), label=name)
        logsnr.plot(t[1:], table.logsnr[1:].clamp(-20, 20), label=name)
    share.set(xlabel="step t", ylabel="√ᾱ (share of the signal)")
    logsnr.set(xlabel="step t", ylabel="λ = log ᾱ/(1 − ᾱ)")
    for axis in (share, logsnr):
        axis.axhline(0, color=QUIET, linewidth=0.8, linestyle="-")
    share.legend()
    return figure


@styled
def paths(walks: Float[Tensor, "T1 n"], mean: Float[Tensor, " T1"], deviation: Float[Tensor, " T1"]) -> Figure:
    """Walks of single numbers from data to noise, under the mean and two deviations of the jump."""
    figure, (axis,) = panels(1, 1, (7.5, 3.8))
    axis.plot(walks, linewidth=0.6, color=BLUE, alpha=0.5, linestyle="-")
    axis.plot(mean, color="black", linestyle="-", label="mean of the jump")
    axis.plot(mean - 2 * deviation, color="black", linestyle="--", linewidth=1.4)
    axis.plot(mean + 2 * deviation, color="black", linestyle="--", linewidth=1.4, label="mean ± 2 deviations")
    axis.set(xlabel="step t", ylabel="$x_t$")
    axis.legend(loc="upper right", ncols=2)
    return figure


@styled
def path_against_jump(path: Float[Tensor, " n"], jump: Float[Tensor, " n"], name: str) -> Figure:
    """The distribution of x_t reached step by step, and in one jump."""
    figure, (axis,) = panels(1, 1, (6.0, 3.4))
    edges = np.linspace(float(min(path.min(), jump.min())), float(max(path.max(), jump.max())), 50).tolist()
    axis.hist(path.numpy(), edges, density=True, color=COLOURS[4], label="step by step")
    axis.hist(jump.numpy(), edges, density=True, histtype="step", color="black", linewidth=1.8, label="in one jump")
    axis.set(xlabel=name, ylabel="density")
    axis.legend()
    return figure


@styled
def histogram_under_normal(values: Float[Tensor, " n"], mean: float, variance: float, name: str) -> Figure:
    """How `values` of the quantity `name` spread, and a normal density over them."""
    figure, (axis,) = panels(1, 1, (6.0, 3.4))
    deviation = math.sqrt(variance)
    x = np.linspace(mean - 4 * deviation, mean + 4 * deviation, 300)
    axis.hist(values.numpy(), x[::10].tolist(), density=True, color=COLOURS[4], label=f"{len(values):,} walks")
    density = np.exp(-((x - mean) ** 2) / (2 * variance)) / (deviation * math.sqrt(2 * math.pi))
    axis.plot(x, density, color="black", label="normal density")
    axis.set(xlabel=name, ylabel="density")
    axis.legend()
    return figure


@styled
def lines(
    x: Float[Tensor, " n"], curves: Mapping[str, Float[Tensor, " n"]], xlabel: str, ylabel: str, *, log: bool = False
) -> Figure:
    """Curves over one axis; `log` makes the vertical one logarithmic."""
    figure, (axis,) = panels(1, 1, (6.4, 3.6))
    for name, values in curves.items():
        axis.plot(x, values, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    axis.legend()
    return figure


@styled
def films(rows: Mapping[str, Sequence[Float[Tensor, "n 2"]]], titles: Sequence[str]) -> Figure:
    """Clouds of points, a row each, panel after panel in time."""
    figure, axes = panels(len(titles), len(rows), (2.1, 2.25), square=True)
    for r, (name, clouds) in enumerate(rows.items()):
        row = axes[r * len(titles) : (r + 1) * len(titles)]
        for axis, cloud in zip(row, clouds, strict=True):
            scatter(axis, cloud)
        row[0].set_ylabel(name)
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title, loc="center")
    return figure


@styled
def real_and_sampled(pairs: Mapping[str, tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2"]]]) -> Figure:
    """Real points above, sampled ones below, a set each column."""
    figure, axes = panels(len(pairs), 2, (2.5, 2.6), square=True)
    for k, (name, (real, sampled)) in enumerate(pairs.items()):
        scatter(axes[k], real)
        scatter(axes[len(pairs) + k], sampled, VERMILION)
        axes[k].set_title(name, loc="center")
    axes[0].set_ylabel("real")
    axes[len(pairs)].set_ylabel("sampled")
    return figure


@styled
def fields(
    places: Float[Tensor, "n 2"], arrows: Mapping[str, Float[Tensor, "n 2"]], cloud: Float[Tensor, "m 2"]
) -> Figure:
    """Vector fields over a cloud of points, side by side, all arrows to one scale."""
    figure, axes = panels(len(arrows), 1, (4.2, 4.3), square=True)
    longest = max(float(field.norm(dim=1).max()) for field in arrows.values())
    for axis, (name, field) in zip(axes, arrows.items(), strict=True):
        scatter(axis, cloud, COLOURS[4])
        axis.quiver(*places.T, *field.T, angles="xy", scale_units="xy", scale=longest / 0.7, width=0.005, zorder=3)
        axis.set_title(name, loc="center")
    return figure


@styled
def convergence(
    steps: Sequence[int],
    errors: Mapping[str, Sequence[float]],
    ylabel: str,
    xlabel: str = "network calls",
    orders: Sequence[int] = (1, 2),
) -> Figure:
    """Errors against the number of steps, both axes logarithmic, beside the slopes of some orders."""
    figure, (axis,) = panels(1, 1, (6.4, 4.0))
    for k, (name, values) in enumerate(errors.items()):
        axis.loglog(steps, values, label=name, marker=MARKERS[k])
    top = max(values[0] for values in errors.values())
    fall = steps[0] / np.asarray(steps, dtype=float)
    for order in orders:
        look = {"color": QUIET, "linewidth": 1, "linestyle": DASHES[1 + order]}
        axis.loglog(steps, top * fall**order, label=f"slope −{order}", **look)
    counts(axis, steps)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.legend()
    return figure


def scatter(axis: Axes, cloud: Float[Tensor, "n 2"], colour: str = BLUE) -> None:
    """A cloud of points on a bare square of the plane."""
    axis.scatter(cloud[:, 0], cloud[:, 1], s=3, color=colour, alpha=0.55, linewidths=0)
    axis.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH))
    bare(axis)


@styled
def trajectories(paths: Mapping[str, Float[Tensor, "k n 2"]], cloud: Float[Tensor, "m 2"]) -> Figure:
    """Paths in the plane over a cloud of points, a panel for each kind; from data (circles) to noise (squares)."""
    figure, axes = panels(len(paths), 1, (4.2, 4.3), square=True)
    for axis, (name, places) in zip(axes, paths.items(), strict=True):
        scatter(axis, cloud, COLOURS[4])
        axis.plot(places[..., 0], places[..., 1], color="black", linestyle="-", linewidth=1.2)
        axis.plot(*places[0].T, "o", color=BLUE, markersize=6, zorder=3)
        axis.plot(*places[-1].T, "s", color=VERMILION, markersize=5, zorder=3)
        axis.set_title(name, loc="center")
    return figure
