"""Markdown with LaTeX formulas as HTML with MathML, which browsers show without a script and without a network."""

import re
from collections.abc import Callable

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+?)\$", re.DOTALL)  # inline ones may go on in the next line
PLACE = "formula{}elumrof"  # a word that no text has


def to_html(text: str, render: Callable[[str], str] | None = None) -> str:
    """`text` rendered by `render` (CommonMark without HTML when not given), its $…$ and $$…$$ as MathML."""
    render = render or MarkdownIt("commonmark", {"html": False}).render
    formulas: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        block, inline = match.groups()
        formulas.append(convert(block or inline, display="block" if block else "inline"))
        return PLACE.format(len(formulas) - 1)

    page = render(FORMULA.sub(put_aside, text))
    for k, formula in enumerate(formulas):
        page = page.replace(PLACE.format(k), formula)
    return page
