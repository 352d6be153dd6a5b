import re

from openmic.cli.experiments.document import Block, Code, Document, Drawing, Grid, Heading, Paragraph, html, markdown
from openmic.viewer.charts import Rate, rate_chart

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x07 | `a` *b* \u202ex"
CHART = rate_chart([Rate("v1", 0.5, 0.4, 0.6, "judge")], "Win-tie rate", "version")


def document(label: str = "simulated cast") -> Document:
    blocks: list[Block] = [
        Paragraph(HOSTILE),
        Heading("Figures"),
        Grid(["arm", "rate"], [[HOSTILE, "50.0"], ["", "🎭"]]),
        Drawing(CHART),
        Code("a: ```\nb: " + HOSTILE, "Configuration"),
    ]
    return Document("Experiment mine", label, blocks)


def test_every_heading_says_what_the_figures_are_of() -> None:
    page, text = html(document()), markdown(document())
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert headings == ["# Experiment mine (simulated cast)", "## Figures (simulated cast)"]
    assert len(re.findall(r"<h[12]>.*?simulated cast.*?</h[12]>", page)) == len(re.findall(r"<h[12]>", page)) == 2
    assert "simulated" not in html(document("")) + markdown(document(""))


def test_what_models_wrote_does_nothing_to_a_page_or_a_terminal() -> None:
    page, text = html(document()), markdown(document())
    assert "<script>" not in page
    assert "\x1b" not in page + text
    assert "\u202e" not in page
    row = next(line for line in text.splitlines() if line.startswith("| \\<script>"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3, "a bar in a text ends no cell"
    assert "````" in text, "a fence in a text ends no code"


def test_the_page_needs_nothing_else_and_draws_its_curves() -> None:
    page = html(document())
    assert not re.findall(r"""(?:src|href)=|@import|url\(|https?:""", page)
    assert page.count("<svg") == 1
    assert "v1: 50.0% (40.0% to 60.0%)" in page
    assert "@media print" in page
