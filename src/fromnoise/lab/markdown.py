"""Markdown with LaTeX formulas as HTML with MathML, which browsers show without a script and without a network."""

import re

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+?)\$", re.DOTALL)  # inline ones may go on in the next line
TAG = re.compile(r"\s*\\tag\{([^}]*)\}")
PLACE = "formula{}elumrof"  # a word that no text has
PUT_ASIDE = re.compile(PLACE.format(r"(\d+)") + "([.,;:)]*)")


def to_html(text: str) -> str:
    """`text`, one of the lab's own, as HTML: CommonMark with tables, its HTML kept, its $…$ and $$…$$ as MathML.

    The number of a formula, \\tag{1}, stands before it in a span of class `tag`; punctuation behind a formula stays in
    its line, in a span of class `whole`.
    """
    formulas: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        block, inline = match.groups()
        number = TAG.search(block or "")
        formula = convert(TAG.sub("", block or inline), display="block" if block else "inline")
        formulas.append(f'<span class="tag">({number[1]})</span>{formula}' if number else formula)
        return PLACE.format(len(formulas) - 1)

    def put_back(match: re.Match[str]) -> str:
        formula, punctuation = formulas[int(match[1])], match[2]
        return f'<span class="whole">{formula}{punctuation}</span>' if punctuation else formula

    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(FORMULA.sub(put_aside, text))
    return PUT_ASIDE.sub(put_back, page)
