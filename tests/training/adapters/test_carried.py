"""What travels with an adapter: a public name of its base, prompts, the chat template, a card that works."""

import copy
import json
import re
import shutil
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import yaml

from openmic.agents.tasks.carried import carried_prompts
from openmic.agents.tasks.task import Task, load_task
from openmic.core.records import StudentSampling
from openmic.core.student_settings import StudentWeights
from openmic.training.adapters.adapters import CARD, commit_adapter, replace_card, verify_adapter
from openmic.training.adapters.carried import PROMPTS, TEMPLATE, carried_files, carried_with
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.standalone import adapter_ref, load_student, train
from openmic.training.student.published import PublishedBase, published_base, without_place

from ..conftest import BuildStudent

ODD = 'Say "it" in one line:\n\n* no `markdown`, \\ no <tags> | 短く 🙂'


def task(system: str = ODD) -> Task:
    return Task("odd", student={"system": system, "draft": "{{ input }}"})


@pytest.mark.parametrize(
    ("given", "name", "revision"),
    [
        ({"model": "smollm2-135m-instruct"}, "HuggingFaceTB/SmolLM2-135M-Instruct", None),
        ({"model": "org/model", "revision": "abc"}, "org/model", "abc"),
        ({"model": "/nowhere/at/all", "published_as": "org/model@v1"}, "org/model", "v1"),
        ({"model": "org/model", "published_as": "other/model"}, "other/model", None),
    ],
)
def test_a_base_is_named_as_others_know_it(given: dict[str, str], name: str, revision: str | None) -> None:
    found = published_base(StudentWeights.model_validate(given))
    assert (found.name, found.revision) == (name, revision)


def test_a_folder_is_named_without_its_place_and_a_download_by_its_hub_id(tmp_path: Path) -> None:
    downloaded = tmp_path / "models--org--model" / "snapshots" / "0123abcd"
    for folder in (downloaded, tmp_path / "my model"):
        folder.mkdir(parents=True)
    assert published_base(StudentWeights(model=str(downloaded))).full_name == "org/model@0123abcd"
    assert published_base(StudentWeights(model=str(tmp_path / "my model"))).full_name == "my model"
    assert published_base(StudentWeights(model=f"{tmp_path}/my model/")).full_name == "my model"


@pytest.mark.parametrize("name", ["/models/rm", "a/b/c", "~/rm", "..", "C:\\models\\rm"])
def test_a_path_is_shortened_to_its_last_part(name: str) -> None:
    assert "/" not in without_place(name)
    assert "\\" not in without_place(name)
    assert without_place("org/model") == "org/model"


@pytest.mark.parametrize("wrong", ["/models/x", "a b", "org/model/file", "org/model@"])
def test_a_published_name_is_a_hub_id(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no hub id; give one such as"):
        StudentWeights(published_as=wrong)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_an_adapter_s_folder_names_no_path_and_its_card_s_code_says_what_openmic_says(
    kind: str, tiny_causal: Path, tiny_seq2seq: Path, tmp_path: Path
) -> None:
    base = tmp_path / "bases" / "tiny-base"
    shutil.copytree(tiny_causal if kind == "causal" else tiny_seq2seq, base)
    made = train(
        [("The bus was late.", "So was I."), ("Soup.", "Again.")],
        output=tmp_path / "out",
        student=str(base),
        settings={"epochs": 1},
        device="cpu",
    )
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in made.path.iterdir() if path.suffix != ".safetensors"
    }
    assert [name for name, text in texts.items() if str(tmp_path) in text] == []
    config = json.loads(texts["adapter_config.json"])
    assert config["base_model_name_or_path"] == "tiny-base"
    assert (TEMPLATE in texts) is (kind == "causal")
    head, _, body = texts[CARD].removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(head)["base_model"] == "tiny-base"
    [code] = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    said = StringIO()
    with chdir(base.parent), redirect_stdout(said):  # where the base's name is a folder
        exec(code.replace("FOLDER", str(made.path)).replace("max_new_tokens=128", "max_new_tokens=12"), {})
    with load_student(str(base), made.path, device="cpu") as student:
        assert said.getvalue().strip() == student("Your input.", temperature=0, max_tokens=12).strip()


def test_a_later_training_names_its_start_by_hash(tiny_causal: Path, tmp_path: Path) -> None:
    pairs = [("The bus was late.", "So was I.")]
    options = {"student": str(tiny_causal), "settings": {"epochs": 1}, "device": "cpu"}
    first = train(pairs, output=tmp_path / "one", **options)  # type: ignore[arg-type]
    second = train(pairs, output=tmp_path / "two", start=first.path, **options)  # type: ignore[arg-type]
    assert str(tmp_path) not in (second.path / "manifest.json").read_text()


@pytest.mark.parametrize("system", [ODD, "", "x" * 20_000])
def test_prompts_travel_as_they_are_and_the_card_can_be_read_whatever_they_say(
    student: BuildStudent, system: str, tmp_path: Path
) -> None:
    llama = student("llama")
    base = PublishedBase("org/model", "abc", "Note.")
    prompts = carried_prompts(task(system), StudentSampling(max_tokens=9))
    files = carried_files(llama, base, prompts, version=1, objective="dpo")
    ref = commit_adapter(random_adapter(llama.model, "causal", seed=1), tmp_path, 1, {}, base=base, carries=files)
    folder = verify_adapter(ref)
    found, kind, _ = carried_with(ref)
    assert (found["system"], found["sampling"]["max_tokens"], kind) == (system, 9, "causal")
    assert (folder / TEMPLATE).read_text(encoding="utf-8") == llama.tokenizer.chat_template
    card = (folder / CARD).read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    compile(code, "card", "exec")
    assert "revision='abc'" in code
    assert all(f"> {line}" in card for line in system.splitlines())


def test_a_template_without_a_place_for_system_messages_gets_them_in_the_user_s_turn(student: BuildStudent) -> None:
    llama = student("llama")
    llama = replace(llama, tokenizer=copy.deepcopy(llama.tokenizer))  # it is shared by all tests
    llama.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}\n"
        "{% endfor %}{% if enable_thinking %}<think>{% endif %}"
    )
    files = carried_files(
        llama, PublishedBase("org/m"), carried_prompts(task("Be brief."), StudentSampling()), version=1, objective="sft"
    )
    asked = json.loads(files[PROMPTS])
    assert (asked["system_in_user_turn"], asked["chat_template_kwargs"]) == (True, {"enable_thinking": False})
    assert '"content": "Be brief.\\n\\nYour input."' in files[CARD]
    assert "enable_thinking=False" in files[CARD]


def test_fields_of_an_input_are_named(student: BuildStudent) -> None:
    asked = Task("qa", student={"system": "s", "draft": "{{ question }} {{ context }}"}, inputs=("question", "context"))
    files = carried_files(
        student("llama"), PublishedBase("m"), carried_prompts(asked, StudentSampling()), version=2, objective="sft"
    )
    assert "`question`, `context`" in files[CARD]
    assert carried_prompts(load_task("humor"), StudentSampling())["task"] == "humor"


def test_a_card_is_replaced_and_the_adapter_stays_what_was_committed(student: BuildStudent, tmp_path: Path) -> None:
    ref = commit_adapter(random_adapter(student("llama").model, "causal", seed=1), tmp_path, 1, {})
    assert not (verify_adapter(ref) / CARD).exists(), "PEFT's own names folders"
    before = sorted(path.name for path in verify_adapter(ref).iterdir())
    replace_card(ref, "# new\n")
    assert (verify_adapter(adapter_ref(str(ref.uri))) / CARD).read_text() == "# new\n"
    assert sorted(path.name for path in verify_adapter(ref).iterdir()) == sorted([*before, CARD])
