"""Settings of the score (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass
from typing import Annotated

from fromnoise.limits import Limits


@dataclass(frozen=True)
class EvaluationSettings:
    """The score at the end of `fromnoise run`, and validation during training."""

    n: int | None = None
    """Number of images to sample and score; default: as many as the reference has, at most 3,000."""
    reference: str | None = None
    """Real images to score against: digits:heldout, mnist:test or a PATH; default: the data's held-out part."""
    features: str = "auto"
    """Features in which images are compared: auto, digits, general, inception, dinov2, pixels, onnx:PATH.
    auto: digits if the training images are handwritten digits, else general."""
    evaluate_every: Annotated[int, Limits(1)] | None = None
    """Steps between validations, by KID and copy test against validation images (evaluations.jsonl); default: no
    validation. The best model is kept in checkpoints/best. Validation does not count as training time.
    With fewer than 1,000 training images, the denoising error chooses instead, by default every 250 steps, and sampling
    uses the model that it chooses."""
