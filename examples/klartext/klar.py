"""Ein Kritiker in Python: kurze Sätze, kurze Wörter, und jede Zahl bleibt stehen."""

import re
from collections.abc import Sequence


def klar(text: str, fassungen: Sequence[str]) -> list[float]:
    """Ein Punkt für jede Zahl, die bleibt; lange Wörter, lange Sätze und zu wenig Wörter kosten."""
    woerter = [fassung.split() for fassung in fassungen]
    zahlen = [sum(zahl in fassung for zahl in re.findall(r"\d+", text)) for fassung in fassungen]
    saetze = [len(eine) / (1 + len(re.findall(r"[.:] \w", fassung))) for eine, fassung in
              zip(woerter, fassungen, strict=True)]  # fmt: skip
    kosten = [sum(len(wort) > 12 for wort in eine) + 3 * (len(eine) < 5) for eine in woerter]
    return [zahl - satz / 10 - ab for zahl, satz, ab in zip(zahlen, saetze, kosten, strict=True)]
