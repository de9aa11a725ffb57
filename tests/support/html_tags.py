"""What a browser would find in a page: its tags in order, its text, and whether each tag is closed."""

from html.parser import HTMLParser

_VOID = {"meta", "img", "br", "input", "path", "use"}


class Page(HTMLParser):
    """Tags with their attributes, text, and the tags that are left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def values(self, *names: str) -> list[str]:
        """Return the values of attributes of these names."""
        return [value or "" for _, attrs in self.tags for name, value in attrs.items() if name in names]

    def count(self, tag: str) -> int:
        """Return how many tags of a name there are."""
        return [name for name, _ in self.tags].count(tag)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close a tag, which must be the last one that was opened."""
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data
