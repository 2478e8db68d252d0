import re
from pathlib import Path

import pytest

from fromnoise.lab.markdown import FORMULA, to_html

LAB = Path(__file__).parents[2] / "lab"


def test_formulas_are_mathml_and_the_rest_is_markdown():
    page = to_html("Of *noise* $a < b_0$ and\n\n$$x_t = \\sqrt{\\alpha_t}\\,x_0$$\n")
    assert page.startswith("<p>Of <em>noise</em> <math")
    assert page.count('display="inline"') == page.count('display="block"') == 1
    assert "<mo>&#x0003C;</mo><msub><mi>b</mi><mn>0</mn></msub>" in page
    assert "$" not in page


def test_the_number_of_a_formula_stands_beside_it():
    page = to_html("$$x = 1 .\\tag{3, 4}$$")
    assert page.startswith('<p><span class="tag">(3, 4)</span><math')
    assert "tag{" not in page


def test_punctuation_stays_in_the_line_of_its_formula():
    page = to_html("It is $b_t$. Then $c$ again, ($d$).")
    assert page.count('<span class="whole"><math') == 2
    assert "</math>.</span> Then <math" in page
    assert "</math> again" in page
    assert "</math>).</span>" in page


def test_underscores_and_stars_in_a_formula_are_no_emphasis():
    page = to_html("$w^*_1 =\nw^*_2$ and $c_{ij}$")
    assert "<em>" not in page
    assert page.count("<math") == 2


def test_folds_and_tables_of_the_lab_are_kept():
    page = to_html(
        "<details><summary>A fault</summary>\n\nOf *stress*.\n\n</details>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert "<details><summary>A fault</summary>\n<p>Of <em>stress</em>.</p>\n</details>" in page
    assert "<td>2</td>" in page


@pytest.mark.parametrize("path", sorted(LAB.glob("[0-9]_*.py")), ids=lambda path: path.stem)
def test_every_formula_of_the_lab_is_understood(path):
    text = "\n".join(line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith("# "))
    formulas = ["".join(match.groups("")) for match in FORMULA.finditer(text)]
    assert len(formulas) > 3
    for formula in formulas:
        assert not re.search(r"\\[a-zA-Z]", to_html(f"${formula}$".replace("\n", " "))), formula


def test_two_amounts_in_two_paragraphs_are_no_formula():
    assert "<math" not in to_html("It costs $5.\n\nThat is less than $6.")
