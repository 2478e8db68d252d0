"""Figures of divergences, and of the first model that is fitted by one: a normal."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise.faces.style import BLACK, BLUE, COLOURS, MARKERS, QUIET, VERMILION, Look, panels, styled


@styled
def integrand(x: Float[Tensor, " k"], q: Float[Tensor, " k"], p: Float[Tensor, " k"]) -> Figure:
    """D(q‖p) as an area (11): the two densities, and q log(q/p) with its gains and its losses."""
    figure, (left, right) = panels(2, 1, (4.6, 3.3))
    limits = (float(x[0]), float(x[-1]))
    left.plot(x, q, label="q(x)")
    left.plot(x, p, label="p(x)")
    left.set(xlabel="x", xlim=limits, ylim=(0, None))
    left.legend()
    values = (q * (q / p).log()).numpy()
    gains: Look = {"color": BLUE, "alpha": 0.35}
    losses: Look = {"facecolor": "white", "edgecolor": VERMILION, "hatch": "///"}
    right.fill_between(x, values, where=values > 0, linewidth=0, label="q > p: adds", **gains)
    right.fill_between(x, values, where=values < 0, linewidth=0, label="q < p: takes", **losses)
    right.plot(x, values, color=BLACK, linestyle="-", linewidth=1.2)
    right.set(xlabel="x", xlim=limits, title="q(x) log(q(x)/p(x))")
    right.legend()
    return figure


@styled
def estimates(
    m: Sequence[int], found: Mapping[str, tuple[Sequence[float], Sequence[float]]], exact: float, ylabel: str
) -> Figure:
    """Monte Carlo estimates with error bars of two standard errors, against the number of samples, and the truth."""
    figure, (axis,) = panels(1, 1, (7.0, 3.6))
    axis.axhline(exact, color=BLACK, linewidth=1.2, linestyle="-", label="exact")
    for k, (name, (values, errors)) in enumerate(found.items()):
        place = np.asarray(m) * 1.12 ** (k - (len(found) - 1) / 2)
        look: Look = {"color": COLOURS[k], "fmt": MARKERS[k], "markersize": 7, "capsize": 4}
        axis.errorbar(place, values, 2 * np.asarray(errors), label=name, **look)
    axis.set(xscale="log", xlabel="m, number of samples", ylabel=ylabel)
    axis.legend()
    return figure


@styled
def tangent(r: Float[Tensor, " k"], gap: Float[Tensor, " k"]) -> Figure:
    """The logarithm below its tangent r − 1 (13)–(15), and the gap between them."""
    figure, (left, right) = panels(2, 1, (4.6, 3.4))
    end = float(r[-1])
    left.fill_between(r, r.log(), r - 1, color=QUIET, alpha=0.3, linewidth=0)
    left.plot(r, r - 1, label="r − 1", color=VERMILION, linestyle="--")
    left.plot(r, r.log(), label="log r", color=BLUE, linestyle="-")
    left.legend()
    left.set(xlabel="r = p(x)/q(x)", xlim=(0, end), ylim=(-3, end - 1))
    right.fill_between(r, gap, color=QUIET, alpha=0.3, linewidth=0)
    right.plot(r, gap, color=BLACK, linestyle="-")
    right.set(xlabel="r = p(x)/q(x)", xlim=(0, end), ylim=(0, float(gap[-1])), title="the gap (r − 1) − log r")
    for axis in (left, right):
        axis.plot([1], [0], "o", color=BLACK, markersize=8, clip_on=False)
    return figure


@styled
def landscapes(
    mean: Float[Tensor, " a"],
    deviation: Float[Tensor, " b"],
    surfaces: Mapping[str, Float[Tensor, "b a"]],
    minima: Mapping[str, Sequence[tuple[float, float]]],
) -> Figure:
    """Divergences over the two parameters of a Gaussian, one panel each, with their minima: a star on the least."""
    figure, axes = panels(len(surfaces), 1, (4.8, 3.6))
    everything = torch.cat([surface.flatten() for surface in surfaces.values()])
    low, high = float(everything.min()), float(everything.max())
    levels = np.geomspace(low, high, 16)
    for axis, (name, surface) in zip(axes, surfaces.items(), strict=True):
        filled = axis.contourf(mean, deviation, surface.numpy(), levels=levels, norm=LogNorm(low, high))
        axis.contour(mean, deviation, surface.numpy(), levels=levels, colors="white", linewidths=0.7)
        for k, at in enumerate(minima[name]):
            marker, size = ("o", 9) if k else ("*", 17)
            axis.plot(*at, marker=marker, markersize=size, color=VERMILION, markeredgecolor="white", linestyle="")
        axis.set(title=name, xlabel="μ", ylabel="σ")
    bar = figure.colorbar(filled, ax=axes, label="nats", pad=0.02)
    bar.set_ticks([tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if low <= tick <= high])
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.minorticks_off()
    return figure


@styled
def objectives(
    w: Float[Tensor, " k"], curves: Mapping[str, Float[Tensor, " k"]], gap: tuple[float, float, float, str]
) -> Figure:
    """Objectives over one parameter, each with its least point marked; `gap` is (w, low, high, text) for an arrow."""
    figure, (axis,) = panels(1, 1, (7.4, 3.9))
    for k, (name, values) in enumerate(curves.items()):
        (line,) = axis.plot(w, values, label=name)
        least = int(values.argmin())
        axis.plot([float(w[least])], [float(values[least])], MARKERS[k], color=line.get_color(), markersize=9)
    at, low, high, text = gap
    axis.annotate("", (at, high), (at, low), arrowprops={"arrowstyle": "<->", "color": BLACK})
    axis.annotate(text, (at, (low + high) / 2), (8, 0), textcoords="offset points", va="center")
    axis.set(xlabel="w", ylabel="nats", xlim=(float(w[0]), float(w[-1])))
    axis.legend()
    return figure


@styled
def descents(
    paths: Mapping[str, Float[Tensor, " steps"]], errors: Mapping[str, Float[Tensor, " steps"]], least: float
) -> Figure:
    """Gradient descents: a coordinate in its first steps, with where it is least, and the distance to the minimum."""
    figure, (left, right) = panels(2, 1, (4.8, 3.7))
    left.axhline(least, color=QUIET, linestyle="-", linewidth=1, zorder=0)
    for k, (name, path) in enumerate(paths.items()):
        left.plot(path[:13], marker=MARKERS[k], markersize=6)
        every = max(1, len(errors[name]) // 10)
        right.semilogy(errors[name], markevery=every, label=name, marker=MARKERS[k], markersize=6)
    left.set(xlabel="step", title="μ₁")
    right.set(xlabel="step", title="distance to the minimum")
    right.legend()
    return figure
