"""What `openmic.run` and `openmic.open_run` return: a run, to be looked at, gone on with and learned from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .core.config import RunConfig, saved_config
from .core.errors import ConfigError, NotFoundError, OpenmicError
from .core.records import TurnKind
from .speaker import Speaker
from .store import Adapter, Conversation, Store, Turn
from .store import Run as RunRow
from .store.liveness import live_status
from .store.places import located
from .table import Explanation, Table, dialogue_filter


class Gain(NamedTuple):
    """By how much the win-tie rate rose on test inputs, from the imitation version to the last one."""

    value: float
    low: float
    high: float


class Dialogue:
    """One dialogue: what was said about one input, in order."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        """The rows behind it."""

    @property
    def input(self) -> str:
        """What it is about."""
        return self.conversation.example.text

    @property
    def status(self) -> str:
        """`finished`, `failed` or `pending`."""
        return self.conversation.dialogue.status

    @property
    def stop_reason(self) -> str | None:
        """Why it is over, or what went wrong."""
        return self.conversation.dialogue.stop_reason or self.conversation.dialogue.error

    @property
    def drafts(self) -> list[str]:
        """The student's drafts."""
        return self._texts(TurnKind.DRAFT)

    @property
    def revisions(self) -> list[str]:
        """The student's revisions."""
        return self._texts(TurnKind.REVISION)

    @property
    def demonstrations(self) -> list[str]:
        """The teacher's texts, without those that were turned away."""
        turns = self.conversation.turns
        return [turn.content for turn in turns if turn.kind is TurnKind.DEMONSTRATION and turn.note is None]

    @property
    def critiques(self) -> list[dict[str, str]]:
        """The critic's critiques: what works, what is missing, the suggestion."""
        return [
            {"works": row.works, "missing": row.missing, "suggestion": row.suggestion}
            for row in self.conversation.critiques
        ]

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """The verdicts, each with both texts, the outcome for the first, p(first is better) and its method."""
        texts = {turn.id: turn.content for turn in (*self.conversation.turns, *self.conversation.quoted)}
        return [
            {
                "first": texts[row.first_turn_id],
                "second": texts[row.second_turn_id],
                "outcome": row.outcome,
                "p_first": row.p_first,
                "consistent": row.consistent,
                "method": row.method,
            }
            for row in self.conversation.verdicts
        ]

    @property
    def final(self) -> str | None:
        """The text it arrived at."""
        wanted = self.conversation.dialogue.final_turn_id
        return next((turn.content for turn in self.conversation.turns if turn.id == wanted), None)

    def __str__(self) -> str:
        """The dialogue as a conversation, a line for each thing that was said."""
        lines = [f"{'input':<14}{self.input}"]
        for turn in self.conversation.turns:
            if turn.kind is not TurnKind.VERDICT:
                note = f"  [{turn.note}]" if turn.note else ""
                lines.append(f"{turn.kind.value:<14}{turn.content}{note}")
        lines += [f"{'verdict':<14}{row['outcome']}: {row['first']} | {row['second']}" for row in self.verdicts]
        return "\n".join([*lines, f"{'ended':<14}{self.stop_reason}"])

    def __repr__(self) -> str:
        return f"<Dialogue {self.conversation.dialogue.id}: {self.status}, {len(self.conversation.turns)} turns>"

    def _texts(self, kind: TurnKind) -> list[str]:
        return [turn.content for turn in self.conversation.turns if turn.kind is kind]


class Run:
    """A run in the store. Everything is read when it is asked for, so a run that goes on can be watched."""

    def __init__(self, row: RunRow, store: str) -> None:
        self.id = row.id
        """Its id."""
        self.store = store
        """The address of the store it lies in."""
        self.folder = Path(located(store, row.home))
        """The folder of its files."""

    @property
    def row(self) -> RunRow:
        """The run as the store has it."""
        with self._open() as reader:
            row: RunRow = reader.resolve_run(self.id)
        return row

    @property
    def status(self) -> str:
        """`running`, `finished`, `interrupted`, `failed`, or `died`: it ended without a word, and can be resumed."""
        with self._open() as reader:
            return live_status(reader, reader.resolve_run(self.id))

    @property
    def config(self) -> RunConfig:
        """Its configuration as it was resolved."""
        return saved_config(self.row)

    @property
    def plugs(self) -> dict[str, Any]:
        """The Python objects it was given, by configuration key: import path, arguments, hash of the source."""
        return dict(self.row.plugs)

    def report(self) -> dict[str, Any]:
        """Everything that `openmic status --json` prints."""
        from .graph.report import run_status

        with self._open() as reader:
            return run_status(reader, reader.resolve_run(self.id))

    def show(self) -> None:
        """Print the closing table."""
        from .cli.report import print_report

        print_report(self.report())

    @property
    def versions(self) -> Table:
        """The adapter versions, with their win-tie rates on test inputs where they were judged."""
        return Table(self.report()["versions"])

    @property
    def gain(self) -> Gain | None:
        """The gain of feedback over imitation on test inputs with its interval; None where it was not measured."""
        found = self.report()["gain"]
        return None if found is None else Gain(found["value"], *found["ci"])

    def dialogues(self, **wanted: Any) -> Table:
        """The dialogues at a glance: id, stage, round, input, status, stop reason, number of turns, final text.

        Args:
            wanted: `stage`, `round`, `status`, `stop_reason`, `agent`, `adapter_version`, `verdict`, `tag` or `text`,
                such as `stage="collect"` or `round=1`.

        Raises:
            ConfigError: there is no such field, or it has no such value.
        """
        looked_for = dialogue_filter(wanted)
        with self._open() as reader:
            lines = reader.dialogues(self.id, looked_for)
        return Table(
            [
                {
                    "dialogue": line.dialogue.id,
                    "stage": line.dialogue.stage.value,
                    "round": line.dialogue.round,
                    "input": line.example_text,
                    "status": line.dialogue.status,
                    "stop_reason": line.dialogue.stop_reason,
                    "error": line.dialogue.error,
                    "turns": line.turns,
                    "final": line.final_text,
                }
                for line in lines
            ]
        )

    def dialogue(self, name: str) -> Dialogue:
        """One dialogue, by its id or the beginning of it."""
        with self._open() as reader:
            return Dialogue(reader.conversation(reader.resolve_dialogue(name).id))

    def preferences(self, *, texts: bool = False) -> Table:
        """The preferences of all inputs, in the form that trainers read: prompt, chosen, rejected, and where from.

        Args:
            texts: Whether chosen and rejected are texts, for people, and not lists of messages.
        """
        from .store.export.rows import export_rows

        with self._open() as reader:
            rows = list(export_rows(reader, reader.resolve_run(self.id), "preference"))
        if texts:
            sides = ("chosen", "rejected")
            shown = ({"input": row["input"], **{side: row[side][-1]["content"] for side in sides}} for row in rows)
            left_out = {"prompt", "input", *sides}
            rows = [
                first | {name: value for name, value in row.items() if name not in left_out}
                for first, row in zip(shown, rows, strict=True)
            ]
        return Table(rows)

    def verdicts(self) -> Table:
        """The verdicts: who compared, both texts, the outcome for the first, p(first is better), the method."""
        from .store import VerdictRow

        with self._open() as reader:
            rows = reader.select(VerdictRow, run_id=self.id, order_by="created_at")
            ids = {turn for row in rows for turn in (row.first_turn_id, row.second_turn_id)}
            texts = {turn.id: turn.content for turn in reader.select(Turn, id=list(ids))}
        return Table(
            [
                {
                    "verdict": row.id,
                    "dialogue": row.dialogue_id,
                    "by": row.agent,
                    "first": texts[row.first_turn_id],
                    "second": texts[row.second_turn_id],
                    "outcome": row.outcome,
                    "p_first": row.p_first,
                    "consistent": row.consistent,
                    "method": row.method,
                    "source": row.source,
                }
                for row in rows
            ]
        )

    def adapter(self, version: int | str = "promoted") -> str:
        """The folder of an adapter version, or its address in remote storage: a number, `promoted` or `latest`.

        Raises:
            NotFoundError: there is no such version, or it is the bare student.
        """
        with self._open() as reader:
            rows = reader.select(Adapter, run_id=self.id, order_by="version")
        if version == "promoted":
            found = [row for row in rows if row.status == "promoted"][-1:]
        else:
            found = rows[-1:] if version == "latest" else [row for row in rows if row.version == version]
        if not found or found[0].uri is None:
            raise NotFoundError(f"run {self.id} has no adapter {version!r}; it has {[row.version for row in rows]}")
        uri: str = located(self.store, found[0].uri)
        return uri

    def student(self, version: int | str = "promoted", *, task: Any = None) -> Speaker:
        """The student with an adapter version, prompted as in the run.

        Args:
            version: A number (0 is the bare student), `promoted` or `latest`.
            task: The run's `Task`, where it was given in Python.
        """
        from .given import given_plugs
        from .training.standalone import load_student
        from .training.student.fingerprint import KnownFiles

        config = self.config.settled()
        adapter = None if version == 0 else self.adapter(version)
        found = given_plugs({} if task is None else {"task": task}).recall(self.row).task(config.task)
        student = config.student
        KnownFiles(self.id, self.row.student_files).check(student)
        speaker = load_student(student.weights, adapter, student.device, student.chat_template_kwargs)
        return Speaker(
            speaker, found, config.evaluation.sampling.model_dump(include={"temperature", "top_p", "max_tokens"})
        )

    def export(
        self,
        target: str | Path,
        to: Literal["adapter", "merged", "gguf"] = "merged",
        version: int | str = "promoted",
        **options: Any,
    ) -> Path:
        """Write an adapter version as files that others serve, as `openmic model export` does; returns the folder.

        Args:
            target: The folder, which is made.
            to: `adapter`, `merged`, or `gguf` with a Modelfile.
            version: A number, or `promoted`.
            options: `dtype`, `verify` (on how many inputs it is compared with the adapter), `device`, `converter`.

        Raises:
            ConfigError: the folder is there already, or it cannot be written so.
            NotFoundError: there is no such adapter.
            AdapterError: it is not what was committed.
            StudentError: the base model cannot be loaded, or cannot be written so.
        """
        from .graph.runs.export_model import Writing, export_model

        with self._open() as reader:
            run, writing = reader.resolve_run(self.id), Writing(**options)
            return export_model(reader, run, version, to, Path(target), writing).path

    def explain(self, name: int | str, *, limit: int | None = None) -> Explanation:
        """Where a text or an adapter comes from and what became of it. Print it, or look into it.

        Args:
            name: An adapter's version, or a turn's id.
            limit: The most things to name that an adapter learned from. None: all.
        """
        from .cli.transcripts.trees import adapter_tree, turn_tree
        from .store.lineage.explain import explain_adapter, explain_turn
        from .store.lineage.turn_names import resolve_turn

        if not isinstance(name, int | str) or isinstance(name, bool):
            raise ConfigError(f"explain: {name!r:.80} is neither an adapter's version, such as 2, nor a turn's id")
        with self._open() as reader:
            if isinstance(name, int):
                adapter = explain_adapter(reader, self.id, name, limit=limit)
                return Explanation(adapter.as_json(), adapter_tree(adapter))
            turn = explain_turn(reader, resolve_turn(reader, name).id, limit=limit)
            return Explanation(turn.as_json(), turn_tree(turn))

    def resume(
        self,
        budget: Any = None,
        *,
        progress: Any = True,
        cluster: str | None = None,
        check: bool = True,
        retry_failed: bool = False,
        **objects: Any,
    ) -> "Run":
        """Go on with the run; nothing that was done is done again.

        Args:
            budget: Another budget from now on, such as `{"usd": 5}`, or `["budget.usd=5"]`. None: as it is.
            progress: As for `openmic.run`.
            cluster: As for `openmic.run`.
            check: As for `openmic.run`.
            retry_failed: Whether failed items are held again that no training has passed over, also of a finished run.
            objects: The Python objects it was given that cannot be imported: `critic=…`, as for `openmic.run`.

        Raises:
            ConfigError: an object cannot be imported again, or the task was changed.
            BudgetError: the run's budget is spent; everything done is stored.
        """
        from .api import shown
        from .given import given_plugs, laid_over
        from .graph.runs.resume import resume_any

        named = {f"budget.{key}": limit for key, limit in budget.items()} if isinstance(budget, Mapping) else budget
        try:
            with self._writing() as (store, row):
                resume_any(
                    store,
                    row.id,
                    shown(progress),
                    plugs=given_plugs(objects),
                    cluster=cluster,
                    ask=check,
                    overrides=laid_over(named),
                    retry_failed=retry_failed,
                )
        except OpenmicError as error:
            tell_how_to_go_on(error, self)
            raise
        return self

    def train(self, objective: Any = None, overrides: Any = None, *, progress: Any = True, **objects: Any) -> "Run":
        """Train an adapter from this run's stored preferences, as a run of its own; nobody is asked.

        Args:
            objective: A name, `module:attribute`, or an `Objective` of your own. None: as configured.
            overrides: Of the sections `training` and `preferences`, as for `openmic.run`.
            progress: As for `openmic.run`.
            objects: As for `resume`.

        Raises:
            TrainingError: there is nothing to train on.
        """
        from .api import shown
        from .given import given_plugs, laid_in_place, laid_over, named
        from .graph.runs.retrain import start_training

        section, seen = (None, {}) if objective is None else named("training.objective", objective)
        by_name = section is None or isinstance(section, str)
        laid = [] if by_name else laid_in_place("training.objective", section, self.config)
        with self._writing() as (store, row):
            made = start_training(
                store,
                row,
                objective=section if by_name else None,
                overrides=[*laid_over(overrides), *laid],
                start=None,
                arguments=[],
                progress=shown(progress),
                plugs=given_plugs({**objects, **seen}),
            )
        return Run(made, self.store)

    def train_again(self, version: int | None = None, *, progress: Any = True, **objects: Any) -> Table:
        """Make adapters anew whose files were lost or altered; those that are whole are left alone, nobody is asked.

        Args:
            version: Which. None: all that need it.
            progress: As for `openmic.run`.
            objects: As for `resume`.

        Returns:
            Those that were made: `version`, `adapter_path`, and `same_bytes`, whether every byte is as it was.

        Raises:
            ConfigError: this run made no such adapter.
            AdapterError: what it began from is itself lost or altered, as is one that another run made.
        """
        from .api import shown
        from .given import given_plugs
        from .graph.runs.again import train_again

        with self._writing() as (store, row):
            made = train_again(store, row, version, shown(progress), plugs=given_plugs(objects))
        return Table([{"version": one.version, "adapter_path": one.place, "same_bytes": one.same} for one in made])

    def evaluate(
        self, versions: Sequence[int] | None = None, *, progress: Any = True, check: bool = True, **objects: Any
    ) -> "Run":
        """Judge adapter versions on the test inputs; those that were judged are left alone."""
        from .api import shown
        from .given import given_plugs
        from .graph.runs.evaluate import evaluate_run

        with self._writing() as (store, row):
            evaluate_run(store, row, versions, shown(progress), plugs=given_plugs(objects), ask=check)
        return self

    def rejudge(
        self,
        critic: Any = None,
        overrides: Any = None,
        *,
        progress: Any = True,
        check: bool = True,
        **objects: Any,
    ) -> "Run":
        """Have another critic judge this run's comparisons again, as a run of its own; no text is generated."""
        from .api import shown
        from .given import given_plugs, laid_over, named
        from .graph.runs.rejudge import start_rejudging

        section, seen = (None, {}) if critic is None else named("cast.critic", critic)
        laid = [] if section is None else laid_over({"cast.critic": section})
        with self._writing() as (store, row):
            made = start_rejudging(
                store,
                row,
                overrides=laid + laid_over(overrides),
                arguments=[],
                progress=shown(progress),
                plugs=given_plugs({**objects, **seen}),
                ask=check,
            )
        return Run(made, self.store)

    def __iter__(self) -> Iterator[Dialogue]:
        """Its finished critique-and-revise dialogues, in the order they were begun."""
        for line in self.dialogues(stage="collect", status="finished"):
            yield self.dialogue(line["dialogue"])

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status}>"

    def _open(self) -> Any:
        return Store.open_readonly(self.store)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Store, RunRow]]:
        with Store.open(self.store) as store:
            yield store, store.resolve_run(self.id)


def tell_how_to_go_on(error: OpenmicError, run: Run) -> None:
    """Have a traceback end in how to go on with the run that an error ended."""
    error.add_note(f"to go on: openmic.open_run({run.id!r}, {run.store!r}).resume()")
