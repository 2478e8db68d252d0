"""Sliders are there in Jupyter with ipywidgets, and nowhere else is anything drawn."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from matplotlib.figure import Figure

from fromnoise.lab import interactive


def test_outside_jupyter_nothing_is_drawn():
    interactive.explore(pytest.fail, t=[0, 1])


def test_in_jupyter_a_slider_redraws_the_figure(monkeypatch):
    shell, widgets, display = SimpleNamespace(config={"IPKernelApp": {}}), ModuleType("ipywidgets"), []
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, version_info=(9, 0)))
    monkeypatch.setitem(
        sys.modules, "IPython.display", SimpleNamespace(Image=lambda data: data, display=display.append)
    )
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    monkeypatch.setattr(interactive, "find_spec", lambda name: name)
    widgets.SelectionSlider = lambda **how: how
    widgets.interact = lambda drawn, **sliders: drawn(**{name: slider["value"] for name, slider in sliders.items()})
    asked = []

    def draw(t, guidance):
        asked.append((t, guidance))
        return Figure()

    interactive.explore(draw, t=[0, 100, 200], guidance=[1.0, 2.0])
    assert asked == [(100, 2.0)]
    assert display[0].startswith(b"\x89PNG")
