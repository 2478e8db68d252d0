"""Figures of likelihood: images in order, the bound by level, the gap against steps, latent interpolation."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise.faces.figures.style import QUIET, SKY, bare, counts, panels, styled


@styled
def ranked_images(
    images: UInt8[Tensor, "n c h w"], bits: Sequence[float], names: Sequence[str], errors: Sequence[float] | None = None
) -> Figure:
    """Images side by side, each with its name and its bits per dimension (± the standard error)."""
    figure, axes = panels(len(images), 1, (2.3, 2.9))
    for k, (axis, image, name) in enumerate(zip(axes, images, names, strict=True)):
        _picture(axis, image)
        spread = f" ± {errors[k]:.2f}" if errors is not None else ""
        axis.set_title(f"{name}\n{bits[k]:.2f}{spread} bits", loc="center")
    return figure


@styled
def bound_by_level(levels: Float[Tensor, " t"], terms: Mapping[str, Float[Tensor, " t"]]) -> Figure:
    """Bits per dimension that each unit of λ costs, for several images or their means, from clear to noisy."""
    figure, (axis,) = panels(1, 1, (7.0, 3.8))
    for k, (name, values) in enumerate(terms.items()):
        axis.plot(levels, values, label=name, marker="os^Dv"[k % 5], markevery=4)
    axis.invert_xaxis()
    axis.set_xlabel("λ = log signal-to-noise ratio (noise grows to the right)")
    axis.set_ylabel("bits per dimension\nand unit of λ")
    axis.set_ylim(bottom=0)
    axis.legend()
    return figure


@styled
def bound_gap(steps: Sequence[int], gaps: Mapping[str, Sequence[float]]) -> Figure:
    """What the bound exceeds the exact −log p by, in nats, against the number of steps; a slope of −1 beside it."""
    figure, (axis,) = panels(1, 1, (6.4, 3.8))
    for k, (name, values) in enumerate(gaps.items()):
        axis.loglog(steps, values, label=name, marker="os^D"[k % 4])
    first = next(iter(gaps.values()))
    axis.loglog(steps, first[0] * steps[0] / np.asarray(steps) * 0.5, color=QUIET, linestyle=":", label="slope −1")
    counts(axis, steps)
    axis.set_xlabel("steps T")
    axis.set_ylabel("bound less exact (nats)")
    axis.legend()
    return figure


@styled
def bits_histogram(bits: Mapping[str, Float[Tensor, " n"]], marks: Mapping[str, float]) -> Figure:
    """How the bits per dimension of sets of images spread, with single images marked."""
    figure, (axis,) = panels(1, 1, (7.0, 3.4))
    everything = np.concatenate([np.asarray(values) for values in (*bits.values(), list(marks.values()))])
    edges = np.linspace(everything.min(), everything.max(), 18).tolist()
    for k, (name, values) in enumerate(bits.items()):
        kind = {"color": SKY} if not k else {"histtype": "step", "color": "black", "linewidth": 1.8}
        axis.hist(np.asarray(values), edges, label=name, **kind)
    for name, value in marks.items():
        axis.axvline(value, color="black", linestyle=":")
        axis.annotate(
            name, (value, 0.97), xycoords=("data", "axes fraction"), rotation=90, ha="right", va="top", fontsize=10
        )
    axis.set_xlabel("bits per dimension (likelier to the left)")
    axis.set_ylabel("images")
    axis.legend()
    return figure


@styled
def interpolation(rows: Sequence[tuple[str, UInt8[Tensor, "n c h w"]]]) -> Figure:
    """Rows of images, each from one end to the other, named at the left."""
    n = max(len(images) for _, images in rows)
    figure, axes = panels(n, len(rows), (1.15, 1.25))
    for r, (name, images) in enumerate(rows):
        for k in range(n):
            axis = axes[r * n + k]
            bare(axis)
            if k < len(images):
                _picture(axis, images[k])
        axes[r * n].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def _picture(axis: Axes, image: UInt8[Tensor, "c h w"]) -> None:
    pixels = image.cpu().permute(1, 2, 0).numpy()
    axis.imshow(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
    bare(axis)
