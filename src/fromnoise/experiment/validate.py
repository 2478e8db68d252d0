"""What `--evaluate-every` does: a cheap score and the copy test while a model is trained, and the best one kept.

Everything is measured against validation images, so that what is held out never chooses. Images are sampled from
the same noise every time, so that only the model differs; and from other noise than any later images, so that those
sampled from the best model are not those that chose it. Nor do the features that score choose (`choosing`).
"""

from dataclasses import replace
from typing import Any

import torch

from fromnoise import rng
from fromnoise.config import Config
from fromnoise.data.image_set import ImageSet
from fromnoise.data.sources import Parts
from fromnoise.errors import UserError
from fromnoise.evaluation.copies import FEWEST, copy_test, gallery
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.kernel import mmd2
from fromnoise.experiment.find import said
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.training.run_folder import RunFolder

IMAGES = 256
MOST_REAL = 1000  # validation images; most of the error is that of the fewer sampled images


class Validator:
    """Validates a model in training, and keeps the best by KID in its run folder.

    Raises UserError, before any training, for fewer than 50 validation images.
    """

    def __init__(
        self, config: Config, parts: Parts, folder: RunFolder, device: torch.device, features: Features
    ) -> None:
        if parts.val is None or len(parts.val) < FEWEST:
            n = 0 if parts.val is None else len(parts.val)
            raise UserError(f"--evaluate-every needs {FEWEST} validation images, but {config.data.data} has {n}")
        self.config, self.train, self.folder, self.device, self.features = config, parts.train, folder, device, features
        self.trained = gallery(parts.train)
        self.real = replace(parts.val, labels=None).subset(min(MOST_REAL, len(parts.val)), config.seed)

    def validate(self, step: int, model: Model) -> tuple[dict[str, Any], str]:
        """The KID and the copy test of `IMAGES` images of the model, which is kept if it is the best so far."""
        request = SampleRequest(IMAGES, rng.integer(self.config.seed, "watch"), precision=model.precision)
        images = ImageSet(f"step {step}", sample(model, request, self.device))
        kid = mmd2(self.features(images.images), self.features.cached(self.real.images))._asdict()
        copies = self._copies(images)
        best = self.folder.about_best()
        better = best is None or kid["value"] < best["kid"]["value"]
        if better:
            self.folder.keep_best(model, {"step": step, "kid": kid})
        words = f"KID {said(kid)}{', the best so far' if better else ''}; {copies['verdict']}"
        return {"images": IMAGES, "kid": kid, "copies": copies}, words

    def _copies(self, images: ImageSet) -> dict[str, Any]:
        """The copy test in short: of all comparisons, what says most."""
        report = copy_test(images, self.train, self.real, self.trained)
        most = min(report.closer, key=lambda closer: closer.p, default=None)
        return {
            "verdict": report.verdict,
            "copying": report.copying,
            "share": most and most.share,
            "p": most and most.p,
        }
