"""A page, parsed as a browser would, but strictly."""

from html.parser import HTMLParser

__all__ = ["Strict", "parsed"]

VOID = {"input", "link", "meta"}


class Strict(HTMLParser):
    """Notes elements and attributes, and that every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def values(self, attribute: str) -> list[str]:
        """Return the values of an attribute, of all elements."""
        return [value or "" for _, attributes in self.seen for name, value in attributes.items() if name == attribute]


def parsed(page: str) -> Strict:
    """Parse a page, and see that everything is closed."""
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser
