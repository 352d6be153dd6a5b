"""Reading the literal inputs, each with its split by the hash of its content, and demonstrations for them.

Everything is checked before anything else happens. All that is wrong with inputs is reported at once, with its place;
of a file whose rows cannot be read, and of demonstrations, the first fault is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from .config import InputSettings, TeacherSettings
from .errors import InputError
from .ids import content_hash
from .records import Example, Input, Split, input_text
from .row_files import KINDS, FileRow, Reading, as_json, is_dataset, read_rows, read_text, unread_kind, unstorable
from .text import fold

_MOST_TOLD = 50
"""Problems, and places of each, that one message names; of more it gives the number."""
_TWICE = (
    "remove one of the two, or set inputs.drop_duplicates to true (an input that stands twice could be trained on "
    "and tested with)"
)


class ReadInputs(NamedTuple):
    """What an input file holds."""

    examples: list[Example]
    duplicates: int
    """Inputs that were left out since they stood there before (`inputs.drop_duplicates`)."""


def read_inputs(settings: InputSettings) -> ReadInputs:
    """All inputs in the file's order.

    Raises:
        InputError: the file is missing, empty, malformed or in another encoding, inputs are blank or stand there twice,
            or a split that is needed came out empty.
    """
    path = settings.path
    first_seen: dict[str, str] = {}
    ids: dict[str, str] = {}
    examples: list[Example] = []
    problems: dict[str, list[str]] = {}
    duplicates = 0
    for place, record in _read_records(path, settings):
        fields = _fields(record, settings.field_names)
        own_id, metadata = _own_id(record, settings.id_field), _metadata(record, settings.metadata)
        problem = _problem(fields, record, settings) or _problem_beside(own_id, metadata, settings)
        if problem is not None:
            problems.setdefault(problem, []).append(place)
            continue
        value = _value(fields)
        folded = _folded(value)
        if folded in first_seen:
            duplicates += 1
            if not settings.drop_duplicates:
                text = f"the same input as on {first_seen[folded]}: {input_text(value)[:60]!r}"
                problems.setdefault(text, []).append(place)
            continue
        first_seen[folded] = place
        if own_id is not None and own_id in ids:
            problems.setdefault(f"the same {settings.id_field} as on {ids[own_id]}: {own_id[:60]!r}", []).append(place)
        elif own_id is not None:
            ids[own_id] = place
        found = example_of(value, settings.dev_ratio, settings.test_ratio)
        examples.append(replace(found, own_id=own_id, metadata=metadata))
    if problems:
        raise InputError(_told(path, problems, _TWICE if duplicates and not settings.drop_duplicates else ""))
    if settings.limit is not None:
        examples = examples[: settings.limit]
    if not examples:
        raise InputError(f"{path} holds no inputs; give it one text per line")
    for split in (Split.TRAIN, Split.TEST):
        if sum(example.split is split for example in examples) < 2:
            raise InputError(
                f"{path}: {len(examples)} inputs leave fewer than 2 in the {split} split; give more inputs, "
                "or change inputs.dev_ratio and inputs.test_ratio"
            )
    return ReadInputs(examples, duplicates)


def _fields(row: Mapping[str, object], names: Sequence[str]) -> dict[str, str]:
    """The texts of a row under these names, of which it may lack some."""
    return {name: text.strip() for name in names if isinstance(text := row.get(name), str)}


def _value(fields: Mapping[str, str]) -> Input:
    """The input that its fields make."""
    return fields if len(fields) > 1 else next(iter(fields.values()))


def _own_id(row: Mapping[str, Any], name: str | None) -> str | None:
    """The id that a row gives its input; None where none is wanted, or there is none."""
    found = None if name is None else row.get(name)
    known = isinstance(found, str | int) and not isinstance(found, bool) and str(found).strip()
    return str(found).strip() if known else None


def _metadata(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What a row says besides, as JSON has it; what it lacks, or leaves empty, is not there."""
    return {name: as_json(row[name]) for name in names if row.get(name) not in (None, "")}


def _problem_beside(own_id: str | None, metadata: Mapping[str, Any], settings: InputSettings) -> str | None:
    """What is wrong with what stands beside an input, and what to do; None where nothing is."""
    if settings.id_field is not None and own_id is None:
        return f"no text or number under the key {settings.id_field!r}; set inputs.id_field, or mend the line"
    return unstorable("\n".join([own_id or "", *_texts_in(metadata)]))


def _texts_in(value: Any) -> Iterator[str]:
    """Every text in a value that JSON has, names among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_in(inner)


def _problem(fields: Mapping[str, str], record: Mapping[str, object], settings: InputSettings) -> str | None:
    """What is wrong with one input, and what to do; None where nothing is."""
    missing = next((field for field in settings.field_names if field not in fields), None)
    if missing is not None:
        found = f"{record[missing]!r:.60}" if missing in record else f"its keys are {sorted(map(str, record))}"
        return f"no text under the key {missing!r} ({found}); set inputs.fields, or mend the line"
    text = " ".join(fields.values())
    if (spoilt := unstorable(text)) is not None:
        return spoilt
    if not any(fold(field) for field in fields.values()):
        return f"the input is blank or has no word in it: {text[:60]!r}; remove the line"
    longest = max(len(field) for field in fields.values())
    if longest > settings.max_characters:
        return f"the input has {longest} characters, over inputs.max_characters={settings.max_characters}; split it"
    return None


def _told(path: Path, problems: Mapping[str, Sequence[str]], of_twice: str) -> str:
    """Every problem with its places, and what to do about duplicates; a line each where there are several."""
    told = [_with_places(problem, places) for problem, places in problems.items()]
    if len(told) == 1:
        return f"{path}, {told[0]}" + (f"; {of_twice}" if of_twice else "")
    left = len(told) - _MOST_TOLD
    lines = [*told[:_MOST_TOLD], *([f"and {left} more"] if left > 0 else [])]
    lines += [f"where an input stands twice, {of_twice}"] if of_twice else []
    return f"{path}, {len(told)} problems:\n" + "\n".join(f"  {line}" for line in lines)


def _with_places(problem: str, places: Sequence[str]) -> str:
    first, *more = places
    left = len(more) - _MOST_TOLD
    others = [*more[:_MOST_TOLD], *([f"{left} more"] if left > 0 else [])]
    return f"{first}: {problem}" + (f" (also {', '.join(others)})" if others else "")


def example_of(value: Input, dev_ratio: float, test_ratio: float) -> Example:
    """The example that an input is, its id and its split worked out."""
    text, split = input_text(value), split_of(value, dev_ratio, test_ratio)
    if isinstance(value, str):
        return Example(content_hash(text), text, split)
    return Example(content_hash(list(value.items())), text, split, dict(value))


def split_of(value: Input, dev_ratio: float, test_ratio: float) -> Split:
    """The split of an input: a function of its words, so neither other inputs nor a comma ever move it."""
    position = int(content_hash(f"split:{_folded(value)}")[:12], 16) / 16**12
    if position < test_ratio:
        return Split.TEST
    return Split.DEV if position < test_ratio + dev_ratio else Split.TRAIN


def _folded(value: Input) -> str:
    """The words of an input, each field's apart; the same in whichever order the fields are named."""
    if isinstance(value, str):
        return fold(value)
    return "\n".join(f"{name}: {fold(text)}" for name, text in sorted(value.items()))


def _read_records(path: Path, settings: InputSettings) -> list[FileRow]:
    """The rows of the file, each with its place."""
    beside = () if settings.id_field is None else (settings.id_field,)
    reading = Reading(
        columns=(*settings.field_names, *beside),
        kind="inputs",
        optional=settings.metadata,
        split=settings.split,
        subset=settings.subset,
        split_key="inputs.split",
        path_key="inputs.path",
        columns_key="inputs.fields",
        encoding_key="inputs.encoding",
        delimiter=settings.delimiter,
        encoding=settings.encoding,
    )
    ending = path.suffix.lower()
    if ending in KINDS or is_dataset(path):
        return read_rows(path, reading)
    if settings.id_field is not None or settings.metadata:
        raise InputError(
            f"{path}: a .txt file holds one text on each line, without ids and metadata; leave out inputs.id_field and "
            "inputs.metadata, or give a .jsonl or .csv file"
        )
    if ending != ".txt":
        raise unread_kind(path, reading, (*KINDS, ".txt"))
    if len(settings.field_names) > 1:
        raise InputError(
            f"{path}: a .txt file holds one text on each line, and inputs.fields names "
            f"{', '.join(settings.field_names)}; give a .jsonl or .csv file"
        )
    lines = enumerate(read_text(path, reading).replace("\r\n", "\n").split("\n"), start=1)
    return [FileRow(f"line {number}", {settings.field_names[0]: line}) for number, line in lines if line.strip()]


def read_demonstrations(
    path: Path,
    input_field: str | Sequence[str],
    output_field: str,
    *,
    key: str = "cast.teacher.demonstrations",
    split: str | None = None,
    subset: str | None = None,
) -> dict[str, tuple[str, ...]]:
    """The outputs for each input, in the file's order; `known_outputs` finds those of one.

    Args:
        path: A .jsonl, .json, .csv, .tsv or .parquet file, or a dataset's folder or address.
        input_field: The key or column of the input, or those of its fields, in any order.
        output_field: The key or column of the output: a text, or a list of texts.
        key: The configuration's key that names the file, for errors.
        split: Which split of a dataset.
        subset: Which configuration of a dataset on the hub.

    Raises:
        InputError: the file cannot be read, or a row lacks an input or an output; it names the row.
    """
    found: dict[str, dict[str, None]] = {}
    fields = (input_field,) if isinstance(input_field, str) else tuple(input_field)
    reading = Reading(
        columns=(*fields, output_field),
        kind="demonstrations",
        path_key=key,
        columns_key="input_field and output_field",
        split=split,
        subset=subset,
        split_key=f"{key.rpartition('.')[0]}.split",
    )
    for place, row in read_rows(path, reading):
        where = f"{path}, {place}"
        asked, outputs = _fields(row, fields), row.get(output_field)
        if len(asked) < len(fields) or not any(asked.values()):
            raise InputError(f"{where}: no text under {input_field!r} (it has {sorted(row)}); set input_field")
        texts = [outputs] if isinstance(outputs, str) else outputs
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise InputError(
                f"{where}: no text or list of texts under {output_field!r} (it has {sorted(row)}); set output_field"
            )
        if spoilt := unstorable("\n".join([*asked.values(), *texts])):
            raise InputError(f"{where}: {spoilt}")
        answers = found.setdefault(_folded(_value(asked)), {})
        answers.update(dict.fromkeys(text.strip() for text in texts if text.strip()))
    known = {source: tuple(outputs) for source, outputs in found.items() if outputs}
    if not known:
        raise InputError(f"{path} holds no demonstration; give it rows with {input_field!r} and {output_field!r}")
    return known


def demonstrated(settings: TeacherSettings, key: str) -> dict[str, tuple[str, ...]]:
    """The outputs for each input that a teacher's settings name; see `read_demonstrations`."""
    assert settings.demonstrations is not None
    return read_demonstrations(
        settings.demonstrations,
        settings.input_field,
        settings.output_field,
        key=key,
        split=settings.split,
        subset=settings.subset,
    )


def known_outputs(known: Mapping[str, Sequence[str]], value: Input) -> Sequence[str]:
    """The outputs for an input of those that were read; rows have its fields apart, or as one text."""
    return known.get(_folded(value)) or known.get(fold(input_text(value)), ())
