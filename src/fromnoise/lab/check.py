"""The checks that a student runs: `from fromnoise.lab import check`, then `check.task4(noisy)`."""

# ruff: noqa: F401 (what a notebook's module has is reached from here)

from fromnoise.lab.checking import TODO, grading
from fromnoise.lab.checks.diffusion import exercise_4_1, exercise_4_3, exercise_4_4, exercise_4_5
from fromnoise.lab.checks.distributions import exercise_1_1, exercise_1_2, exercise_1_3, task1
from fromnoise.lab.checks.evaluation import exercise_6_1, exercise_6_2, exercise_6_3, task7
from fromnoise.lab.checks.expectations import exercise_2_1, exercise_2_2, exercise_2_3, exercise_2_4
from fromnoise.lab.checks.flows import exercise_8_1, exercise_8_2
from fromnoise.lab.checks.images import exercise_5_1, exercise_5_5, exercise_5_6, exercise_5_7, task3, task4
from fromnoise.lab.checks.likelihood import exercise_7_1, exercise_7_2, exercise_7_3
from fromnoise.lab.checks.loops import exercise_5_2, exercise_5_3, exercise_5_4, task5, task6
from fromnoise.lab.checks.normal_model import exercise_3_1, exercise_3_2, exercise_3_3, task2
