import base64
import re
from html.parser import HTMLParser

import pytest

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """A page taken apart: tags opened and closed in order, their attributes, the text between them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.alternatives, self.words = [], [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "img":
            self.alternatives.append(attributes["alt"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def pictures(self):
        """The bytes of the pictures it holds."""
        return [base64.b64decode(address.partition(",")[2]) for address in self.addresses if "base64" in address]


@pytest.fixture
def page_of():
    """A page's text taken apart, once it is found to fetch nothing."""

    def take(text):
        page = Page(text)
        assert all(address.startswith(("data:", "#")) for address in page.addresses)
        style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
        assert "url(" not in style
        assert "@import" not in style
        return page

    return take
