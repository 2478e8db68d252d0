"""The lab's runner on notebooks made for the purpose, and what holds for every real one."""

import pydoc
import re
from pathlib import Path

import pytest

from fromnoise.errors import UserError
from fromnoise.faces import cli, html, lab, notebook

SCRIPT = """# %% [markdown]
# # 9 · Trying
#
# Words with <angle brackets> and *stress*.

# %%
print("before")
from matplotlib.figure import Figure
from fromnoise.faces.notebook import setting, show
show(Figure(), "the first")
show(Figure(), "the second")
print("after", setting())
"""
REAL = sorted((Path(__file__).parents[2] / "lab").glob("[0-9]_*.py"))
SYSTEM = {"versions": {"fromnoise": "1", "torch": "2"}, "hardware": "none"}


@pytest.fixture
def tried(tmp_path):
    path = tmp_path / "9_trying.py"
    path.write_text(SCRIPT)
    return lab.run(9, path, tmp_path)


def test_figures_and_words_come_in_the_order_they_were_shown(tried, tmp_path):
    assert [(item.text, item.figure) for item in tried.shown] == [
        ("before", None),
        ("the first", "figures/9-01.png"),
        ("the second", "figures/9-02.png"),
        ("after quick", None),
    ]
    assert all((tmp_path / item.figure).stat().st_size for item in tried.shown if item.figure)


def test_the_page_holds_all_and_escapes_what_it_must(tried):
    assert tried.title == "9 · Trying"
    page = html.render("lab.html", setting="quick", chapters=[tried], command="fromnoise lab", system=SYSTEM)
    assert "&lt;angle brackets&gt; and <em>stress</em>" in page
    assert page.count("<img ") == 2
    assert "<pre><code>before</code></pre>" in page
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_a_failing_notebook_fails_and_leaves_stdout_as_it_was(tmp_path, capsys):
    path = tmp_path / "9_bad.py"
    path.write_text("# %% [markdown]\n# # 9 · Bad\n\n# %%\nraise RuntimeError('no')\n")
    with pytest.raises(RuntimeError, match="no"):
        lab.run(9, path, tmp_path)
    print("still here")
    assert capsys.readouterr().out == "still here\n"
    assert not notebook._shown


def test_an_unknown_number_is_refused(tmp_path):
    with pytest.raises(UserError, match="no notebook 12; choose from 1, 2, 3, 4, 5, 6, 7"):
        lab.run_all([12], tmp_path)


@pytest.mark.parametrize("run", ["digits", "nowhere"])
def test_what_is_no_run_folder_is_refused_before_any_work(tmp_path, capsys, run):
    assert cli.main(["lab", "--run", run, "--out", str(tmp_path / "page")]) == 2
    assert f"--run {run} is not a run folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_setting_is_refused(monkeypatch):
    monkeypatch.setenv(notebook.SETTING, "slow")
    with pytest.raises(UserError, match="slow"):
        notebook.setting()


@pytest.mark.slow  # of an extra
def test_without_a_recorder_a_figure_is_displayed_by_ipython(monkeypatch):
    display = pytest.importorskip("IPython.display")
    from matplotlib.figure import Figure

    seen = []
    monkeypatch.setattr(display, "display", lambda *items: seen.extend(items))
    notebook.show(Figure(), "words")
    assert seen[0].data.startswith(b"\x89PNG")
    assert seen[1].data == "*words*"


def test_there_are_seven():
    assert [int(path.name[0]) for path in REAL] == list(range(1, 8))
    assert list(lab.notebooks()) == list(range(1, 8))


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_each_notebook_keeps_to_the_form(path):
    """Opens with what will be learnt, installs itself, has hidden solutions to its exercises, is plain Python."""
    script = path.read_text()
    compile(script, str(path), "exec")
    title, opening = lab.opening(script)
    assert title.startswith(f"{path.name[0]} · ")
    assert "you will be able to" in opening
    assert opening.count("<li>") >= 3
    assert 'find_spec("fromnoise") is None' in script
    exercises = re.findall(r"^# ### Exercise (\d\.\d)", script, re.MULTILINE)
    solutions = re.findall(
        r'^# %% cellView="form" jupyter=\{"source_hidden": true\} tags=\["solution"\]\n# @title Solution to (\d\.\d)',
        script,
        re.MULTILINE,
    )
    assert len(exercises) >= 2
    assert solutions == exercises


def test_each_fault_of_the_original_has_its_place():
    said = " ".join(re.sub(r"\n# ?", " ", path.read_text()) for path in REAL)
    for fault in range(1, 10):
        assert re.search(rf"[Ff]aults? (\d(,| and) )*{fault}\b", said), f"no notebook names fault {fault}"


def test_the_tables_links_and_names_are_true():
    """lab/README.md names notebooks, functions and tests that exist."""
    root = Path(__file__).parents[2]
    text = (root / "lab" / "README.md").read_text()
    for name in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (root / name).is_file(), name
    for path in re.findall(r"\]\((\w+\.py)\)", text):
        assert (root / "lab" / path).is_file(), path
    names = sorted(set(re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", text)))
    assert len(names) > 20
    assert not [name for name in names if pydoc.locate(f"fromnoise.{name}") is None]
