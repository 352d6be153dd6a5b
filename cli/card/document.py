"""What a critic card says: how often the critic is right, against what people reach, and how it is biased."""

from collections.abc import Iterable, Mapping
from typing import Any

from ...viewer.charts import Rate, rate_chart
from ..experiments.document import Block, Document, Drawing, Grid, Heading, Paragraph

SIMULATED = "simulated cast"
NOTHING = "\N{EN DASH}"


def card_document(found: Mapping[str, Any]) -> Document:
    """The card as a document.

    Args:
        found: As `Card.as_json` gives it.
    """
    name = ", ".join(found["critic"])
    document = Document(f"Critic card: {name}", SIMULATED if found["simulated"] else "")
    document.blocks.extend(_head(found))
    if (card := found["card"]) is not None:
        for part in (_agreement, _margins, _biases, _calibration):
            document.blocks.extend(part(card, f"{found['confidence'] * 100:g}%"))
    return document


def _head(found: Mapping[str, Any]) -> Iterable[Block]:
    card = found["card"]
    if found["simulated"]:
        yield Paragraph("The critic is simulated: its figures say nothing about any real one.", quiet=True)
    elif any(name.rpartition(":")[2] in {"simulated_rubric", "SimulatedRubric"} for name in found["critic"]):
        yield Paragraph(
            "simulated_rubric is the rubric of the simulated cast, made of word lists: it says nothing about how good "
            "any text is.",
            quiet=True,
        )
    left = [
        f"{count} {one if count == 1 else more}"
        for count, one, more in (
            (found["unlabelled"], "row that nobody labelled was left out", "rows that nobody labelled were left out"),
            (
                found["alike"],
                "row with the same text twice was left out",
                "rows with the same text twice were left out",
            ),
            (found["twice"], "pair stands there again, and counts", "pairs stand there again, and count each time"),
            (found["empty"], "pair has an empty text, and counts", "pairs have an empty text, and count"),
        )
        if count
    ]
    judged = 0 if card is None else card["pairs"]
    yield Paragraph("; ".join([f"{_pairs(judged)} of {found['pairs']}, each asked in both orders", *left]) + ".")
    for error, count in found["failed"].items():
        yield Paragraph(f"No verdict on {_pairs(count)}: {error}")
    if card is None:
        return
    if card["accuracy"] is None:
        yield Paragraph("People found no better text in any of these pairs, so nobody can be right about them.")
        return
    labels = ", ".join(f"{name} {count}" for name, count in card["labels"].items())
    few = " Too few pairs to say much: intervals are narrower than they should be." if card["few"] else ""
    yield Paragraph(
        f"On the {_pairs(card['decided'])} that people decided, the critic prefers the text that they prefer in "
        f"{_interval(card['accuracy'])}; a tie of its own counts half, and chance is 50%.{_believed(card)}{few}"
    )
    yield Paragraph(f"Labels: {labels}. Intervals resample pairs.", quiet=True)


def _pairs(number: int) -> str:
    return f"{number} pair" if number == 1 else f"{number} pairs"


def _believed(card: Mapping[str, Any]) -> str:
    """How far it can be believed, in words."""
    low = card["accuracy"]["ci"][0]
    if low <= 0.5:
        return " That is not clearly better than chance: its verdicts say nothing here."
    if card["ceiling"] is None:
        return ""
    person = card["ceiling"]["person"]["value"]
    critic = card["ceiling"]["critic"]["value"]
    return f" One person agrees with the others in {person:.1%} of pairs, the critic with them in {critic:.1%}."


def _agreement(card: Mapping[str, Any], confidence: str) -> Iterable[Block]:
    yield Heading("Agreement")
    rows = []
    for name, agreement in (
        ("critic with what more people said", card["agreement"]),
        ("critic with each person", card["each_person"]),
        ("people with each other", card["people"]),
    ):
        if agreement is not None:
            rows.append(
                [
                    name,
                    str(agreement["n"]),
                    *_ends(agreement["share"]),
                    *_ends(agreement["kappa"], ".2f"),
                    str(agreement["decided"]),
                    *_ends(agreement["same_winner"]),
                ]
            )
    yield Grid(
        ["between", "compared", "same: 1, 2 or 0", confidence, "kappa", confidence, "both decided", "same", confidence],
        rows,
    )
    if (ceiling := card["ceiling"]) is not None:
        yield Grid(
            ["against what more of the other people said", "compared", "same winner", confidence],
            [
                ["one person (the human ceiling)", str(ceiling["n"]), *_ends(ceiling["person"])],
                ["the critic", str(ceiling["n"]), *_ends(ceiling["critic"])],
            ],
        )
    yield Paragraph(f"The critic calls {_interval(card['ties'])} of all pairs a tie.")


def _margins(card: Mapping[str, Any], confidence: str) -> Iterable[Block]:
    for title, bands in (
        ("By how sure the critic is", card["by_critics_margin"]),
        ("By how far apart people found them", card["by_peoples_margin"]),
    ):
        if not bands:
            continue
        yield Heading(title)
        yield Grid(
            ["margin", "pairs", "right", confidence],
            [[_span(band), str(band["n"]), *_ends(band["accuracy"])] for band in bands],
        )
        if len(bands) > 1:
            yield Drawing(rate_chart([_rate(_span(band), band["accuracy"]) for band in bands], title, "margin"))


def _biases(card: Mapping[str, Any], confidence: str) -> Iterable[Block]:
    position, length = card["position"], card["length"]
    yield Heading("Position and length")
    rows = [
        ["verdicts that change with the order", card["pairs"], position["turned"]],
        ["the text shown first preferred in both orders", card["pairs"], position["to_first"]],
        ["the text shown second preferred in both orders", card["pairs"], position["to_second"]],
        ["people prefer the longer text, of what they decided", length["n"], length["people_longer"]],
        ["the critic prefers the longer text, of what it decided", length["n"], length["critic_longer"]],
        ["people prefer the shorter, the critic the longer", length["n"], length["critic_alone_longer"]],
        ["people prefer the longer, the critic the shorter", length["n"], length["people_alone_longer"]],
    ]
    yield Grid(
        ["share", "of pairs", "", confidence], [[name, str(count), *_ends(share)] for name, count, share in rows]
    )
    yield Paragraph("Of pairs of unlike length, in words, for what is said of length.", quiet=True)


def _calibration(card: Mapping[str, Any], confidence: str) -> Iterable[Block]:
    calibration = card["calibration"]
    yield Heading("Calibration")
    if calibration["error"] is None:
        yield Paragraph("The critic found every pair that people decided even, so there is nothing to calibrate.")
        return
    yield Paragraph(
        f"Expected calibration error {calibration['error']:.3f}, over {_pairs(calibration['n'])} that people decided; "
        f"{calibration['even']} more had p = 1/2. A calibrated critic is right as often as it is sure."
    )
    bins = calibration["bins"]
    yield Grid(
        ["p of the text it prefers", "pairs", "mean p", "right", confidence],
        [[_span(one), str(one["n"]), f"{one['confidence']:.3f}", *_ends(one["accuracy"])] for one in bins],
    )
    yield Drawing(
        rate_chart(
            [_rate(f"{one['confidence']:.2f}", one["accuracy"]) for one in bins], "Calibration", "mean p of the bin"
        )
    )


def _rate(name: str, interval: Mapping[str, Any]) -> Rate:
    low, high = interval["ci"]
    return Rate(name, interval["value"], low, high, "critic")


def _span(band: Mapping[str, Any]) -> str:
    low, high = f"{band['low']:.2f}", f"{band['high']:.2f}"
    return low if low == high else f"{low} to {high}"


def _ends(interval: Mapping[str, Any] | None, form: str = ".1%") -> list[str]:
    if interval is None:
        return [NOTHING, NOTHING]
    low, high = interval["ci"]
    return [f"{interval['value']:{form}}", f"{low:{form}} to {high:{form}}"]


def _interval(interval: Mapping[str, Any]) -> str:
    value, ends = _ends(interval)
    return f"{value} ({ends})"
