"""Best-of-k: of eight answers a trained student gives, a scorer chooses one, and it is measured what that gains.

Run it with `python recipes/best_of_k.py`: minutes on a laptop. It trains on eight pairs, without a run or a store.
"""

from collections.abc import Sequence
from tempfile import mkdtemp

import openmic

PAIRS = [  # a prompt, the answer that is wanted, and one that is not
    ("Say it briefly: The train was late because of snow.", "Snow held up the train.", "The train was late, as snow…"),
    ("Say it briefly: We had no milk left for the tea.", "No milk for tea.", "There was no milk left for us to have."),
    ("Say it briefly: The shop closes at six in winter.", "It shuts at six.", "In winter, the shop closes at six."),
    ("Say it briefly: He forgot to lock the back door.", "He left it unlocked.", "He forgot that he should lock it."),
    ("Say it briefly: The lift is out of order again.", "The lift broke again.", "The lift, once more, does not work."),
    ("Say it briefly: She sold her old bike to a friend.", "A friend has her bike.", "She sold the old bike she had."),
    ("Say it briefly: The soup needs a little more salt.", "It lacks salt.", "A little more salt is what it needs."),
    ("Say it briefly: Our neighbours are moving to Spain.", "They go to Spain.", "Our neighbours are now moving away."),
]


def brevity(source: str, outputs: Sequence[str]) -> list[float]:
    """Share of the sentence's longer words that are kept, less its length: brevity alone would choose one word."""
    words = {word.strip(".,:").lower() for word in source.rsplit(": ", maxsplit=1)[-1].split() if len(word) > 4}
    kept = [sum(word in output.lower() for word in words) / len(words) for output in outputs]
    return [share - len(output) / len(source) for share, output in zip(kept, outputs, strict=True)]


trained = openmic.train(PAIRS, objective="simpo", output=mkdtemp(), settings={"epochs": 2})
print(f"trained on {trained.metrics.examples} pairs: {trained.path}")

prompt = "Say it briefly: The dentist told me that I should floss every day."
with openmic.load_student("smollm2-135m-instruct", trained.path) as student:
    answers = student(prompt, n=8, temperature=1.0)
best = openmic.best_of(brevity, prompt, answers)
for answer in answers:
    print("→" if answer == best else " ", answer)
print("mean score", sum(brevity(prompt, answers)) / len(answers), "and of the best", brevity(prompt, [best])[0])
