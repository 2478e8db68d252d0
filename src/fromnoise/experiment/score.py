"""The end of a run: images sampled from its model, their score, and all that report.json says."""

import dataclasses
import time
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from fromnoise.config import Config, to_json
from fromnoise.data import saving
from fromnoise.data.image_set import ImageSet, excluding
from fromnoise.data.parts import Parts
from fromnoise.data.pictures import save_grid
from fromnoise.data.settings import Size
from fromnoise.diffusion.steps import Visit
from fromnoise.errors import UserError
from fromnoise.evaluation.design import error_of_mean
from fromnoise.evaluation.overfitting import overfitting
from fromnoise.evaluation.provenance import RunFacts, SamplingFacts, TrainingFacts
from fromnoise.evaluation.report import FEWEST, Bits, OtherVersion, Report
from fromnoise.evaluation.score import Comparison, score
from fromnoise.experiment import few_images, initial_weights, system
from fromnoise.experiment.comparison import floor_images, read, reference_name, same_classes, without_leaks
from fromnoise.experiment.train import Experiment
from fromnoise.files import check_writable, write_json
from fromnoise.generation.likelihood import bound_bits, levels_of
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import (
    SampleRequest,
    guidance_of,
    interval_of,
    labels_for,
    network_calls,
    own_precision,
    sample,
)
from fromnoise.say import say
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.trainer import Outcome

MOST = 3000  # images scored when nobody says how many
GRID = 64
FILM_IMAGES, FILM_STEPS = 4, 8
LIKELIHOOD_IMAGES, LEVELS_PER_IMAGE = 256, 16  # images, and random noise levels for each


def reference_of(config: Config, parts: Parts, skip_broken: bool = False) -> tuple[ImageSet, int]:
    """The images to score against, and how many to sample; `skip_broken` is that of `sources.load`.

    Raises UserError, before anything is trained, for too few.
    """
    settings = config.evaluation
    if settings.reference is None:
        if parts.heldout is None or len(parts.heldout) < FEWEST:
            raise UserError(
                f"{config.data.data} has too few images to hold out {FEWEST} for the score{parts.why_few(FEWEST)}: "
                "use `fromnoise train`, or name real images with --reference"
            )
        reference = parts.heldout
    else:
        reference = _read(settings.reference, parts, config, skip_broken)
    n = min(MOST, len(reference)) if settings.n is None else settings.n
    if n < FEWEST or len(reference) < FEWEST:
        few = f"--n is {n}" if n < FEWEST else f"--reference has {len(reference)}"
        raise UserError(f"a score needs at least {FEWEST} images, but {few}: give more")
    return reference, n


def sets_of(config: Config, parts: Parts, generated: ImageSet, reference: ImageSet) -> Comparison:
    """What is compared with images of a model that was trained on `parts`."""
    floor = floor_images(reference_name(config), config.data, parts, lambda each: _read(each, parts, config, True))
    notes: list[str] = []
    train = parts.train
    if config.evaluation.reference is not None:
        generated = same_classes(generated, reference, "generated", notes)
        train = same_classes(train, reference, "training", notes)
    return without_leaks(Comparison(generated, reference, floor, train, notes, dealt=not reference.parts))


def _read(spec: str, parts: Parts, config: Config, skip_broken: bool) -> ImageSet:
    size = Size(*parts.train.shape[1:], config.data.fit)
    return read(spec, config.data, size, skip_broken=skip_broken, within=parts.train.range)


def scored_before(folder: RunFolder, steps: int) -> Report | None:
    """A finished run's report, if there is one of this version and its images too.

    Others are set aside under the number of steps, and a line says so. Raises UserError for a damaged report.
    """
    if not folder.report_file.exists():
        return None
    if not (folder.samples / "images.npz").is_file():
        why = "its images are missing"
    else:
        try:
            report = Report.read(folder.report_file, "remove it and score again")
            if report.run is not None:
                return report
            why = "report.json is not of a run"
        except OtherVersion:
            why = "report.json is from another version"
    say(f"{why}: scoring again, and keeping the old report beside the new one")
    folder.set_aside_score(steps)
    return None


def sample_and_score(experiment: Experiment, outcome: Outcome, reference: ImageSet, n: int) -> tuple[Report, ImageSet]:
    """Sample n images and score them: samples/ and report.json, in this order, each whole or not at all."""
    config, folder, parts, model = experiment.config, experiment.folder, experiment.parts, outcome.model
    check_writable(folder.report_file)
    noted: dict[str, Any] = {  # read first: damage is reported before any work
        "guidance": folder.about_guidance(),
        "evaluations": tuple(folder.evaluations.records()),
        "best": folder.about_best(),
    }
    begun = time.perf_counter()
    generated = _sample(experiment, outcome, n)
    sampled = time.perf_counter()
    sets = sets_of(config, parts, generated, reference)
    report = score(sets, experiment.features, config.seed, experiment.choosing)
    scored = time.perf_counter()
    report = with_overfitting(report, model, parts, reference)
    report = with_notes(report, folder, parts)
    training = TrainingFacts(
        outcome.steps,
        outcome.seconds,
        len(parts.train),
        dataclasses.asdict(outcome.plan),
        tuple(map(dataclasses.asdict, outcome.pace.budgets)),
        outcome.shortfall,
        sum(p.numel() for p in model.network.parameters()),
        model.info.conditioned_on,
        model.info.class_names,
    )
    guidance, calls = guidance_of(model, config.sampling), network_calls(model, config.sampling)
    used = config.sampling.but(guidance_interval=interval_of(model, config.sampling))
    run = RunFacts(
        system.command(),
        to_json(config),
        training,
        SamplingFacts(n, sampled - begun, to_json(used), guidance, calls, config.seed),
        scored - sampled,
        time.perf_counter() - scored,
        system.about(model.device),
        weights=None if experiment.weights is None else str(experiment.weights),
        skip_broken=experiment.skip_broken,
        **noted,
    )
    report = replace(report, run=run)
    folder.check_there()
    write_json(folder.report_file, report.plain())
    return report, generated


def with_overfitting(report: Report, model: Model, parts: Parts, reference: ImageSet) -> Report:
    """`report` with the test for overfitting of its model and the likelihood of held-out images, or with a note where
    there are none."""
    train, heldout = parts.train, parts.heldout
    heldout = excluding(reference, train) if heldout is None or len(heldout) < FEWEST else heldout
    if heldout is None or min(len(heldout), len(train)) < 2 or heldout.shape != train.shape:
        note = "no test for overfitting: fewer than two held-out images have the training images' shape"
        return replace(report, notes=(*report.notes, note))
    seed = report.protocol.seed
    found = overfitting(model, train, heldout, seed=seed)
    return replace(report, overfitting=found, likelihood=_likelihood(model, heldout, seed))


def with_notes(report: Report, folder: RunFolder, parts: Parts, chosen: bool = True) -> Report:
    """`report` with what a reader should know of the run's training; `chosen`: it is on the model that the run uses."""
    notes = (
        few_images.note(parts, folder.about_best() if chosen else None, max(folder.steps(), default=0)),
        initial_weights.note(folder, parts),
    )
    return replace(report, notes=(*report.notes, *filter(None, notes)))


def _likelihood(model: Model, images: ImageSet, seed: int) -> Bits:
    few = dataclasses.replace(images, labels=None).subset(min(LIKELIHOOD_IMAGES, len(images)), seed)
    found = bound_bits(model, few.images, levels_of(model, LEVELS_PER_IMAGE), seed=seed)
    error = error_of_mean(found.bits.double().numpy(), few.groups)
    parts = [float(part.mean()) for part in (found.prior, found.steps, found.decoder) if part is not None]
    return Bits(float(found.bits.mean()), error, len(few), *parts)


def _sample(experiment: Experiment, outcome: Outcome, n: int) -> ImageSet:
    """samples/: the images, a grid of the first and the film of the very first, from noise to image."""
    folder, model = experiment.folder, outcome.model
    request = SampleRequest(n, experiment.config.seed, precision=own_precision(model))
    film: list[torch.Tensor] = []

    def add_frames(visit: Visit) -> None:
        if visit.k in _kept(visit.steps):
            film.append(model.info.decode(visit.x[:FILM_IMAGES]).cpu())

    images = sample(model, request, add_frames)
    labels = None if model.info.clustered else labels_for(model, request)
    folder.check_there()
    sampled = ImageSet(str(folder.path), images, labels, class_names=model.info.class_names)
    saving.save(folder.samples / "images.npz", sampled)
    saving.save(folder.samples / "grid.png", sampled.take(np.arange(min(n, GRID))))
    frames = torch.stack([*film, images[:FILM_IMAGES]], dim=1).flatten(0, 1)
    save_grid(folder.samples / "film.png", frames, columns=len(film) + 1)
    return sampled


def _kept(steps: int) -> list[int]:
    """The steps that the film shows, as even as they can be from the first to the last."""
    return torch.linspace(0, steps - 1, min(steps, FILM_STEPS)).round().int().tolist()
