"""A campaign whose critic is a Python function: no model is asked to compare, and `explain` shows the scores.

Run it with `python recipes/python_critic.py`: some minutes on a laptop, no key, no network.
"""

from collections.abc import Sequence

import openmic


def twist(source: str, outputs: Sequence[str]) -> list[float]:
    """Liking for what says all that the input does, and a few words of its own."""
    known = set(source.lower().split())
    said = [set(output.lower().split()) for output in outputs]
    return [len(known & words) / len(known) + min(len(words - known), 8) / 8 for words in said]


run = openmic.run(
    "examples/humor.yaml",
    {"inputs.limit": 160, "dialogue.inputs": 24, "evaluation.test_inputs": 24},
    critic=twist,
    judge=twist,
)
run.show()

# What the last adapter learned from, with the function's scores of both texts.
last = run.versions[-1]["version"]
print(run.explain(last, limit=3))
print("endpoints asked by critic and judge:", {role for role in run.report()["llm"] if role != "teacher"} or "none")
