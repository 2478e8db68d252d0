"""The documents' site builds without a warning and asks nothing of other hosts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    place = tmp_path_factory.mktemp("site")
    words = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(place)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, timeout=120)
    return place


@pytest.mark.slow
def test_every_document_has_a_page(site):
    documents = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").glob("**/*.md")]
    assert [str(name) for name in documents if not (site / name).with_suffix(".html").is_file()] == []
    assert (site / "benchmarks" / "RESULTS.html").is_file()
    assert (site / "CONTRIBUTING.html").is_file()


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.glob("**/*.html"))
    assert len(pages) > 10
    loaded = r"<(?:script|img|iframe)[^>]*src=\"https?:|<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*https?:"
    assert [page.name for page in pages if re.search(loaded, page.read_text())] == []
