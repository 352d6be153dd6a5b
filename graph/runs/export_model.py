"""A run's student as files that others serve: its adapter, merged weights, or GGUF; compared with what it said before.

Reads the store, asks nobody and needs no Ray.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ...agents.cast import StudentAgent
from ...core.config import RunConfig, saved_config
from ...core.errors import ConfigError, NotFoundError
from ...core.files.private import make_private, private_folder
from ...core.records import NO_ADAPTER, AdapterRef, Message, Split
from ...core.section import unwritable
from ...store import Adapter, ExampleRow, Run, RunExample, Store
from ...store.liveness import in_use
from ...training.adapters.adapters import CARD, committed_files, verify_adapter
from ...training.adapters.card import FOLDER, GGUF_FILE, CardForm, ModelCard, write_card
from ...training.adapters.carried import PROMPTS
from ...training.export.agreement import Agreement, Tokens
from ...training.export.gguf import convert, find_converter
from ...training.student.fingerprint import KnownFiles
from ..context.opening import task_of
from ..context.plugs import Plugs
from ..model_card import model_card

PROMOTED = "promoted"
DTYPES: dict[CardForm, tuple[str, ...]] = {
    "adapter": ("auto",),
    "merged": ("auto", "float32", "bfloat16", "float16"),
    "gguf": ("auto", "float32", "bfloat16", "float16", "q8_0"),
}
"""The number formats that each form can be written in."""
ITS_OWN = "the files are the adapter's own, each with the hash that it was committed with"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    run: str
    version: int
    form: CardForm
    agreement: Agreement | None
    """None where nothing was compared."""
    unverified: str = ""
    """Why nothing was; empty where it was."""

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        agreement = None if self.agreement is None else asdict(self.agreement)
        return {**asdict(self), "path": str(self.path), "agreement": agreement, "unverified": self.unverified or None}


@dataclass(frozen=True, slots=True)
class Writing:
    """How files are written, whichever form they have."""

    dtype: str = "auto"
    """The number format of the weights; `auto` is the base's own, in GGUF 16 bits of the kind nearest to it."""
    verify: int = 20
    """On how many held-out inputs greedy outputs are compared with the adapter's; 0 compares none."""
    device: str = "auto"
    """Where to compute."""
    converter: Path | None = None
    """llama.cpp's converter, where it is not the packaged one."""


def adapter_of(store: Store, run: Run, version: int | str = PROMOTED) -> AdapterRef:
    """Where a version of a run's student lies: a number, or `promoted`, the last one that was.

    Raises:
        NotFoundError: there is no such version, or it has no files, as the bare student.
    """
    rows = store.select(Adapter, run_id=run.id, order_by="version")
    adapters = [row for row in rows if row.uri is not None]
    if not adapters:
        raise NotFoundError(f"run {run.id} has no adapter (it is a {run.kind}, {run.status}); name another run")
    if version == PROMOTED:
        found = [row for row in adapters if row.status == PROMOTED][-1:]
    else:
        found = [row for row in adapters if row.version == version]
    if not found:
        there = ", ".join(f"v{row.version}" for row in adapters)
        which = "promoted adapter" if version == PROMOTED else f"adapter v{version}"
        bare = "; v0 is the bare student, which has none" if version == 0 else ""
        raise NotFoundError(f"run {run.id} has no {which}{bare}; it has {there}")
    return AdapterRef(found[0].version, store.located(found[0].uri or ""), found[0].sha256)


def export_model(
    store: Store,
    run: Run,
    version: int | str,
    form: CardForm,
    target: Path,
    writing: Writing,
    *,
    place: str = FOLDER,
    tell: Tell = lambda _: None,
) -> Exported:
    """Write a version of a run's student into a folder, with its prompts and its card.

    Args:
        store: Open.
        run: The run.
        version: As for `adapter_of`.
        form: `adapter`, `merged`, or `gguf` with a Modelfile.
        target: The folder, which is made.
        writing: How.
        place: What its readers open it by, in the card.
        tell: Told what is being done.

    Raises:
        ConfigError: the folder is there already, or the form, the number format, or what writes it cannot be had.
        NotFoundError: there is no such adapter.
        AdapterError: it is not what was committed.
        StudentError: the base model cannot be loaded, or cannot be written so, or is another than the run's.
    """
    dtype = writing.dtype
    if dtype not in DTYPES[form]:
        raise ConfigError(f"--dtype {dtype} is not for --to {form}; take one of {', '.join(DTYPES[form])}")
    target = target.absolute()
    _refuse_filled(target)
    with in_use(store, run):
        return _export(store, run, version, form, target, writing, place, tell)


def _export(
    store: Store, run: Run, version: int | str, form: CardForm, target: Path, writing: Writing, place: str, tell: Tell
) -> Exported:
    dtype = writing.dtype
    ref, config = adapter_of(store, run, version), saved_config(run).settled()
    card = model_card(store, run, config, ref)
    if form == "gguf" and card.kind != "causal":
        raise ConfigError("--to gguf is for causal students, and this one is sequence-to-sequence; take --to merged")
    script = find_converter(writing.converter) if form == "gguf" else None
    folder = verify_adapter(ref)
    private_folder(target.parent)
    work = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        out = work / "out"
        out.mkdir()
        agreement, why = None, ITS_OWN
        if script is None and form == "adapter":
            for name in committed_files(folder):
                shutil.copy2(folder / name, out / name)
        else:
            asked = _asked(store, run, config, writing.verify)
            known = KnownFiles(run.id, run.student_files)
            student = _Student(config, ref, folder, card, asked, writing.device, tell, known)
            agreement = student.merged(out, dtype) if script is None else student.gguf(out, work, dtype, script)
            why = "" if agreement else _why_unverified(asked, writing.verify)
            prompts = json.dumps(dict(card.prompts), ensure_ascii=False, indent=2, sort_keys=True)
            (out / PROMPTS).write_text(f"{prompts}\n", encoding="utf-8")
        checked = "" if agreement is None else f"on {agreement.outputs} of the run's inputs, {agreement}."
        (out / CARD).write_text(write_card(card, form, place=place, checked=checked), encoding="utf-8")
        make_private(out)
        if target.is_dir():
            target.rmdir()
        out.replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Exported(target, run.id, ref.version, form, agreement, why)


@dataclass(frozen=True, slots=True)
class _Student:
    """The student that is exported, and what it is asked to see that it stays what it is."""

    config: RunConfig
    ref: AdapterRef
    folder: Path
    card: ModelCard
    asked: Sequence[tuple[Message, ...]]
    device: str
    tell: Tell
    known: KnownFiles

    def merged(self, out: Path, dtype: str) -> Agreement | None:
        """Write merged weights, and read them back to compare them."""
        expected = self._expected()
        self._merge(out, dtype)
        if not self.asked:
            return None
        self.tell("what the merged weights say to them")
        written = {"model": str(out), "revision": None, "quantization": None, "pickled_weights": False}
        return Agreement.of(expected, self._greedy(self._load(**written)))

    def gguf(self, out: Path, work: Path, dtype: str, script: Path) -> Agreement | None:
        """Write a GGUF file and its Modelfile, and read the file as transformers reads it to compare it."""
        from ...training.export.gguf import read_gguf
        from ...training.export.modelfile import write_modelfile

        expected = self._expected()
        # Rounded once, from what the merge comes to, and not twice.
        self._merge(work / "merged", "auto" if dtype == "auto" else "float32")
        self.tell("llama.cpp's converter writes the GGUF file")
        convert(work / "merged", out / GGUF_FILE, dtype=dtype, converter=script, name=self.card.title)
        student = self._load()
        (out / "Modelfile").write_text(write_modelfile(student, self.card.prompts), encoding="utf-8")
        if not self.asked:
            return None
        self.tell("what the GGUF file says to them, as transformers reads it")
        found = read_gguf(out / GGUF_FILE, student)
        return None if found is None else Agreement.of(expected, self._greedy(found))

    def _merge(self, folder: Path, dtype: str) -> None:
        from ...training.export.merge import merge

        self.tell("merging the adapter into the base model's weights")
        merge(self.config.student.weights, self.folder, folder, dtype=dtype, device=self.device, known=self.known)

    def _expected(self) -> list[Tokens]:
        if not self.asked:
            return []
        self.tell(f"what the adapter says to {len(self.asked)} inputs, without sampling")
        return self._greedy(self._load(), self.ref)

    def _load(self, **other: Any) -> Any:
        from ...training.student.student import load_student

        settings = self.config.student
        weights = settings.weights.model_copy(update=other)
        with nullcontext() if other else self.known.kept(weights):
            return load_student(weights, device=self.device, template_kwargs=settings.chat_template_kwargs)

    def _greedy(self, student: Any, adapter: AdapterRef = NO_ADAPTER) -> list[Tokens]:
        from ...training.export.agreement import greedy

        most = self.config.evaluation.sampling.max_tokens
        return greedy(student, self.asked, max_tokens=most, max_batch=self.config.student.max_batch, adapter=adapter)


def _refuse_filled(target: Path) -> None:
    """Raise ConfigError where a folder cannot be made: something is there, or nothing can be written."""
    filled = target.is_dir() and any(target.iterdir())
    if filled or target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ConfigError(f"{str(target)!r} is there already: name another folder, or remove it first")
    if (problem := unwritable(target.parent)) is not None:
        raise ConfigError(f"{str(target)!r} cannot be written: {problem}")


def _asked(store: Store, run: Run, config: RunConfig, count: int) -> list[tuple[Message, ...]]:
    """What the student is asked about the first inputs, those held out first."""
    if not count:
        return []
    campaign = store.campaign_of(run)
    task = task_of(campaign, saved_config(campaign), Plugs().recall(campaign))
    agent = StudentAgent(task, config.seed)
    chosen = list[str]()
    for split in (Split.TEST, Split.DEV, Split.TRAIN):
        rows = store.select(RunExample, run_id=campaign.id, split=split, order_by="position")
        chosen += [row.example_id for row in rows][: count - len(chosen)]
    by_id = {row.id: row for row in store.select(ExampleRow, id=chosen)}
    return [agent.prompt(by_id[identity].value) for identity in chosen]


def _why_unverified(asked: Sequence[object], wanted: int) -> str:
    if not wanted:
        return "--verify 0 was given"
    if not asked:
        return "the run has no inputs to compare on"
    return "transformers does not read GGUF files of this architecture; ask it with llama.cpp"
