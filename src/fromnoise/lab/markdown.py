"""Markdown with LaTeX formulas as HTML with MathML, which browsers show without a script and without a network."""

import re

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+?)\$", re.DOTALL)  # inline ones may go on in the next line
PLACE = "formula{}elumrof"  # a word that no text has


def to_html(text: str) -> str:
    """`text`, one of the lab's own, as HTML: CommonMark with tables, its HTML kept, its $…$ and $$…$$ as MathML."""
    formulas: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        block, inline = match.groups()
        formulas.append(convert(block or inline, display="block" if block else "inline"))
        return PLACE.format(len(formulas) - 1)

    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(FORMULA.sub(put_aside, text))
    for k, formula in enumerate(formulas):
        page = page.replace(PLACE.format(k), formula)
    return page
