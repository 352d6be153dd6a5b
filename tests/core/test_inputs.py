import json
import re
from collections import Counter
from pathlib import Path

import pytest

from openmic.core.config import InputSettings
from openmic.core.ids import content_hash
from openmic.core.inputs import example_of, read_inputs, split_of
from openmic.core.records import Split, input_text

from .input_files import Write, refusal, texts_of

SHIPPED = Path(__file__).parents[2] / "examples" / "inputs" / "humor.jsonl"
MAX_CHARACTERS = InputSettings.model_fields["max_characters"].default
TEXTS = [f"The {thing} broke on day {day}." for day in range(10) for thing in ("kettle", "printer", "bus", "door")]


def as_jsonl(texts: list[str], field: str = "input") -> str:
    return "".join(json.dumps({field: text, "id": number}) + "\n" for number, text in enumerate(texts))


def test_the_same_texts_are_read_from_every_format(write: Write) -> None:
    quoted = "".join(f'{number},"{text}"\r\n' for number, text in enumerate(TEXTS))
    assert texts_of(write("a.jsonl", as_jsonl(TEXTS))) == TEXTS
    assert texts_of(write("a.csv", "id,input\r\n" + quoted)) == TEXTS
    assert texts_of(write("a.txt", "\n".join(TEXTS))) == TEXTS
    assert texts_of(write("A.TXT", "\r\n\r\n".join(TEXTS) + "\r\n")) == TEXTS


def test_a_byte_order_mark_is_no_part_of_the_first_input(write: Write) -> None:
    assert texts_of(write("a.txt", "\ufeff" + "\n".join(TEXTS)))[0] == TEXTS[0]
    assert texts_of(write("a.csv", "\ufeffinput\n" + "\n".join(TEXTS)))[0] == TEXTS[0]


def test_space_around_a_text_and_blank_lines_are_no_part_of_it(write: Write) -> None:
    assert texts_of(write("a.txt", "\n\n".join(f"  {text}\t" for text in TEXTS))) == TEXTS


def test_the_field_that_holds_the_text_can_be_named(write: Write) -> None:
    assert texts_of(write("a.jsonl", as_jsonl(TEXTS, "sentence")), fields="sentence") == TEXTS
    assert texts_of(write("a.csv", "sentence\n" + "\n".join(TEXTS)), fields="sentence") == TEXTS


def test_a_csv_field_may_hold_commas_quotes_and_line_breaks(write: Write) -> None:
    odd = ['He said "no", twice.', "One line\nand another one."]
    rows = "".join('"' + text.replace('"', '""') + '"\n' for text in [*TEXTS, *odd])
    assert texts_of(write("a.csv", "input\n" + rows))[-2:] == odd


def test_limit_takes_the_first_inputs(write: Write) -> None:
    assert texts_of(write("a.txt", "\n".join(TEXTS)), limit=25) == TEXTS[:25]


def test_an_example_is_known_by_the_hash_of_its_text(write: Write) -> None:
    for example in read_inputs(InputSettings(path=write("a.txt", "\n".join(TEXTS)))).examples:
        assert example.id == content_hash(example.text)
        assert example.split is split_of(example.text, 0.1, 0.25)


QUESTIONS = [{"question": f"Why did the {text[4:]}", "context": "Nobody knows; ask again."} for text in TEXTS]
ASKED = {"fields": ["question", "context"]}


def test_an_input_may_have_several_fields(write: Write) -> None:
    lines = "".join(json.dumps(row | {"other": 1}) + "\n" for row in QUESTIONS)
    examples = read_inputs(InputSettings.model_validate({"path": write("a.jsonl", lines), **ASKED})).examples
    first = examples[0]
    assert first.value == first.fields == QUESTIONS[0]
    assert first.text == "question: Why did the kettle broke on day 0.\ncontext: Nobody knows; ask again."
    assert first.id == content_hash([["question", QUESTIONS[0]["question"]], ["context", QUESTIONS[0]["context"]]])
    rows = "".join(f'"{row["context"]}","{row["question"]}"\n' for row in QUESTIONS)
    table = InputSettings.model_validate({"path": write("a.csv", "context,question\n" + rows), **ASKED})
    assert read_inputs(table).examples == examples


def test_a_single_field_is_one_text_however_it_is_named(write: Write) -> None:
    path = write("a.jsonl", as_jsonl(TEXTS, "sentence"))
    alone, listed = (
        read_inputs(InputSettings.model_validate({"path": path, "fields": fields})).examples
        for fields in ("sentence", ["sentence"])
    )
    assert alone == listed
    assert (alone[0].value, alone[0].text, alone[0].id) == (TEXTS[0], TEXTS[0], content_hash(TEXTS[0]))


def test_the_order_of_fields_and_a_comma_move_no_split() -> None:
    for row in QUESTIONS:
        split = example_of(row, 0.3, 0.3).split
        turned = {"context": row["context"].replace(";", ","), "question": row["question"].upper()}
        assert example_of(turned, 0.3, 0.3).split is split


def test_a_field_may_be_empty_but_not_all(write: Write) -> None:
    rows = [*QUESTIONS, {"question": "Why?", "context": ""}]
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert read_inputs(InputSettings.model_validate({"path": path, **ASKED})).examples[-1].text == "question: Why?"
    rows.append({"question": " ", "context": "?"})
    path = write("b.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert "line 42: the input is blank" in refusal(path, **ASKED)


def test_what_is_wrong_with_one_of_several_fields_is_told_by_its_name(write: Write) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in QUESTIONS)
    message = refusal(write("a.jsonl", lines + '{"question": "Why?"}\n'), **ASKED)
    assert "line 41: no text under the key 'context' (its keys are ['question']); set inputs.fields" in message
    assert "no column 'context'" in refusal(write("a.csv", "question\nWhy?\n"), **ASKED)
    assert "a .txt file holds one text on each line" in refusal(write("a.txt", "Why?\n"), **ASKED)
    twice = lines + json.dumps({"question": QUESTIONS[0]["question"].upper(), "context": "nobody knows, ask again"})
    assert "line 41: the same input as on line 1" in refusal(write("c.jsonl", twice), **ASKED)


@pytest.mark.parametrize("fields", [[], "", ["question", ""], ["question", "question"]])
def test_fields_have_names_of_their_own(tmp_path: Path, fields: object) -> None:
    with pytest.raises(ValueError, match="fields"):
        InputSettings.model_validate({"path": tmp_path, "fields": fields})


def test_the_whole_of_an_input_is_its_text_or_its_fields() -> None:
    assert input_text("Why?") == "Why?"
    assert input_text({"question": "Why?", "hint": "", "context": "Because."}) == "question: Why?\ncontext: Because."


def test_adding_inputs_and_changing_their_order_moves_no_split(write: Write) -> None:
    few = read_inputs(InputSettings(path=write("few.txt", "\n".join(TEXTS[:25])))).examples
    more = "\n".join([*reversed(TEXTS), "A new one came along."])
    many = read_inputs(InputSettings(path=write("many.txt", more))).examples
    splits = {example.id: example.split for example in many}
    assert len({example.split for example in few}) == 3
    assert [splits[example.id] for example in few] == [example.split for example in few]


def test_a_comma_or_a_capital_moves_no_split() -> None:
    for text in TEXTS:
        assert split_of(text.upper().replace(" ON", ",  on"), 0.3, 0.3) is split_of(text, 0.3, 0.3)


def test_the_splits_have_their_shares() -> None:
    counts = Counter(split_of(f"sentence number {number}", 0.1, 0.25) for number in range(8000))
    assert counts[Split.TEST] / 8000 == pytest.approx(0.25, abs=0.02)
    assert counts[Split.DEV] / 8000 == pytest.approx(0.10, abs=0.015)


def test_a_larger_dev_share_takes_from_training_alone() -> None:
    for number in range(500):
        small, large = (split_of(f"sentence number {number}", dev, 0.25) for dev in (0.1, 0.3))
        assert small is large or (small, large) == (Split.TRAIN, Split.DEV)


def test_the_inputs_that_ship_are_read() -> None:
    examples = read_inputs(InputSettings(path=SHIPPED)).examples
    assert len(examples) >= 400
    assert {example.split for example in examples} == set(Split)
    lengths = [len(example.text.split()) for example in examples]
    assert min(lengths) >= 4
    assert max(lengths) <= 30


def test_a_missing_file(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere.jsonl")
    assert "there is no file of inputs" in message
    assert "inputs.path" in message


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    assert "cannot be read as a dataset" in refusal(tmp_path / "folder.txt")


@pytest.mark.parametrize("name", ["a.xml", "a", "a.xlsx"])
def test_a_format_that_is_not_read(write: Write, name: str) -> None:
    assert ".jsonl, .json, .csv, .tsv, .parquet or .txt" in refusal(write(name, "\n".join(TEXTS)))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
@pytest.mark.parametrize("content", ["", "\n \n\t\n", "\ufeff"])
def test_an_empty_file(write: Write, name: str, content: str) -> None:
    assert "is empty" in refusal(write(name, content))


def test_a_csv_with_a_header_alone(write: Write) -> None:
    assert "holds no inputs" in refusal(write("a.csv", "input\n"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_a_file_that_is_not_utf_8(write: Write, name: str) -> None:
    message = refusal(write(name, b"input\nA fine line.\nThe caf\xe9 closed.\n"))
    assert "line 3: not UTF-8 (byte 0xe9)" in message


MALFORMED = [
    ("a.jsonl", '{"input": "a b"}\n\n{"input": "c d"\n', "line 3, column 16: not valid JSON"),
    ("a.jsonl", '{"input": "a b"}\n{"input": \'c d\'}\n', "line 2, column 11: not valid JSON"),
    ("a.jsonl", '{"input": "a b"}\n["c d"]\n', "line 2: a list where an object was expected"),
    ("a.jsonl", '{"text": "a b", "n": 1}\n', "line 1: no text under the key 'input' (its keys are ['n', 'text'])"),
    ("a.jsonl", '{"input": 7}\n', "line 1: no text under the key 'input'"),
    ("a.jsonl", '{"input": null}\n', "line 1: no text under the key 'input'"),
    ("a.jsonl", '{"input": "a b"}\n{"input": " "}\n', "line 2: the input is blank"),
    ("a.jsonl", '{"input": "a b"}\n{"input": "half \\ud83d"}\n', "line 2: half of a surrogate pair"),
    ("a.jsonl", '{"input": "a b"}\n' + "[" * 100_000, "line 2: not JSON that can be read"),
    ("a.jsonl", '{"input": "a b", "n": ' + "1" * 5000 + "}", "line 1: not JSON that can be read"),
    (
        "a.csv",
        "text;n\na b;1\n",
        "line 1: no column 'input' in its first line, 'text;n'; the first line has to name the columns",
    ),
    ("a.csv", 'n,"input\na b\n', "not valid CSV"),
    ("a.csv", 'input\na b\n"c d\n', "line 3: not valid CSV"),
    ("a.csv", 'input\na b\n"c" d\n', "line 3: not valid CSV"),
    ("a.csv", "n,input\n1,a b\n2\n", "line 3: more or fewer fields than the header"),
    ("a.csv", "n,input\n1,a, b\n", "line 2: more or fewer fields than the header"),
    ("a.csv", "n,input\n1,a b\n2,\n", "line 3: the input is blank"),
    ("a.txt", "a b\n\n…\n", "line 3: the input is blank or has no word in it"),
    ("a.txt", "a b\n" + "word " * MAX_CHARACTERS, f"line 2: the input has {MAX_CHARACTERS * 5 - 1} characters"),
]


@pytest.mark.parametrize(("name", "content", "message"), MALFORMED)
def test_what_is_malformed_is_reported_with_its_line(write: Write, name: str, content: str, message: str) -> None:
    assert message in refusal(write(name, content))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", as_jsonl(["The bus left.", "A door.", "the bus LEFT"])),
        ("a.csv", 'input\nThe bus left.\nA door.\n"The bus, left!"\n'),
        ("a.txt", "The bus left.\nA door.\nThe  bus left\n"),
    ],
)
def test_duplicates_are_reported_with_both_lines(write: Write, name: str, content: str) -> None:
    first = 2 if name == "a.csv" else 1
    message = refusal(write(name, content))
    assert re.search(rf"line {first + 2}: the same input as on line {first}\b", message)
    assert "set inputs.drop_duplicates" in message
    assert "\n" not in message


def test_every_duplicate_is_named_at_once(write: Write) -> None:
    message = refusal(write("a.txt", "\n".join([*TEXTS, TEXTS[3], "A new one.", TEXTS[5].upper(), TEXTS[3]])))
    assert "line 41: the same input as on line 4: 'The door broke on day 0.' (also line 44)" in message
    assert "line 43: the same input as on line 6:" in message
    many = refusal(write("b.txt", "\n".join([f"Number {n}." for n in range(200)] * 2)))
    assert "200 problems" in many
    assert "and 150 more" in many
    assert len(many.splitlines()) < 60


def test_everything_that_is_wrong_is_told_at_once(write: Write) -> None:
    rows = [*TEXTS, "?", "with\0a NUL", TEXTS[0], "half \ud83d", "x" * (MAX_CHARACTERS + 1)]
    lines = [json.dumps({"input": text}) for text in rows] + ['{"text": "x y"}', '{"input": 3}', '{"input": 4}']
    message = refusal(write("a.jsonl", "\n".join(lines)))
    for place, problem in {
        41: "the input is blank",
        42: "there is a NUL character",
        43: "the same input as on line 1",
        44: "half of a surrogate pair",
        45: f"the input has {MAX_CHARACTERS + 1} characters",
        46: "no text under the key 'input' (its keys are ['text'])",
        47: "no text under the key 'input' (3)",
        48: "no text under the key 'input' (4)",
    }.items():
        assert f"line {place}: {problem}" in message
    *_, last, advice = message.splitlines()
    assert last.strip().startswith("line 48: ")
    assert advice.strip().startswith("where an input stands twice, remove one of the two, or set inputs.drop_")


def test_a_wrong_key_in_all_rows_is_one_problem(write: Write) -> None:
    message = refusal(write("a.jsonl", as_jsonl(TEXTS, "text")))
    assert "line 1: no text under the key 'input' (its keys are ['id', 'text']); set inputs.fields" in message
    assert "\n" not in message


def test_duplicates_are_left_out_where_that_is_said_and_counted(write: Write) -> None:
    path = write("a.txt", "\n".join([TEXTS[0], *TEXTS, TEXTS[5].upper(), "A new one."]))
    found = read_inputs(InputSettings(path=path, drop_duplicates=True))
    assert [example.text for example in found.examples] == [*TEXTS, "A new one."]
    assert found.duplicates == 2


def test_too_few_inputs_for_a_split(write: Write) -> None:
    message = refusal(write("a.txt", "\n".join(TEXTS)), limit=1)
    assert "1 inputs leave fewer than 2 in the train split" in message
    assert "test split" in refusal(write("a.txt", "\n".join(TEXTS)), test_ratio=0.0001)
