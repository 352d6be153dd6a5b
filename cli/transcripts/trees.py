"""Lineages as trees for a terminal."""

from rich.text import Text
from rich.tree import Tree

from ...evaluation.shown import shown_rate
from ...store import Adapter, Evaluation, Training, Turn
from ...store.lineage.model import (
    AdapterLineage,
    CritiqueLineage,
    LearnedItem,
    PreferenceLineage,
    TurnLineage,
    TurnWithPrompt,
    VerdictLineage,
)
from .colours import colour_of
from .lines import one_line

_LONGEST = 300
"""Characters of a text on a branch."""


def adapter_tree(found: AdapterLineage) -> Tree:
    """An adapter: what it learned above, what became of it below."""
    tree = Tree(Text.assemble((f"adapter v{found.adapter.version}", "bold"), f" of run {found.run.id}"))
    _add_origin(tree, found)
    became = tree.add(_heading("what became of it"))
    for evaluation in found.evaluations:
        became.add(_evaluation(evaluation))
    for adapter in found.descendants:
        became.add(Text(f"adapter v{adapter.version} began from it: {_state(adapter)}"))
    became.add(Text(f"{found.turns} turns were written with it"))
    return tree


def turn_tree(found: TurnLineage) -> Tree:
    """A turn: what it was made of above, what was made of it below."""
    tree = Tree(_said(found.said))
    tree.add(Text(f"id {found.said.turn.id}, in dialogue {found.dialogue.id}, {found.dialogue.stage}, round "
                  f"{found.dialogue.round}, run {found.run.id}"))  # fmt: skip
    tree.add(Text(f"input ({found.split or 'no split'}): {one_line(found.example.text)}"))
    _add_making(tree.add(_heading("where it comes from")), found)
    became = tree.add(_heading("what became of it"))
    for critique in found.critiques:
        became.add(_critique(critique))
    for revision in found.revisions:
        became.add(_said(revision))
    for verdict in found.verdicts:
        _add_verdict(became, verdict)
    for preference in found.preferences:
        _add_preference(became, preference)
    for one in found.learned_by:
        through = "as a text to imitate" if one.preference is None else f"by preference {one.preference.preference.id}"
        branch = became.add(Text(f"{_training(one.training)} learned from it {through}"))
        if one.adapter is not None:
            branch.add(Text(f"adapter v{one.adapter.version}: {_state(one.adapter)}"))
        for evaluation in one.evaluations:
            branch.add(_evaluation(evaluation))
    if found.evaluation_items:
        results = ", ".join(f"{item.outcome} for the output" for item in found.evaluation_items[:5])
        became.add(Text(f"judged in {len(found.evaluation_items)} evaluation items: {results}"))
    if not became.children:
        became.add(Text("nothing", style="dim"))
    return tree


def _add_making(branch: Tree, found: TurnLineage) -> None:
    turn = found.said.turn
    if found.said.template is not None:
        template = found.said.template
        branch.add(Text(f"prompt {template.role}.{template.purpose} version {template.version} ({template.hash[:12]})"))
    model = turn.model_resolved or turn.model
    asked = (
        f"model {model}, seed {turn.seed}, sampling {turn.sampling}" if turn.request_key else f"{model}, not a model"
    )
    branch.add(Text(one_line(asked)))
    if found.call is not None:
        branch.add(
            Text(f"request {found.call.key[:12]} to the {found.call.role}: `transcripts show --raw` has it whole")
        )
        if thought := found.call.reply.get("thought"):
            branch.add(Text(f"thought first: {_short(thought)}"))
    if found.answers is not None:
        branch.add(Text("answers ") + _said(found.answers))
    if found.part_of is not None:
        _add_verdict(branch, found.part_of)
    if found.adapter is not None:
        _add_origin(branch.add(Text(f"adapter v{found.adapter.adapter.version}", style="bold")), found.adapter)


def _add_origin(tree: Tree, found: AdapterLineage) -> None:
    adapter, training = found.adapter, found.training
    tree.add(Text(one_line(f"{_state(adapter)}; base model {adapter.base_model}")))
    if training is None:
        tree.add(Text("the base model without an adapter: nothing was learned"))
        return
    if found.ancestors:
        steps = [
            f"v{one.adapter.version} ({one.training.objective if one.training else 'base'})" for one in found.ancestors
        ]
        tree.add(Text(f"began from {', which began from '.join(steps)}"))
    learned = tree.add(_heading(f"{_training(training)} learned from {found.learned_total}"))
    for item in found.learned:
        _add_learned(learned, item)
    if found.learned_total > len(found.learned):
        learned.add(Text(f"… and {found.learned_total - len(found.learned)} more", style="dim"))
    for why, number in found.left_out.items():
        tree.add(Text(one_line(f"{number} more left out of it: {why}")))


def _add_learned(branch: Tree, learned: LearnedItem) -> None:
    if learned.preference is not None:
        _add_preference(branch, learned.preference)
    elif learned.text is not None:
        branch.add(_said(learned.text))


def _add_preference(branch: Tree, found: PreferenceLineage) -> None:
    row = found.preference
    of = branch.add(Text.assemble(("preference ", "bold"), f"{row.id} ({row.source}, margin {row.margin:.2f})"))
    of.add(Text("chosen   ", style="green") + _said(found.chosen))
    of.add(Text("rejected ", style="red") + _said(found.rejected))
    if found.verdict is not None:
        _add_verdict(of, found.verdict)
    for critique in found.critiques:
        of.add(_critique(critique))


def _add_verdict(branch: Tree, found: VerdictLineage) -> None:
    row = found.verdict
    agreement = "" if row.consistent else ", the orders disagree"
    line = f"verdict {row.id} of the {row.agent}: {row.outcome} for the first, p {row.p_first:.2f}{agreement}"
    of = branch.add(Text(line))
    for reply in found.replies:
        place = "first" if reply.ballot.forward else "second"
        if reply.ballot.method == "score":  # each text has one, whatever the order
            of.add(Text(f"score of the {place}  ") + _said(reply.said))
        else:
            of.add(Text(f"shown {place}: p {reply.ballot.p_first:.2f}  ") + _said(reply.said))


def _critique(found: CritiqueLineage) -> Text:
    critique = found.critique
    said = critique.suggestion if critique.parse_ok else found.said.turn.content
    return Text("critique ", style="bold") + _head(found.said) + Text(f": {_short(said)}")


def _said(said: TurnWithPrompt) -> Text:
    return _head(said) + Text(f": {_short(said.turn.content)}")


def _head(said: TurnWithPrompt) -> Text:
    """Whose turn it is, by which adapter or model and which prompt, and what to call it by."""
    turn, template = said.turn, said.template
    prompt = "" if template is None else f" · prompt {template.role}.{template.purpose} v{template.version}"
    by = f"adapter v{turn.adapter_version}" if turn.adapter_version is not None else one_line(turn.model)
    return Text.assemble(
        (f"{turn.agent} ", colour_of(turn.agent)), turn.kind.value, (f" {_name(turn)} · {by}{prompt}", "dim")
    )


def _name(turn: Turn) -> str:
    return f"{turn.dialogue_id[:12]}#{turn.seq + 1}"


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _training(training: Training) -> str:
    control = f"; a control, with {labels} labels" if (labels := training.metrics.get("labels")) else ""
    return f"training {training.id} ({training.objective}, {training.stage}, round {training.round}{control})"


def _state(adapter: Adapter) -> str:
    reason = f", {one_line(adapter.reason)}" if adapter.reason else ""
    return f"{adapter.status.replace('_', ' ')}{reason}"


def _evaluation(row: Evaluation) -> Text:
    rate = row.summary.get("win_tie_rate")
    result = row.status if rate is None else f"win-tie rate {shown_rate(row.summary)} of {row.summary.get('n')}"
    return Text(f"evaluation on {row.split}, v{row.adapter_version}: {result}")


def _heading(text: str) -> Text:
    return Text(text, style="bold")
