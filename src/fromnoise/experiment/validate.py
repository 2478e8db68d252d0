"""Validation (`--evaluate-every`): cheap measures while a model trains, and the best model kept.

Everything is measured against validation images, so that held-out images never choose. Images are sampled from the same
noise every time, so that only the model differs, and from other noise than any later images, so that the images that
chose the best model are never those sampled from it. The features are not the score's (`choosing_features`).
"""

from dataclasses import replace
from typing import Any

from fromnoise import rng
from fromnoise.config import Config
from fromnoise.data.image_set import ImageSet
from fromnoise.data.parts import Parts
from fromnoise.errors import UserError
from fromnoise.evaluation.copies import copy_test, gallery
from fromnoise.evaluation.design import LEAST
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.kernel import mmd2
from fromnoise.evaluation.overfitting import image_errors
from fromnoise.evaluation.report import FEWEST
from fromnoise.experiment import few_images
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.validation import kid_in_words

IMAGES = 256
MOST_REAL = 1000  # validation images; most of the error is that of the fewer sampled images


class Validator:
    """Validates a model in training, and keeps the best in its run folder: by KID, or where the training images are
    few (`experiment.few_images`) by the denoising error.

    features  for KID and copy test; without them, or with few training images and fewer than 50 validation images,
              only the denoising error is measured

    Raises UserError, before any training, for fewer than 50 validation images, or than 10 with few training images.
    """

    def __init__(self, config: Config, parts: Parts, folder: RunFolder, features: Features | None) -> None:
        by_error, n = few_images.are_few(parts), few_images.validation_images(parts)
        least = few_images.FEWEST if by_error else FEWEST
        if parts.val is None or n < least:
            raise UserError(
                f"--evaluate-every needs {least} validation images, but {config.data.data} has {n}: leave it out"
            )
        self.config, self.train, self.folder = config, parts.train, folder
        self.chosen_by = "denoising" if by_error else "kid"
        self.features = features if n >= FEWEST else None
        self.trained = gallery(parts.train) if self.features else None
        self.real = replace(parts.val, labels=None).subset(min(MOST_REAL, n), config.seed)

    def validate(self, step: int, model: Model) -> tuple[dict[str, Any], str]:
        """The model's measures, as JSON values and in words; the model is kept if it is the best so far."""
        found, words = self._measured(step, model)
        best = self.folder.about_best()
        value = found[self.chosen_by]["value"]
        if best is None or self.chosen_by not in best or value < best[self.chosen_by]["value"]:
            self.folder.keep_best(model, {"step": step, self.chosen_by: found[self.chosen_by]})
            words[self.chosen_by] += ", the best so far"
        return found, "; ".join(words.values())

    def _measured(self, step: int, model: Model) -> tuple[dict[str, Any], dict[str, str]]:
        found: dict[str, Any] = {}
        words: dict[str, str] = {}
        if self.chosen_by == "denoising":
            errors = image_errors(model, self.real, seed=self.config.seed)
            found["denoising"] = {"value": float(errors.mean()), "n": len(self.real)}
            found["errors"] = [float(f"{error:.5g}") for error in errors]  # of each image, for `should_stop`
            words["denoising"] = f"denoising error {errors.mean():.4f}"
        if self.features is not None:
            # The key is an old name, kept so that runs repeat.
            request = SampleRequest(IMAGES, rng.integer(self.config.seed, "watch"), precision=model.precision)
            images = ImageSet(f"step {step}", sample(model, request))
            generated, real = self.features(images.images), self.features.cached(self.real.images)
            groups = self.real.groups
            if groups is not None and len(groups.unique()) < LEAST:
                groups = None
            kid = mmd2(Featured(generated), Featured(real, groups=groups))._asdict()
            found |= {"images": IMAGES, "kid": kid, "copies": self._copies(images)}
            words |= {"kid": f"KID {kid_in_words(kid)}", "copies": found["copies"]["verdict"]}
        return found, words

    def _copies(self, images: ImageSet) -> dict[str, Any]:
        """The copy test in short: the comparison of least p-value."""
        report = copy_test(images, self.train, self.real, self.trained, turned=False)
        most = min(report.closer, key=lambda closer: closer.p, default=None)
        return {
            "verdict": report.verdict,
            "copying": report.copying,
            "share": most and most.share,
            "p": most and most.p,
        }
