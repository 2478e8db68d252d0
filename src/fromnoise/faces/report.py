"""report.html: what a report says, as one page that needs no network, for screens light and dark, phones and paper."""

import base64
import io
import math
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise.config import Config, from_json
from fromnoise.data import arrays, pictures
from fromnoise.data.image_set import ImageSet
from fromnoise.data.sources import reference_for
from fromnoise.experiment.progress import duration
from fromnoise.faces import figures, html
from fromnoise.faces.figures import style
from fromnoise.faces.tables import metric_rows, score_rows
from fromnoise.files import check_writable, read_json, whole
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget

GRID = 64
PAIRS = 16
POINTS = 200  # of a curve: more than a screen shows only make the page heavy
QUARTILES = ("least noise", "less", "more", "most noise")


@dataclass(frozen=True)
class Shown:
    """What a page shows beside the report's numbers.

    generated    the images that were scored, in the report's order
    train        the training images, for the closest pairs
    film         from noise to images: a picture file
    log          lines of log.jsonl
    evaluations  lines of evaluations.jsonl
    """

    generated: ImageSet
    train: ImageSet | None = None
    film: Path | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)


def write(folder: RunFolder, train: ImageSet | None) -> None:
    """Write a run's report.html from what its folder holds; `train` are its training images, where they are known."""
    check_writable(folder.page_file)
    film = folder.samples / "film.png"
    shown = Shown(
        arrays.load(folder.samples / "images.npz"),
        train,
        film if film.is_file() else None,
        folder.log.records(),
        folder.evaluations.records(),
    )
    save(folder.page_file, page(read_json(folder.report_file), shown, title=folder.path.resolve().name))


def save(path: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(report: dict[str, Any], shown: Shown, title: str) -> str:
    """The page of a report (docs/report.md)."""
    metrics, run = report["metrics"], report.get("run")
    return html.render(
        "report.html",
        title=title,
        report=report,
        fid=metrics["fid"],
        shortfall=run and run["training"]["shortfall"],
        scores=scores(report),
        rows=score_rows(report),
        metrics=metric_rows(report),
        grid=picture(pictures.grid(shown.generated.images[:GRID])),
        film=None if shown.film is None else uri(shown.film.read_bytes(), "image/png"),
        losses=_losses(shown.log, run),
        time=_over_time(shown.evaluations),
        watched=None if not shown.evaluations else sum(line["cost_seconds"] for line in shown.evaluations),
        copies=_copies(report),
        pairs=_pairs(report, shown),
        classes=_classes(report),
        likelihood=report.get("likelihood"),
        protocol=_protocol(report),
        commands=_commands(report),
        duration=duration,
    )


def scores(report: dict[str, Any]) -> str:
    """FID of the images, the floor, the copycat and noise on one axis."""
    fid = report["metrics"]["fid"]
    beside = [(name, fid.get(name)) for name in ("floor", "copycat", "noise")]
    rows = [("generated", fid["value"], fid["error"])]
    rows += [(name, row["value"], row["deviation"]) for name, row in beside if row is not None]
    positive = [(name, value, deviation) for name, value, deviation in rows if value > 0]
    return drawing(figures.scores(positive)) if positive else ""


def drawing(figure: Figure) -> str:
    """A figure as an address that holds it."""
    return uri(style.svg(figure), "image/svg+xml")


def picture(image: Any) -> str:
    """A Pillow image as an address that holds it."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return uri(buffer.getvalue(), "image/png")


def uri(content: bytes, kind: str) -> str:
    """The `data:` address of a file's bytes."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def thinned(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `POINTS` of the records, evenly, the last among them."""
    every = max(1, math.ceil(len(records) / POINTS))
    return records[::-1][::every][::-1]


def _losses(log: list[dict[str, Any]], run: dict[str, Any] | None) -> str | None:
    records = thinned([record for record in log if record["loss"] > 0])
    if len(records) < 2 or run is None:
        return None
    by_level = {name: [record.get(f"loss_q{k + 1}") for record in records] for k, name in enumerate(QUARTILES)}
    epochs = [record["epoch"] for record in records]
    return drawing(figures.training_loss(epochs, [record["loss"] for record in records], by_level))


def _over_time(lines: list[dict[str, Any]]) -> str | None:
    if len(lines) < 2:
        return None
    return drawing(
        figures.score_over_time(
            [line["step"] for line in lines],
            [line["kid"]["value"] for line in lines],
            [line["kid"]["error"] for line in lines],
            [line["copies"]["share"] for line in lines],
        )
    )


def _copies(report: dict[str, Any]) -> dict[str, Any]:
    """The numbers behind the verdict, by kind of distance."""
    found = report["copies"] or {}
    kinds = [kind for kind in ("pixels", "features") if found.get(kind) is not None]
    rows: dict[str, list[str]] = {}

    def tell(name: str, text: str) -> None:
        rows.setdefault(name, []).append(text)

    for of in (found[kind] for kind in kinds):
        if "closer" in of:
            closer, effect = of["closer"], of["effect"]
            tell("relatively closer than 99 % of held-out images", f"{100 * closer['share']:.2f} %")
            tell("expected of fresh images", f"{100 * closer['expected']:.2f} %")
            tell("p-value", f"{closer['p']:.2g}")
            tell("chance to be closer than a held-out image", f"{effect['superiority']:.3f}")
        tell("d₁/d₂ below a third", f"{100 * of['memorised']['generated']:.2f} %")
        if of["memorised"]["held_out"] is not None:
            tell("the same of held-out images", f"{100 * of['memorised']['held_out']:.2f} %")
        tell("identical to a training image", str(of["identical"]))
    return {"kinds": kinds, "rows": list(rows.items())}


def _pairs(report: dict[str, Any], shown: Shown) -> dict[str, list[dict[str, Any]]]:
    """For each kind of distance the closest pairs as pictures, nearest first."""
    copies = report["copies"]
    if copies is None or shown.train is None:
        return {}
    found = {}
    for kind in ("pixels", "features"):
        if copies[kind] is not None:
            found[kind] = [
                {
                    "generated": _small(shown.generated.images[pair["generated"]]),
                    "train": _small(shown.train.images[pair["train"]]),
                    "relative": pair["relative"],
                    "number": pair["generated"],
                }
                for pair in copies[kind]["closest"][:PAIRS]
            ]
    return found


def _small(image: UInt8[Tensor, "c h w"]) -> str:
    return picture(pictures.grid(image[None], columns=1, gap=0, zoom=1))


def _classes(report: dict[str, Any]) -> str | None:
    found = report["metrics"]["classes"]
    if found is None:
        return None
    balance, fids = found["balance"], {row["class"]: row["value"] for row in found["fid"]}
    names = [str(k) for k in range(len(balance["counts"]))]
    shown = [fids.get(k) for k in range(len(names))]
    return drawing(figures.class_balance(balance["counts"], balance["expected"], shown, names))


def _protocol(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What a reader needs to believe the numbers, or to make them again."""
    protocol, run = report["protocol"], report.get("run")
    system = run["system"] if run else report["system"]
    features = protocol["features"]
    weights = f", weights SHA-256 {features['sha256'][:16]}…" if features["sha256"] else ""
    rows = [("features", f"{features['name']}, {features['dimension']} numbers an image{weights}")]
    rows += [("resizing, colour", f"{protocol['resizing']}; {features['colour']}")]
    for role in ("generated", "reference", "floor", "train"):
        images = protocol[role]
        if images is not None:
            size = "×".join(map(str, images["shape"]))
            said = f"{images['name']}: {images['n']:,} images of {size}, SHA-256 {images['sha256'][:16]}…"
            rows.append((role, said))
    rows.append(("seed of all draws", str(protocol["seed"])))
    if run:
        training, sampling = run["training"], run["sampling"]
        sampler = sampling["sampler"]
        calls = sampling.get("calls", sampler["sampling_steps"])  # reports of before there was guidance lack it
        told = f", told of {training['told']}" if "told" in training else ""  # older reports lack it
        guidance = f", guidance {sampling['guidance']:g}" if sampling.get("guidance", 1.0) != 1.0 else ""
        rows += [
            (
                "training",
                f"{training['steps']:,} steps in {duration(training['seconds'])} on {training['images']:,} images; "
                f"{training['parameters']:,} parameters{told}; {training['plan']['reason']}",
            ),
            (
                "sampling",
                f"{sampler['sampler']}, {calls} network calls an image{guidance}, seed {sampling['seed']}: "
                f"{sampling['n']:,} images in {duration(sampling['seconds'])}",
            ),
            (
                "scoring",
                f"{duration(run['scoring']['seconds'])}; likelihood {duration(run['likelihood']['seconds'])}",
            ),
        ]
    rows.append(("hardware", f"{system['hardware']}, {system['threads']} threads; {system['matrix_units'] or 'GPU'}"))
    versions = ", ".join(f"{name} {number}" for name, number in system["versions"].items())
    rows.append(("software", f"Python {system['python']}, {versions}; {system['system']}"))
    return rows


def _commands(report: dict[str, Any]) -> list[str]:
    """What to type to have the numbers again."""
    run = report.get("run")
    if run is None:
        return [report["command"]]
    config = from_json(Config, run["config"])
    budgets = [Budget(**budget) for budget in run["training"]["budgets"]]
    before = " and ".join(str(budget) for budget in budgets[:-1])
    again = run["command"] + (f"  # goes on from a run of {before}" if before else "")
    words = ["fromnoise", "evaluate", "--generated", report["protocol"]["generated"]["name"]]
    words += ["--reference", config.evaluation.reference or reference_for(config.data.data)]
    given = {
        "features": (config.evaluation.features, "digits"),
        "inception-weights": (run.get("inception_weights"), None),
        "seed": (config.seed, 0),
        "data-root": (config.data.data_root, None),
    }
    words += [word for name, (value, usual) in given.items() if value != usual for word in (f"--{name}", str(value))]
    return [again, shlex.join(words)]
