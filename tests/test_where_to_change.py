"""docs/architecture.md names the files that a schedule, sampler, spacing, network and more take: they are added."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCHEDULES = 'SCHEDULES: Mapping[str, Callable[[int], Float64[Tensor, " T"]]] = {'
SAMPLERS = "SAMPLERS: Mapping[str, type[steps.Sampler]] = {"
NETWORKS = "NETWORKS: Mapping[str, type[Network]] = {"
METRICS = "METRICS: Mapping[str, Metric] = {"
SOURCES = "SOURCES: tuple[Source, ...] = (\n"
SPACINGS = "ON_SCHEDULE: Mapping[str, Spaced] = {"
EULER = '''

class Euler(Sampler):
    """DDIM once more."""

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now = visits[-1]
        a, b = level.scales(clearer, now.x)
        return a * now.x0 + b * now.noise
'''
FIRST = '''

def first(settings: SamplerSettings, table: Schedule, n: int) -> Float64[Tensor, " n"]:
    """Levels at the n noisiest steps of the schedule."""
    return table.logsnr.flip(0)[:n]
'''
PLAIN = '''"""A convolution, and nothing else."""

from torch import nn

from fromnoise.networks.network import Network


class Plain(Network):
    """Blind to the level and the class."""

    def __init__(self, images):
        super().__init__()
        self.layer = nn.Conv2d(images, images, 3, padding=1)

    def forward(self, x, logsnr, label=None, change=None):
        """The prediction."""
        return self.layer(x)

    @staticmethod
    def multiple(settings):
        return 1

    @classmethod
    def build(cls, settings, images, size, classes, change):
        return cls(images)
'''
BRIGHTNESS = '''"""How bright the images are, beside real ones."""

from fromnoise.evaluation.featured import Featured, Number


def brightness(ours: Featured, real: Featured, seed: int) -> Number:
    """The mean feature over the reference's."""
    return Number(float(ours.features.mean() / real.features.mean()))
'''
STRIPES = '''"""Images of stripes."""

import numpy as np
import torch

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.data.source import named


def load(part: str) -> ImageSet:
    """Each part its own."""
    random = rng.generator(0, "stripes", part)
    images = np.repeat(random.integers(0, 256, (200, 1, 16, 1), dtype=np.uint8), 16, axis=3)
    return ImageSet(f"stripes:{part}", torch.from_numpy(images))


SOURCE = named("stripes", ("train", "val", "heldout"), load)
'''
# For each row of the table, what is put behind which text of which file; behind "" of a file that is not there yet.
ADDED = {
    "a noise schedule": {
        "diffusion/schedule.py": [(SCHEDULES, '"even": lambda T: torch.full((T,), 0.99, dtype=torch.float64), ')],
        "diffusion/settings.py": [('schedule: Literal["linear"', ', "even"')],
    },
    "a sampler": {
        "diffusion/steps.py": [("        return x\n", EULER)],
        "diffusion/samplers.py": [(SAMPLERS, '"euler": steps.Euler, ')],
        "diffusion/settings.py": [('SamplerName = Literal["ancestral"', ', "euler"')],
    },
    "a spacing of levels": {
        "diffusion/samplers.py": [("    return table.logsnr[t]\n", FIRST), (SPACINGS, '"first": first, ')],
        "diffusion/settings.py": [('Spacing = Literal["t"', ', "first"')],
    },
    "a network": {
        "networks/plain.py": [("", PLAIN)],
        "networks/registry.py": [
            ("from fromnoise.networks.network import Network\n", "from fromnoise.networks.plain import Plain\n"),
            (NETWORKS, '"plain": Plain, '),
        ],
        "networks/settings.py": [('network: Literal["unet"', ', "plain"')],
    },
    "a metric": {
        "evaluation/brightness.py": [("", BRIGHTNESS)],
        "evaluation/metrics.py": [
            ("from fromnoise.evaluation import ", "brightness, "),
            (METRICS, '"brightness": Metric("brightness", "of the mean", brightness.brightness), '),
        ],
    },
    "a data source": {
        "data/stripes.py": [("", STRIPES)],
        "data/sources.py": [("import archive, arrays, ", "stripes, "), (SOURCES, "    stripes.SOURCE,\n")],
        "data/settings.py": [('NAMED = ("digits"', ', "stripes"')],
    },
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The package's source with all that is added."""
    source = tmp_path_factory.mktemp("changed") / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for files in ADDED.values():
        for name, pieces in files.items():
            path = source / "fromnoise" / name
            text = path.read_text() if path.exists() else ""
            for before, piece in pieces:
                assert before in text, f"{name} has no {before!r}"
                text = text.replace(before, before + piece, 1)
            path.write_text(text)
    return source


@pytest.mark.parametrize("what", ADDED)
def test_the_table_names_the_files(what):
    (row,) = re.findall(rf"^\| {what} \| (.*) \|$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    named = {name for name in re.findall(r"`([\w/.]+)`", row) if "/" in name}
    modules = set(re.findall(r"`(\w+)\.[A-Z]+`", row))  # as in `samplers.SAMPLERS`
    folders = {name for name in named if name.endswith("/")}
    for name in ADDED[what]:
        assert name in named or Path(name).stem in modules or f"{Path(name).parent}/" in folders, f"{name}: {row}"


@pytest.mark.slow
def test_they_are_all_that_it_takes(source, tmp_path):
    words = "run --preset tiny --data stripes --schedule even --levels uniform --network plain --sampler euler"
    words += " --spacing first --logsnr-range -8 6"
    program = "from fromnoise.evaluation import two_sample; two_sample.PASSES = 0  # learning takes long\n"
    program += "from fromnoise.faces import cli; cli.start()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words.split(), "--steps", "2", "--n", "50", "--out", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["protocol"]["reference"]["name"] == "stripes:heldout"
    assert report["run"]["sampling"]["sampler"]["sampler"] == "euler"
    assert report["run"]["sampling"]["sampler"]["spacing"] == "first"
    assert "--logsnr-range has no effect: it is used only with --spacing karras or logsnr" in done.stderr
    assert report["metrics"]["brightness"]["floor"]["value"] > 0
    assert "of the mean" in (tmp_path / "out" / "report.html").read_text()
    assert "brightness" in done.stdout
    assert report["run"]["training"]["parameters"] == 3 * 3 + 1
