"""The pages in a real browser, its network off: nothing is asked for, nothing complains, nothing sticks out."""

import pytest

pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.fixture(scope="module")
def pages(finished, fromnoise):
    fromnoise("run", "--preset", "tiny", "--steps", "10", "--out", "other", cwd=finished)
    fromnoise("compare", "run", "other", "--out", "compare.html", cwd=finished)
    return {"report": finished / "run" / "report.html", "compare": finished / "compare.html"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report", "compare"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 360), ("dark", 360)])
def test_a_page_is_whole_without_a_network(browser, pages, name, scheme, width):
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(pages[name].as_uri())
    page.wait_for_load_state("load")
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [pages[name].as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 24, 26)"
    assert dark == (scheme == "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('img.adapts')).filter") == "none"
    context.close()
