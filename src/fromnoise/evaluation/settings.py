"""What can be said of the score (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationSettings:
    """The score at the end of `fromnoise run`, and looks at the model while it is trained."""

    n: int | None = None
    """Images drawn and scored; as many as the reference has, at most 3,000, when not given."""
    reference: str | None = None
    """Real images to score against: digits:heldout, mnist:test, a PATH; the data's held-out part if not given."""
    features: str = "digits"
    """Features in which images are compared: digits, inception, pixels, onnx:PATH."""
    evaluate_every: int | None = None
    """Steps between looks at the model in training, by KID and copy test on validation images (evaluations.jsonl); the
    best is kept in checkpoints/best. Never, when not given; what looks take is not counted as training."""
