"""The end of a run: images drawn from its model, their score, and all that report.json says."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from fromnoise.config import Config, to_json
from fromnoise.data import arrays, sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inventory import Say, silent
from fromnoise.data.pictures import save_grid
from fromnoise.data.pixels import quantise
from fromnoise.data.sources import Parts
from fromnoise.diffusion.steps import Visit
from fromnoise.errors import UserError
from fromnoise.evaluation.features import features
from fromnoise.evaluation.overfitting import likelihood_gap
from fromnoise.evaluation.score import FEWEST, Contest, finite, score
from fromnoise.experiment import system
from fromnoise.experiment.progress import SILENT, Reporter
from fromnoise.experiment.train import Training
from fromnoise.files import check_writable, write_json
from fromnoise.generation.draw import (
    Drawing,
    draw_all,
    guidance_of,
    labels_for,
    network_calls,
    own_precision,
    takes_guidance,
)
from fromnoise.generation.model import Model

MOST = 3000  # images scored when nobody says how many
GRID = 64
FILM_IMAGES, FILM_STEPS = 4, 8


def reference_of(config: Config, parts: Parts, tell: Say = silent) -> tuple[ImageSet, int]:
    """The images to score against, and how many to draw; `tell` as `say` of `sources.load`.

    Raises UserError, before anything is trained, for too few.
    """
    settings = config.evaluation
    if settings.reference is None:
        if parts.heldout is None or len(parts.heldout) < FEWEST:
            raise UserError(
                f"{config.data.data} has too few images to hold {FEWEST} back for the score{parts.why_few}: use "
                "`fromnoise train`, or name real images with --reference"
            )
        reference = parts.heldout
    else:
        reference = _load(settings.reference, parts, config, tell)
    n = min(MOST, len(reference)) if settings.n is None else settings.n
    if n < FEWEST or len(reference) < FEWEST:
        raise UserError(f"a score needs at least {FEWEST} images: --n {n}, reference {len(reference)}")
    return reference, n


def contest_of(config: Config, parts: Parts, generated: ImageSet, reference: ImageSet) -> Contest:
    """The sets of a run's score."""
    spec = config.evaluation.reference or sources.reference_for(config.data.data)
    return Contest(generated, reference, floor_images(spec, parts, config), parts.train)


def floor_images(spec: str, parts: Parts, config: Config) -> ImageSet | None:
    """Real images that are neither in the reference `spec` nor trained on; None where they are not known."""
    if spec == sources.reference_for(config.data.data):
        return parts.val
    source = sources.floor_for(spec)
    if source is None:
        return None
    return sources.unseen(_load(source, parts, config), parts.train)


def _load(spec: str, parts: Parts, config: Config, tell: Say = silent) -> ImageSet:
    data = config.data
    return sources.load(spec, parts.train.shape[1:], data.data_root, skip_broken=data.skip_broken, say=tell)


def sample_and_score(training: Training, reference: ImageSet, n: int, weights: Path | None = None) -> None:
    """Draw n images and score them: samples/ and report.json, in this order, each whole or not at all.

    `weights` is the file of Inception's, as `features` takes it.
    """
    config, folder, outcome = training.config, training.folder, training.outcome
    device = outcome.device
    check_writable(folder.report_file)
    noted = {  # read first: what is damaged is told before any work
        "guidance": folder.about_guidance(),
        "evaluations": folder.evaluations.records(),
        "best": folder.about_best(),
    }
    start = time.perf_counter()
    generated = _sample(training, n)
    sampling_seconds = time.perf_counter() - start

    start = time.perf_counter()
    with training.reporter.bar("scoring") as bar:
        report = score(
            contest_of(config, training.parts, generated, reference),
            features(config.evaluation.features, device, inception_weights=weights),
            config.seed,
            lambda role, done, total: bar.show(done, total, role),
        )
    scoring_seconds = time.perf_counter() - start

    start = time.perf_counter()
    report["likelihood"] = overfitting(
        outcome.model, training.parts, reference, report["notes"], config.seed, device, training.reporter
    )
    report["run"] = {
        "command": system.command(),
        "config": to_json(config),
        "training": {
            "steps": outcome.steps,
            "seconds": outcome.seconds,
            "images": len(training.parts.train),
            "plan": dataclasses.asdict(outcome.plan),
            "budgets": [dataclasses.asdict(budget) for budget in outcome.pace.budgets],
            "shortfall": outcome.shortfall,
            "parameters": sum(p.numel() for p in outcome.model.network.parameters()),
            "told": outcome.model.shape.told,
        },
        "inception_weights": None if weights is None else str(weights),
        "sampling": {
            "n": n,
            "seconds": sampling_seconds,
            "sampler": to_json(config.sampling),
            "guidance": guidance_of(outcome.model, config.sampling),
            "calls": network_calls(outcome.model, config.sampling),
            "seed": config.seed,
        },
        "scoring": {"seconds": scoring_seconds},
        "likelihood": {"seconds": time.perf_counter() - start},
        "system": system.about(device),
        **noted,
    }
    folder.check_there()
    write_json(folder.report_file, report)


def overfitting(
    model: Model,
    parts: Parts,
    reference: ImageSet,
    notes: list[str],
    seed: int,
    device: torch.device,
    reporter: Reporter = SILENT,
) -> dict[str, Any] | None:
    """The likelihood gap of a model, for its report; None, and one of the `notes`, where it cannot be had."""
    train, heldout = parts.train, parts.heldout
    heldout = sources.less(reference, train) if heldout is None or len(heldout) < FEWEST else heldout
    if heldout is None or min(len(heldout), len(train)) < 2 or heldout.shape != train.shape:
        notes.append("overfitting was not looked for: there are no two held-out images of the training images' shape")
        return None
    if model.shape.classes and not takes_guidance(model):
        notes.append("overfitting was not looked for: the model was never shown an image without its class")
        return None
    with reporter.bar("likelihood") as bar:
        gap = likelihood_gap(model, train, heldout, seed=seed, device=device, progress=bar.show)
    found: dict[str, Any] = finite(gap, "likelihood", notes)
    return found


def _sample(training: Training, n: int) -> ImageSet:
    """samples/: the images, a grid of the first and the film of the very first, from noise to image."""
    config, folder, outcome = training.config, training.folder, training.outcome
    drawing = Drawing(n, config.seed, precision=own_precision(outcome.model, outcome.device))
    film: list[torch.Tensor] = []

    def watch(visit: Visit) -> None:
        if visit.k in _kept(visit.steps):
            film.append(quantise(visit.x[:FILM_IMAGES]).cpu())

    with training.reporter.bar("sampling") as bar:
        images = draw_all(outcome.model, drawing, outcome.device, bar.show, watch)
    labels = None if outcome.model.shape.clustered else labels_for(outcome.model, drawing)
    folder.check_there()
    arrays.save(folder.samples / "images.npz", images, labels)
    save_grid(folder.samples / "grid.png", images[:GRID])
    frames = torch.stack([*film, images[:FILM_IMAGES]], dim=1).flatten(0, 1)
    save_grid(folder.samples / "film.png", frames, columns=len(film) + 1)
    return ImageSet(str(folder.path), images, labels)


def _kept(steps: int) -> list[int]:
    """The steps that the film shows, as even as they can be from the first to the last."""
    return torch.linspace(0, steps - 1, min(steps, FILM_STEPS)).round().int().tolist()
