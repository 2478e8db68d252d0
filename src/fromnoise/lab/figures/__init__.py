"""The figures of the notebooks: functions that return a matplotlib `Figure`, in the style of the report's."""

# ruff: noqa: F401, F403 (what a topic has is reached from here)

from fromnoise.faces.figures import scores, training_loss
from fromnoise.lab.figures.diffusion import *
from fromnoise.lab.figures.divergence import *
from fromnoise.lab.figures.evaluation import *
from fromnoise.lab.figures.images import *
from fromnoise.lab.figures.likelihood import *
from fromnoise.lab.figures.probability import *
