"""Figures that follow sliders, in Jupyter where ipywidgets is installed; a notebook shows a still one besides."""

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from matplotlib.figure import Figure

from fromnoise.faces.figures import style


def explore(draw: Callable[..., Figure], **values: Sequence[float | int]) -> None:
    """Sliders over the values of each argument of `draw`, which draws the figure again when one is moved.

    They begin in the middle. Does nothing outside Jupyter or without ipywidgets.
    """
    if not _in_jupyter() or find_spec("ipywidgets") is None:
        return
    import ipywidgets
    from IPython.display import Image, display

    def drawn(**chosen: float | int) -> None:
        display(Image(style.png(draw(**chosen))))

    sliders = {
        name: ipywidgets.SelectionSlider(
            options=list(options), value=options[len(options) // 2], description=name, continuous_update=False
        )
        for name, options in values.items()
    }
    ipywidgets.interact(drawn, **sliders)


def _in_jupyter() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and "IPKernelApp" in shell.config
