"""A campaign whose teacher is a file of demonstrations, which also holds the references of the evaluation.

Run it with `python recipes/demonstrations_from_file.py [FILE]`, its lines {"input": …, "output": …}.
"""

import sys
from pathlib import Path

import openmic

path = Path(sys.argv[1] if len(sys.argv) > 1 else "examples/demonstrations/humor.jsonl")

run = openmic.run(
    "examples/humor.yaml",
    {
        "inputs.path": str(path),  # the inputs are those that are demonstrated
        "inputs.limit": 96,
        "dialogue.inputs": 24,
        "evaluation.dev_inputs": 8,
        "evaluation.test_inputs": 24,
    },
    teacher=path,
)
run.show()

[first, *_] = [held for held in run if held.drafts]
print(first)
print("asked of a teacher's endpoint:", run.report()["llm"].get("teacher", "nothing"))
