"""Notebooks run without Jupyter, the page made of them, handouts and slides: on a notebook made for the purpose."""

import io
import json
import re

import pytest
from matplotlib.figure import Figure
from PIL import Image

from fromnoise.errors import UserError
from fromnoise.faces import cli
from fromnoise.lab import cells, handouts, notebook, page, slides
from fromnoise.lab.running import run

SCRIPT = """# %% [markdown]
# # 9 · Trying
#
# Words with *stress* and $x_t$.

# %% tags=["setup"]
import torch
from fromnoise.lab import figures
from fromnoise.lab.notebook import setting, show
from fromnoise.lab import check
from fromnoise.lab.checking import Finding, checked

# %% [markdown] tags=["note"]
# Ask them first.

# %%
@checked("task 9")
def task9(double):
    yield Finding(double(2) == 4, "two", "twice 2 is 4")

check.task9 = task9
print("before")
x = torch.linspace(0, 1, 5)
show(figures.densities(x, {"one": x}), "the first", alt="a line")
show(figures.picture_grid(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)), "the second", alt="black squares")
print("after", setting(), 1 < 2)

# %% [markdown]
# ### Task 9: twice
#
# Double a number.

# %% tags=["stub"]
def double(x):
    return check.TODO


# %% [markdown] tags=["hint"]
# Add it to itself.

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to task 9
def double(x):
    return x + x


print("the secret is", double(21))

# %% tags=["check"]
check.task9(double)

# %% [markdown] tags=["solution"]
# ### Solution in words
#
# The secret is said.
"""
SYSTEM = {"versions": {"fromnoise": "1", "torch": "2"}, "hardware": "none"}
SECRETS = ("x + x", "secret", "Solution", "42")


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "9_trying.py"
    path.write_text(SCRIPT)
    return cells.read(path)


def test_what_cells_print_and_show_comes_in_order(book):
    chapter = run(book)
    before, line, squares, after = chapter.cells[3].outputs
    assert (before, after) == ("before", "after quick True")
    assert (line.caption, line.alt, line.kind) == ("the first", "a line", "image/svg+xml")
    assert (squares.caption, squares.alt, squares.kind) == ("the second", "black squares", "image/png")
    assert b"<title>a line</title>" in line.content
    with Image.open(io.BytesIO(squares.content)) as picture:
        assert picture.info["dpi"] == pytest.approx((200, 200), abs=1)
    assert chapter.cells[8].outputs == ("✓ two\n✓ task 9 is right",)


def test_the_page_is_a_book(book, tmp_path):
    page.write([run(book)], tmp_path, setting="quick", command="fromnoise lab", system=SYSTEM)
    text = (tmp_path / "index.html").read_text()
    assert re.search(r"<em>stress</em> and (<span class=.whole.>)?<math", text)
    assert re.findall(r'<img src="([^"]+)" alt="([^"]+)"', text) == [
        ("figures/9-01.svg", "a line"),
        ("figures/9-02.png", "black squares"),
    ]
    assert "<code>after quick True</code>" in text
    assert "print(&#34;after&#34;, setting(), 1 &lt; 2)" in text
    folds = re.findall(r"<summary>(.*)</summary>", text)
    assert folds == ["Installation", "Code of the figure", "Hint", "Solution to task 9", "Solution in words"]
    assert "Ask them first" not in text
    assert text.index("Task 9: twice") < text.index("return check.TODO") < text.index("x + x") < text.index("✓ two")
    assert not re.search(r'(src|href)="(https?:)?//', text)


def test_no_solution_is_in_a_students_file(book):
    text = json.dumps(handouts.student(book), ensure_ascii=False)
    assert not [secret for secret in SECRETS if secret in text]
    assert "Ask them first" not in text
    assert "<details><summary>Hint</summary>\\n" in text
    assert '"outputs": []' in text


def test_the_teachers_has_all_and_outputs_where_it_was_run(book):
    plain = handouts.teacher(book, [handouts.Ran(cell) for cell in book.cells])
    assert "> **For the teacher.** Ask them first." in json.dumps(plain)
    assert not any(cell.get("outputs") for cell in plain["cells"])
    done = handouts.teacher(book, run(book).cells)
    text, line, caption, *_ = done["cells"][3]["outputs"]
    assert text["text"] == ["before\n"]
    assert line["data"]["image/svg+xml"].startswith("<?xml")
    assert line["metadata"]["image/svg+xml"]["alt"] == "a line"
    assert caption["data"] == {"text/markdown": "*the first*"}


def test_the_autograded_version_has_nbgraders_metadata(book):
    made = handouts.autograded(book)["cells"]
    about = {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in made if "nbgrader" in cell["metadata"]}
    stub, check, words = about.values()
    assert stub["metadata"]["nbgrader"] == {
        "schema_version": 3, "grade_id": "9-4", "task": False, "solution": True, "grade": False, "locked": False
    }  # fmt: skip
    source = "".join(stub["source"])
    assert "return check.TODO" in source.partition("### BEGIN SOLUTION\n")[0]
    assert "x + x" in source.partition("### BEGIN SOLUTION\n")[2].partition("### END SOLUTION")[0]
    assert check["metadata"]["nbgrader"]["grade_id"] == "check-task9"
    assert check["metadata"]["nbgrader"]["points"] == 4
    assert check["metadata"]["nbgrader"]["locked"]
    assert "".join(check["source"]) == "with check.grading():\n    check.task9(double)"
    assert words["metadata"]["nbgrader"]["grade"]
    assert words["metadata"]["nbgrader"]["solution"]
    assert len({cell["id"] for cell in made}) == len(made)


def test_handouts_are_written_without_running(book, tmp_path):
    handouts.write([book], tmp_path / "out")
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == [
        "autograded/nbgrader_config.py",
        "autograded/source/fromnoise/9_trying.ipynb",
        "student/9_trying.ipynb",
        "teacher/9_trying.ipynb",
    ]


def test_slides_have_a_page_a_figure(book, tmp_path):
    slides.write([run(book)], tmp_path)
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "9_trying.pdf").read_bytes())) == 2


def test_a_failing_notebook_fails_and_leaves_stdout_as_it_was(tmp_path, capsys):
    path = tmp_path / "9_bad.py"
    path.write_text("# %% [markdown]\n# # 9 · Bad\n\n# %%\nraise RuntimeError('no')\n")
    with pytest.raises(RuntimeError, match="no"):
        run(cells.read(path))
    print("still here")
    assert capsys.readouterr().out == "still here\n"
    assert not notebook._showing


@pytest.mark.parametrize("run", ["digits", "nowhere"])
def test_what_is_no_run_folder_is_refused_before_any_work(tmp_path, capsys, run):
    assert cli.main(["lab", "--run", run, "--out", str(tmp_path / "page")]) == 2
    assert f"--run {run} is not a run folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["lab", "--quick"], ["lab", "page", "one", "--out", "other"]])
def test_one_folder_is_named(capsys, words):
    assert cli.main(words) == 2
    assert "name one new folder" in capsys.readouterr().err


def test_an_unknown_setting_is_refused(monkeypatch):
    monkeypatch.setenv(notebook.SETTING, "slow")
    with pytest.raises(UserError, match="slow"):
        notebook.setting()


def test_a_figure_with_a_slider_is_shown_at_one_value_where_there_is_none():
    seen = []
    with notebook.showing_to(seen.append):
        notebook.follow(lambda k: Figure((k, 1)), "k", (1, 2, 3), "It grows.", "nothing")
        notebook.follow(lambda k: Figure((k, 1)), "k", (1, 2, 3), "It grows.", "nothing", at=3)
    assert [shown.width for shown in seen] == [2 * 96, 3 * 96]
    assert seen[0].caption.startswith("It grows. Here k = 2;")


@pytest.mark.slow  # of an extra
def test_a_slider_draws_the_figure_anew(monkeypatch):
    widgets = pytest.importorskip("ipywidgets")
    drawn, shown = [], []
    monkeypatch.setattr("IPython.display.display", lambda *items, **how: shown.extend(items))
    notebook.follow(lambda k: drawn.append(k) or Figure((k, 1)), "k", (1, 2, 3), "It grows.", "nothing")
    (slider,) = (item for item in shown if isinstance(item, widgets.SelectionSlider))
    (picture,) = (item for item in shown if isinstance(item, widgets.HTML))
    before = picture.value
    assert before.startswith('<img src="data:image/svg+xml;base64,')
    assert 'alt="nothing"' in before
    slider.value = 3
    assert drawn == [2, 3]
    assert picture.value != before


@pytest.mark.slow  # of an extra
def test_without_a_recorder_a_figure_is_displayed_by_ipython(monkeypatch):
    display = pytest.importorskip("IPython.display")
    seen = []
    monkeypatch.setattr(display, "display", lambda item, **how: seen.append((item, how)))
    notebook.show(Figure(), "words", "what is seen")
    assert seen[0][0]["image/svg+xml"].startswith("<?xml")
    assert seen[0][1]["metadata"]["image/svg+xml"]["alt"] == "what is seen"
    assert seen[1][0].data == "*words*"
