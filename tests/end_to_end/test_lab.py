"""The lab as it is used: seven notebooks in Jupyter and one page without, in the quick setting, with no network."""

import importlib.util
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 8))
def test_a_notebook_runs_top_to_bottom_in_jupyter(place, number, monkeypatch):
    """5, 6 and 7 share the digit model that the first of them trains."""
    pytest.importorskip("jupytext")
    spec = importlib.util.spec_from_file_location("render_lab", ROOT / "tools" / "render_lab.py")
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    for name, value in {"FROMNOISE_LAB": "quick", "FROMNOISE_LAB_RUN": str(place / "run"), **OFFLINE}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place)
    (path,) = render.LAB.glob(f"{number}_*.py")
    done = render.execute(path, place / "build")
    cells = json.loads(done.read_text())["cells"]
    pictures = [out for cell in cells for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})]
    assert len(pictures) >= 3
    page = done.with_suffix(".html").read_text()
    assert "<math" in page
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"https?:", page)  # it fetches nothing
    assert page.count("<summary>Solution to") == sum("### Exercise" in "".join(cell["source"]) for cell in cells)


@pytest.mark.slow
def test_the_page_without_jupyter(process, place):
    done = process("lab", "--quick", "--only", "1", "4", "--out", "page", cwd=place, environment=OFFLINE)
    assert done.stdout == f"page{os.sep}index.html\n"
    page = (place / "page" / "index.html").read_text()
    figures = sorted((place / "page" / "figures").iterdir())
    assert page.count("<img ") == len(figures) >= 6
    assert all(f'src="figures/{figure.name}"' in page for figure in figures)
    again = process("lab", "--quick", "--only", "1", "--out", "page", cwd=place, code=2)
    assert "already exists" in again.stderr


def test_what_cannot_be_is_said_before_work(fromnoise, tmp_path):
    done = fromnoise("lab", "--quick", "--only", "9", "--out", "page", cwd=tmp_path, code=2)
    assert "there is no notebook 9" in done.stderr
    assert not (tmp_path / "page").exists()
    done = fromnoise("lab", "--run", "nowhere", "--out", "page", cwd=tmp_path, code=2)
    assert "nowhere" in done.stderr
