"""Train, load, sample and evaluate from Python.

    import fromnoise

    run = fromnoise.train("photos/", minutes=10, out="runs/photos")
    images = run.sample(64, seed=0)                          # uint8 array N×H×W×C, with images.labels
    images.save("photos.png")
    variants = run.vary(images[:1], 8, strength=0.3)         # also: inpaint, upscale, interpolate
    card = run.evaluate()
    print(card.excess.value, *fromnoise.verdicts(card), sep="\n")
    print(run.likelihood(images).bits)                       # how likely the model finds each image

    digits = fromnoise.load("digits")                        # a packaged model; "clipart" and "clipart64" are in colour
    card = fromnoise.evaluate(digits.sample(1000), "mnist:test")

All names are in `fromnoise` itself, which imports PyTorch when the first of them is used. The functions do the same as
the commands of their names, with the same weights, images and numbers. So a training resumes if it is called again with
the same settings, and `fromnoise run` can continue what Python began. Progress goes to stderr, or nowhere if `quiet`;
nothing is printed to stdout. Errors that you can fix are raised as `fromnoise.UserError`.
"""

from __future__ import annotations  # so that help() shows the names of types, not what they stand for

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from msgspec import structs

from fromnoise.calls import as_python, called_from_python, reporter_of
from fromnoise.config import PRESETS, Config, folder_for, settled, with_settings
from fromnoise.data import arrays
from fromnoise.data.image_set import ImageSet
from fromnoise.data.settings import Alpha, Fit
from fromnoise.diffusion.settings import SamplerName
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.features import choosing_features
from fromnoise.evaluation.features import features as extractor_of
from fromnoise.evaluation.report import Report
from fromnoise.evaluation.score import score
from fromnoise.evaluation.verdicts import Verdict
from fromnoise.evaluation.verdicts import verdicts as in_words
from fromnoise.experiment import find
from fromnoise.experiment.comparison import ScoreRequest, as_8_bits
from fromnoise.experiment.evaluate import evaluate as scored
from fromnoise.experiment.likelihood import LikelihoodRequest, Likelihoods, Method, likelihoods
from fromnoise.experiment.sample import sampled
from fromnoise.experiment.score import reference_of, sets_of, with_notes, with_overfitting
from fromnoise.experiment.train import Experiment, trained
from fromnoise.generation import edit
from fromnoise.generation.model import Model
from fromnoise.images import Arrays, Images, Source, array_of, as_set, batch_of, named
from fromnoise.lookup import lookup
from fromnoise.say import Reporter, reporting_to
from fromnoise.training.device import UNDECIDED, alone
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Recording

__all__ = ["Images", "Likelihoods", "Report", "Run", "UserError", "Verdict", "evaluate", "load", "train", "verdicts"]

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
FROM_FILES = (
    "training reads its images from files: save these first, for example with numpy.savez('mine.npz', "
    "images=images, labels=labels), and train on 'mine.npz'"
)


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A trained model.

    model     the network with its configuration
    folder    its run folder; None for a model file, or a packaged model
    device    where it computes
    """

    model: Model
    folder: Path | None = None
    device: DeviceName = "auto"
    reporter: Reporter = field(default_factory=Reporter)
    _source: Path = Path("the model")  # what `load` was given
    _extractors: dict[Any, tuple[Features, Features]] = field(default_factory=dict, init=False)

    def __repr__(self) -> str:
        info, where = self.model.info, self.folder or self._source
        return f"<Run {where}: {info.channels}×{info.height}×{info.width}, {info.conditioned_on}>"

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_extractors": {}}  # pickle knows no functions

    @property
    def config(self) -> Config:
        """All settings that it was trained with."""
        return self.model.config

    @property
    def report(self) -> Report | None:
        """The report that `fromnoise run` wrote into the run folder, if it did."""
        file = None if self.folder is None else RunFolder(self.folder).report_file
        return Report.read(file) if file is not None and file.is_file() else None

    def _there(self) -> Model:
        """The model, on its device; raises UserError for one that is missing."""
        return self.model.to(alone(self.device))

    @called_from_python()
    def sample(
        self,
        n: int | None = None,
        *,
        per_class: int | None = None,
        seed: int = 0,
        first: int = 0,
        label: int | str | None = None,
        guidance: float | None = None,
        sampler: SamplerName | None = None,
        steps: int | None = None,
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        reject_copies: bool = False,
        **settings: Any,
    ) -> Images:
        """n new images, 64 by default. For a given seed, image k is the same, however many are sampled.

        - `per_class`: this many images of each class, instead of `n`
        - `first`: the number of the first image; 100 continues after `n=100`
        - `label`: this class only, by name or number, or this cluster
        - `guidance`: how much the class or cluster counts; 1 for no guidance
        - `sampler`, `steps`, and further `settings` of the sampler, such as `guidance_interval=(-3, 2)` or
          `spacing="logsnr"`: instead of the model's own
        - `reject_copies`: replace copies of the run's training images with those that `first` would continue with

        Raises UserError, before any work, for what the model cannot do.
        """
        asked: dict[str, Any] = {"n": n, "per_class": per_class, "seed": seed, "first": first, "label": label}
        asked |= {"guidance": guidance, "precision": precision, "reject_copies": reject_copies}
        if steps is not None and "sampling_steps" in settings:
            raise UserError("steps and sampling_steps are the same: give one")
        settings |= {"sampler": sampler} | ({} if steps is None else {"sampling_steps": steps})
        with reporting_to(self.reporter):
            found = sampled(self._there(), self.folder, **asked, **settings)
        labels = None if found.labels is None or found.clustered else found.labels.numpy()
        return Images(arrays.to_array(found.images), labels, () if labels is None else found.class_names)

    @called_from_python()
    def vary(
        self,
        images: Arrays,
        n: int = 1,
        *,
        strength: float = 0.5,
        seed: int = 0,
        label: int | str | None = None,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Images:
        """n variants of each image: noise is added to it and removed again.

        Images are uint8, N×H×W×C, or a single H×W×C or H×W. They may be grey, RGB or RGBA, and are converted to the
        model's channels. If the training images were mapped to bytes, numbers other than uint8 are mapped likewise.

        - `strength`: from 0 (the images as they are) to 1 (new samples)
        - `label`: the images' class or cluster; default: any
        - `guidance`: how much the class or cluster counts, if one is given; `steps`: as in `sample`

        Raises UserError, before any work, for what the model cannot do; so do `inpaint`, `upscale` and `interpolate`.
        """
        return self._edited(edit.vary, [images], strength, edit.Edit(n, seed, label, guidance, steps))

    @called_from_python()
    def inpaint(
        self,
        images: Arrays,
        mask: Arrays,
        n: int = 1,
        *,
        seed: int = 0,
        label: int | str | None = None,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Images:
        """n ways to fill in each image where `mask`, H×W, is true or (uint8) above 127; the rest stays the same."""
        given = array_of(mask, "the mask")
        if given.dtype != bool and given.size and given.max() <= 1:
            raise UserError("the mask has no value above 1: give it as bool, mask > 0, or in white (255) and black")
        fill = torch.tensor(np.ascontiguousarray(given if given.dtype == bool else given > 127))
        return self._edited(edit.inpaint, [images], fill, edit.Edit(n, seed, label, guidance, steps))

    @called_from_python()
    def upscale(
        self,
        images: Arrays,
        n: int = 1,
        *,
        seed: int = 0,
        label: int | str | None = None,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Images:
        """n enlargements of each image of half the model's size, whose 2×2 means are the image's pixels."""
        return self._edited(edit.upscale, [images], edit.Edit(n, seed, label, guidance, steps))

    @called_from_python()
    def interpolate(self, one: Arrays, other: Arrays, n: int = 8, *, label: int | str | None = None) -> Images:
        """n images from `one` to `other`, both included, by blending the noise that each comes from."""
        return self._edited(edit.interpolate, [one, other], n, label)

    def _edited(self, work: Callable[..., torch.Tensor], images: Sequence[Arrays], *how: Any) -> Images:
        with reporting_to(self.reporter):
            given = [self._read(each) for each in images]
            found = work(self._there(), *given, *how)
        return Images(arrays.to_array(found))

    def _read(self, images: Arrays) -> torch.Tensor:
        """Images to edit, in the model's channels, N×C×H×W; raises UserError for numbers that the model cannot map."""
        info = self.model.info
        found = as_set(batch_of(images, info.channels, info.width), "images", info.range)
        if found.range not in (None, info.range):
            raise UserError(f"images to edit must be bytes: convert these, perhaps with {as_8_bits(*found.range)}")
        return edit.as_trained(self.model, found).images

    @called_from_python()
    def likelihood(
        self,
        images: Source,
        *,
        method: Method = "bound",
        levels: int | Literal["all"] | None = None,
        label: int | str | None = None,
        n: int | None = None,
        seed: int = 0,
        skip_broken: bool = False,
    ) -> Likelihoods:
        """How likely images are under the model; this says little about their quality.

        Images are an array of the model's height and width, with numbers other than uint8 mapped as in `vary`; or a
        name, as on the command line, of an image file, a folder, an `.npz`, or a data set such as "digits:heldout".

        - `method`: "bound", the variational bound; or "flow", near-exact, by the probability-flow ODE
        - `levels`: random noise levels for each image's bound, 32 by default, or "all"
        - `label`: the images' class or cluster; default: any
        - `n`: a random subset of this many; default: all
        - `skip_broken`: leave out files that cannot be read

        Raises UserError, before any work, for images that the model does not fit.
        """
        request, info = LikelihoodRequest(method, levels, label, n, seed, skip_broken), self.model.info
        if not isinstance(images, str | Path | ImageSet):
            images = batch_of(images, info.channels, info.width)
        with reporting_to(self.reporter):
            given = named(images, "images", info.range)
            return next(likelihoods(self._there(), self.folder or self._source, [given], request))

    @called_from_python()
    def evaluate(
        self,
        n: int | None = None,
        *,
        reference: str | Path | None = None,
        features: str | None = None,
        seed: int | None = None,
        weights: str | Path | None = None,
        skip_broken: bool = False,
    ) -> Report:
        """Sample n images and score them as `fromnoise run` does; writes nothing.

        They are compared with the data's held-out part, or with `reference`, such as "mnist:test". By default `n` is
        the number of images in that, at most 3,000. Raises UserError if the training images can no longer be found.
        """
        asked = {"n": n, "reference": reference and str(reference), "features": features, "seed": seed}
        given = {name: value for name, value in asked.items() if value is not None}
        device, source = self._there().device, self.folder or self._source
        config = with_settings(find.config_of(self.model, source), given)
        name, made = config.evaluation.features, self._extractors  # they remember the features of the real images
        with reporting_to(self.reporter):
            parts, notes = find.parts_of_model(self.model, source, skip_broken=skip_broken)
            if (name, weights) not in made:
                file = None if weights is None else Path(weights)
                extractor = extractor_of(name, device, images=parts.train, weights=file)
                made[name, weights] = extractor, choosing_features(device)
            extractor, choosing = made[name, weights]
            against, number = reference_of(config, parts, skip_broken)
            generated = as_set(self.sample(number, seed=config.seed), str(self.folder or "generated"))
            report = score(sets_of(config, parts, generated, against), extractor, config.seed, choosing)
            report = with_overfitting(report, self.model, parts, against)
            run, report = find.run_of(source), structs.replace(report, notes=(*report.notes, *notes))
            return report if run is None else with_notes(report, RunFolder(run), parts, self.folder is not None)


@called_from_python(unchecked=["data"])
def train(
    data: str | Path = "digits",
    *,
    out: str | Path | None = None,
    preset: Literal["fast", "chapter", "tiny"] = "fast",
    skip_broken: bool = False,
    log_every: int | None = None,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
    device: DeviceName = "auto",
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train on `data`, or resume the training in `out`; returns the trained run.

    - `data`: what `--data` takes: a folder, zip or tar of images, an `.npz` file, or a name such as digits or mnist
    - `out`: the run folder; runs/NAME-PRESET when not given
    - `skip_broken`: leave out files that cannot be read
    - `log_every`, `checkpoint_every`, `tensorboard`: as the flags of `fromnoise train`
    - `settings`: the settings of `fromnoise train`, by the names of its flags: `minutes=10`, `size=(32, 24)`,
      `augment=0.3`, `evaluate_every=250`, `channels=(48, 96, 96)` …

    Raises UserError, before anything is written, for settings that do not fit together or data that cannot be found.
    """
    if not isinstance(data, str | Path):
        raise UserError(FROM_FILES if hasattr(data, "__len__") else f"data must be text or a path, not {data!r:.60}")
    if isinstance(settings.get("size"), tuple | list):
        settings["size"] = "x".join(map(str, settings["size"]))
    settings |= {name: str(settings[name]) for name in ("size", "init") if settings.get(name) is not None}
    config = settled(with_settings(lookup("preset", preset, PRESETS), settings | {"data": str(data)}), preset)
    place = folder_for(config, preset) if out is None else Path(out)
    recording = Recording(log_every, checkpoint_every, tensorboard)
    experiment = Experiment(config, place, device, recording=recording, skip_broken=skip_broken)
    with reporting_to(reporter_of(quiet)), UNDECIDED, trained(experiment):
        return load(place, device=device, quiet=quiet)


@called_from_python()
def load(source: str | Path, *, device: DeviceName = "auto", quiet: bool = False) -> Run:
    """A trained run: a run folder, a checkpoint in it, a model.safetensors file, or "digits", "clipart" or "clipart64"
    (packaged).

    Raises UserError for anything else.
    """
    path = Path(source)
    folder = path if find.is_run(path) else None
    return Run(find.load_model(path), folder, device, reporter_of(quiet), path)


@called_from_python()
def evaluate(
    generated: Source,
    reference: Source,
    *,
    train: Source | None = None,
    floor: Source | None = None,
    features: str = "auto",
    n: int | None = None,
    seed: int = 0,
    weights: str | Path | None = None,
    skip_broken: bool = False,
    fit: Fit | None = None,
    alpha: Alpha | None = None,
    label_by: str | None = None,
    group_by: str | None = None,
    device: DeviceName = "auto",
    quiet: bool = False,
) -> Report:
    """Score images from any source against real ones; see docs/guides/evaluation.md.

    Each set is an array, N×H×W×C, N×C×H×W or N×H×W, or is named as on the command line: a folder, an `.npz` or `.npy`,
    a run folder, "digits:heldout", "mnist:test". The reference may also be an `.npz` of statistics (`mu`, `sigma`).

    - `train`: what the model was trained on, for copycat and copy test; run folders know theirs
    - `floor`: other real images; named references bring their own, if any are left. Without one `excess` is None
    - `n`: score a random subset of this many generated images
    - `skip_broken`: leave out files that cannot be read, instead of refusing the whole set
    - `fit`, `alpha`, `label_by`, `group_by`: how sets are read, as in training; run folders know theirs

    Raises UserError for sets that are too small or cannot be read.
    """
    request = ScoreRequest(
        named(generated, "generated"),
        named(reference, "reference"),
        None if train is None else named(train, "train"),
        None if floor is None else named(floor, "floor"),
        features=features,
        weights=None if weights is None else Path(weights),
        n=n,
        seed=seed,
        skip_broken=skip_broken,
        fit=fit,
        alpha=alpha,
        label_by=label_by,
        group_by=group_by,
    )
    with reporting_to(reporter_of(quiet)):
        return scored(request, alone(device))[0]


def verdicts(report: Report) -> list[Verdict]:
    """What a report says in words, most important first: each a question, a mark (✓ fine, ! not fine, ? undecided) and
    the answer."""
    if not isinstance(report, Report):
        raise UserError(f"verdicts are those of a report, not {report!r:.60}")
    return [verdict._replace(words=as_python(verdict.words)) for verdict in in_words(report)]
