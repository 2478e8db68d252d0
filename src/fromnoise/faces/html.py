"""Pages from templates: one file each, its pictures and style sheet inside, nothing fetched."""

import base64
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from fromnoise.faces import style

PNG = b"\x89PNG\r\n\x1a\n"  # how such files begin


def render(template: str, **values: Any) -> str:
    """The page that `template` (of faces/templates) makes of `values`; everything not marked safe is escaped."""
    loader = PackageLoader("fromnoise.faces")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    css = loader.get_source(environment, "base.css")[0]
    return environment.get_template(template).render(css=Markup(css), **values)


def uri(content: bytes, kind: str) -> str:
    """The `data:` address of a file's bytes."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def is_png(file: Path) -> bool:
    """Whether there is such a file, and it is a PNG: in others' runs it may be a link to anything."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(PNG)) == PNG


def svg(figure: Figure) -> str:
    """A figure as a `data:` address."""
    return uri(style.svg(figure), "image/svg+xml")


def picture(image: Any) -> str:
    """A Pillow image as a `data:` address."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return uri(buffer.getvalue(), "image/png")
