"""The figures of lab, report and pages: functions that return a matplotlib `Figure` in one style."""

# ruff: noqa: F401 (what a topic has is reached from here)

from fromnoise.faces.figures.diffusion import (
    convergence,
    fields,
    films,
    histogram_under_normal,
    lines,
    path_against_jump,
    paths,
    real_and_drawn,
    schedules,
    trajectories,
)
from fromnoise.faces.figures.divergence import (
    descents,
    estimates,
    integrand,
    landscapes,
    objectives,
    tangent,
)
from fromnoise.faces.figures.evaluation import (
    class_balance,
    damage,
    density_pairs,
    excesses,
    feature_plane,
    fid_by_size,
    losses,
    score_over_time,
    scores,
)
from fromnoise.faces.figures.images import class_counts, picture_grid, picture_rows, training_loss
from fromnoise.faces.figures.likelihood import bits_histogram, bound_by_level, ranked_images
from fromnoise.faces.figures.probability import (
    densities,
    falling,
    followed,
    masses,
    planes,
    radii,
    risks,
    running_means,
    two_risks,
    weighted,
)
