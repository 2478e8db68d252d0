"""Figures of likelihood: images in order, the bound by level, how bits spread."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise.faces.style import MARKERS, SKY, Look, panels, styled
from fromnoise.lab.figures.images import picture_rows


def ranked_images(
    images: UInt8[Tensor, "n c h w"], bits: Sequence[float], names: Sequence[str], errors: Sequence[float] | None = None
) -> Figure:
    """Images side by side, each with its name and its bits per dimension (± the standard error)."""
    spreads = [""] * len(images) if errors is None else [f" ± {error:.2f}" for error in errors]
    texts = [f"{name}\n{bit:.2f}{spread} bits" for name, bit, spread in zip(names, bits, spreads, strict=True)]
    return picture_rows([("", images)], texts, side=1.9)


@styled
def bound_by_level(levels: Float[Tensor, " t"], terms: Mapping[str, Float[Tensor, " t"]]) -> Figure:
    """Bits per dimension that each unit of λ costs, for several images or their means, from clear to noisy."""
    figure, (axis,) = panels(1, 1, (7.0, 3.8))
    for k, (name, values) in enumerate(terms.items()):
        axis.plot(levels, values, label=name, marker=MARKERS[k], markevery=4)
    axis.invert_xaxis()
    axis.set_xlabel("λ = log signal-to-noise ratio (noise grows to the right)")
    axis.set(ylabel="bits per dimension\nand unit of λ", ylim=(0, None))
    axis.legend()
    return figure


@styled
def bits_histogram(bits: Mapping[str, Float[Tensor, " n"]], marks: Mapping[str, float]) -> Figure:
    """How the bits per dimension of sets of images spread, with single images marked."""
    figure, (axis,) = panels(1, 1, (7.0, 3.4))
    everything = np.concatenate([*map(np.asarray, bits.values()), [*marks.values()]])
    edges = np.linspace(everything.min(), everything.max(), 18).tolist()
    for k, (name, values) in enumerate(bits.items()):
        kind = {"color": SKY} if not k else {"histtype": "step", "color": "black", "linewidth": 1.8}
        axis.hist(np.asarray(values), edges, label=name, **kind)
    place: Look = {"xycoords": ("data", "axes fraction"), "rotation": 90, "ha": "right", "va": "top"}
    for name, value in marks.items():
        axis.axvline(value, color="black", linestyle=":")
        axis.annotate(name, (value, 0.97), fontsize=10, **place)
    axis.set(xlabel="bits per dimension (likelier to the left)", ylabel="images")
    axis.legend()
    return figure
