"""What a page is made of, read as a browser would."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_NAMES = """
    a abbr bdi body br button caption circle code datalist dd del desc details dialog div dl dt fieldset
    footer form g h1 h2 h3 h4 head header html input ins kbd label legend li line link main mark meta
    nav ol option p polyline pre progress rect script section select span strong summary svg table tbody td
    text textarea
    th thead title tr ul
"""
TAGS = frozenset(_NAMES.split())
"""What the templates use. Anything else came from a text."""
SCRIPTS = {"/static/htmx-2.0.10.min.js", "/static/keys.js", "/static/rating.js"}


@dataclass
class Markup:
    """What matters of a page."""

    titles: int = 0
    headings: int = 0
    links: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    polls: list[str] = field(default_factory=list)
    relations: dict[str, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    strange: list[str] = field(default_factory=list)
    """Elements and attributes that could make a browser do something, and that no template has."""


def read(text: str) -> Markup:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Markup()
        self._in_svg = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found, values = self.found, {name: value or "" for name, value in attributes}
        self._in_svg = self._in_svg or tag == "svg"
        found.titles += tag == "title" and not self._in_svg
        found.headings += tag == "h1"
        if "id" in values:
            if values["id"] in found.ids:
                found.strange.append(f"a second id {values['id']}")
            found.ids.add(values["id"])
        if tag not in TAGS or (tag == "script" and values.get("src") not in SCRIPTS):
            found.strange.append(tag)
        for name, value in values.items():
            if name.startswith("on") or name in {"style", "srcdoc", "formaction"}:
                found.strange.append(f"{tag} {name}")
            if name in {"href", "src", "action", "hx-get"} and not value.startswith(("/", "#")):
                found.strange.append(f"{tag} {name}={value}")
            if name in {"href", "src", "action", "hx-get"} and value.startswith("//"):
                found.strange.append(f"{tag} {name}={value}")
        if tag == "a":
            found.links.append(values["href"])
            if "data-row" in values:
                found.rows.append(values["href"])
            for relation in values.get("rel", "").split():
                found.relations[relation] = values["href"]
        if "hx-get" in values:
            found.polls.append(values["hx-get"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self._in_svg = False
