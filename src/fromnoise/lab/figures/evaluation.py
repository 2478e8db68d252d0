"""Figures of evaluation: Gaussians apart, the plane of features, scores by size and by damage."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise.faces.style import BLUE, COLOURS, DASHES, MARKERS, QUIET, VERMILION, panels, styled


@styled
def density_pairs(
    x: Float[Tensor, " k"], pairs: Mapping[str, tuple[Float[Tensor, " k"], Float[Tensor, " k"]]]
) -> Figure:
    """Pairs of densities on one axis, a panel for each pair, titled by what is said of it."""
    figure, axes = panels(len(pairs), 1, (3.9, 3.0))
    for axis, (title, densities) in zip(axes, pairs.items(), strict=True):
        for density in densities:
            (line,) = axis.plot(x, density)
            axis.fill_between(x, density, color=line.get_color(), alpha=0.12, linewidth=0)
        axis.set(title=title, xlabel="x")
    axes[0].set_ylabel("density")
    top = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(0, top)
    return figure


@styled
def feature_plane(points: Float[Tensor, "n 2"], labels: Int64[Tensor, " n"], share: float) -> Figure:
    """Images as points of a plane, each drawn as its class's number; `share` of the features' variance is in it."""
    figure, (axis,) = panels(1, 1, (6.6, 4.8))
    classes = labels.unique().tolist()
    shades = mpl.colormaps["cividis"](np.linspace(0, 0.85, len(classes)))
    for shade, label in zip(shades, classes, strict=True):
        mine = points[labels == label]
        axis.scatter(mine[:, 0], mine[:, 1], 75, color=shade, marker=f"${label}$", linewidths=0.3)
    axis.set(xlabel="first principal component", ylabel="second principal component")
    axis.set_title(f"{share:.0%} of the features' variance")
    return figure


@styled
def fid_by_size(sizes: Sequence[int], fids: Sequence[float], line: tuple[float, float]) -> Figure:
    """FID against one by the number of images, and the line (value at 1/n = 0, slope) through it."""
    figure, (axis,) = panels(1, 1, (6.8, 3.8))
    inverse = 1 / np.asarray(sizes, dtype=float)
    axis.plot(inverse, fids, "o", color=BLUE, markersize=8, label="mean FID of disjoint subsets")
    ends = np.array([0, inverse.max()])
    axis.plot(ends, line[0] + line[1] * ends, "--", color=VERMILION, label="line through the largest sizes")
    axis.plot([0], [line[0]], "D", color=VERMILION, markersize=8, clip_on=False, label="FID at n = ∞")
    axis.set_xticks([0, *inverse], ["∞", *(f"{n:,}" for n in sizes)])
    axis.set(xlim=(0, inverse.max() * 1.05), ylim=(min(0, *fids), None))
    axis.set(xlabel="number n of images (axis even in 1/n)", ylabel="FID")
    axis.legend(loc="upper left")
    return figure


@styled
def damage(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], floor: float) -> Figure:
    """FID against how badly real images are damaged, a panel for each kind of damage; the floor beside it."""
    figure, axes = panels(len(curves), 1, (3.9, 3.3))
    top = max(max(fids) for _, fids in curves.values())
    for k, (axis, (name, (strengths, fids))) in enumerate(zip(axes, curves.items(), strict=True)):
        axis.plot(strengths, fids, color=COLOURS[k], linestyle=DASHES[k], marker=MARKERS[k], markersize=7)
        axis.axhline(floor, color=QUIET, linestyle=":", linewidth=1.5)
        axis.set(xlabel=name, yscale="log", ylim=(floor / 2, top * 2))
        axis.yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("FID (logarithmic)")
    axes[0].annotate("undamaged", (1, floor), xycoords=("axes fraction", "data"), ha="right", va="top", color=QUIET)
    return figure
