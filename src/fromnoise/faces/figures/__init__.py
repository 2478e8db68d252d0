"""The figures of lab, report and pages: functions that return a matplotlib `Figure` in one style."""

# ruff: noqa: F403 (what a topic has is reached from here)

from fromnoise.faces.figures.diffusion import *
from fromnoise.faces.figures.divergence import *
from fromnoise.faces.figures.evaluation import *
from fromnoise.faces.figures.images import *
from fromnoise.faces.figures.likelihood import *
from fromnoise.faces.figures.probability import *
