"""Pages from templates: one style sheet inside each, nothing fetched."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """The page that `template` (of faces/templates) makes of `values`; all but what is marked safe is escaped."""
    environment = Environment(
        loader=PackageLoader("fromnoise.faces"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    css = environment.loader.get_source(environment, "base.css")[0]  # type: ignore[union-attr]
    return environment.get_template(template).render(css=Markup(css), **values)
