"""Markdown with LaTeX formulas as HTML with MathML, which browsers show without a script and without a network."""

import re

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+?)\$", re.DOTALL)  # inline ones may go on in the next line
TAG = re.compile(r"\s*\\tag\{([^}]*)\}")
PLACE = "formula{}elumrof"  # a word that no text has


def to_html(text: str) -> str:
    """`text`, one of the lab's own, as HTML: CommonMark with tables, its HTML kept, its $…$ and $$…$$ as MathML.

    The number of a formula, \\tag{1}, stands before it in a span of class `tag`.
    """
    formulas: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        block, inline = match.groups()
        number = TAG.search(block or "")
        formula = convert(TAG.sub("", block or inline), display="block" if block else "inline")
        formulas.append(f'<span class="tag">({number[1]})</span>{formula}' if number else formula)
        return PLACE.format(len(formulas) - 1)

    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(FORMULA.sub(put_aside, text))
    for k, formula in enumerate(formulas):
        page = page.replace(PLACE.format(k), formula)
    return page
