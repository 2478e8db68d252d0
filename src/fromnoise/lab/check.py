"""The checks that a student runs: `from fromnoise.lab import check`, then `check.task4(noisy)`."""

# ruff: noqa: F401 (what a notebook's module has is reached from here)

from fromnoise.lab.checking import TODO, grading
from fromnoise.lab.checks.distributions import exercise_1_1, exercise_1_2, exercise_1_3, task1
from fromnoise.lab.checks.evaluation import exercise_6_1, exercise_6_2, exercise_6_3, task7
from fromnoise.lab.checks.expectations import exercise_2_1, exercise_2_2, exercise_2_3, exercise_2_4
from fromnoise.lab.checks.normal_model import exercise_3_1, exercise_3_2, exercise_3_3, task2
