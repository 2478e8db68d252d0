"""The choice of guidance at the end of a training, handed in: training itself judges nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from fromnoise.generation.model import Model


@dataclass(frozen=True)
class Choice:
    """What chooses, on the training's clock.

    cost    how many steps' time it takes after so many steps; 0 where nothing is chosen
    choose  the guidance for the model that so many steps have trained, given in eval mode
    """

    cost: Callable[[int], int]
    choose: Callable[[int, Model], float]
