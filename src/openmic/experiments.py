"""Experiments in Python: arms times seeds, and what came of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from .api import shown
from .given import laid_over
from .run_handle import Run
from .table import Table


class Experiment:
    """An experiment in a store. Everything is read when it is asked for."""

    def __init__(self, name: str, store: str) -> None:
        self.name = name
        """What it is called."""
        self.store = store
        """The address of the store that its runs lie in."""

    def results(self) -> dict[str, Any]:
        """Everything that `openmic experiment --json` prints."""
        from .graph.experiments.results import experiment_named, experiment_results
        from .store import Store

        with Store.open_readonly(self.store) as reader:
            return experiment_results(reader, experiment_named(reader, self.name))

    @property
    def table(self) -> Table:
        """One row per arm: rates by judge and critic, the gain over the baseline, measures of the texts, minutes."""
        rows = []
        for row in self.results()["arms"]:
            judge, texts, gain = row["judge"] or {}, row["texts"] or {}, row["gain"] or {}
            rates = ("win_tie_rate", "critic", "critic_minus_judge", "length_controlled")
            measures = ("length_ratio", "distinct_2", "unique_endings", "self_bleu", "faithfulness", "novelty")
            rows.append(
                {
                    "arm": row["arm"],
                    "seeds": len(row["seeds_done"]),
                    **{name: _value(judge.get(name)) for name in rates},
                    "ci": (judge.get("win_tie_rate") or {}).get("ci"),
                    "gain": gain.get("value"),
                    "gain_ci": gain.get("ci"),
                    "p": gain.get("p_corrected"),
                    **{name: _value(texts.get(name)) for name in measures},
                    "minutes": row["minutes"],
                }
            )
        return Table(rows)

    @property
    def failed(self) -> list[dict[str, Any]]:
        """What is not done: `arm`, `seed`, `run`, why (`error`), and `state`: `failed`, or `left` to be done."""
        found: list[dict[str, Any]] = self.results()["failed"]
        return found

    def run(self, arm: str, seed: int) -> Run:
        """The run of an arm with a seed. Of an adapter that is judged as it is, that is the run that made it.

        Raises:
            NotFoundError: there is none.
        """
        from .core.errors import NotFoundError
        from .store import Store

        for row in self.results()["arms"]:
            if row["arm"] == arm and seed in row["runs"]:
                with Store.open_readonly(self.store) as reader:
                    return Run(reader.resolve_run(row["runs"][seed]), self.store)
        raise NotFoundError(f"experiment {self.name} has no run of arm {arm!r} with seed {seed}")

    def report(self, form: Literal["html", "markdown", "json"] = "markdown") -> str:
        """The report as one self-contained HTML page, as Markdown, or as JSON."""
        from .cli.experiments.report import report_text
        from .graph.experiments.results import experiment_named
        from .store import Store

        with Store.open_readonly(self.store) as reader:
            return report_text(reader, experiment_named(reader, self.name), form)

    def __repr__(self) -> str:
        return f"<Experiment {self.name} in {self.store}>"


def experiment(
    given: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | Sequence[str] | None = None,
    *,
    progress: Any = True,
    cluster: str | None = None,
    check: bool = True,
    seeds: Sequence[int] = (),
    arguments: Sequence[str] = (),
) -> Experiment:
    """Carry out arms times seeds; what is done already is found and not done again.

    Args:
        given: An experiment's file, or the same as a mapping: `name`, `config`, `seeds`, `set`, `arms`, `baseline`.
        overrides: Values laid over every arm: `{"evaluation.test_inputs": 40}`, or `["evaluation.test_inputs=40"]`.
        progress: As for `run`.
        cluster: As for `run`.
        check: Whether endpoints are asked beforehand whether they answer.
        seeds: Which of its seeds are carried out here; empty means all. Other processes may do the others meanwhile.
        arguments: The command line, to be recorded.

    Returns:
        The experiment, also where arms failed: they are in its `failed`.

    Raises:
        ConfigError: a key or value is wrong in any arm; then nothing was begun.
        OpenmicError: what ends all of it, such as an interrupt; calling again goes on.
    """
    from .graph.experiments.carry_out import check_experiment, run_experiment
    from .graph.experiments.spec import read_experiment

    lines = laid_over(overrides)
    found = check_experiment(read_experiment(given, lines), cluster=cluster, ask=check)
    display = shown(progress)
    for note in found.notes:
        display.print(f"note: {note}")
    run_experiment(found, display, arguments=arguments, cluster=cluster, ask=check, seeds=seeds)
    return Experiment(found.read.experiment.name, found.store)


def _value(measured: Mapping[str, Any] | None) -> float | None:
    return None if measured is None else measured["value"]
