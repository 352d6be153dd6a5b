"""Files with the columns of SemEval-2020 Task 7 and made-up headlines, for the recipe that reads them."""

import csv
from pathlib import Path

WORDS = ("walrus", "cheese", "budget", "moon", "aunt")
SINGLE = ("id", "original", "edit", "grades", "meanGrade")
PAIRED = ("id", "original1", "edit1", "grades1", "meanGrade1", "original2", "edit2", "grades2", "meanGrade2", "label")


def write_graded(folder: Path, headlines: int = 48) -> None:
    """The three files: of each headline two edits, the stranger word graded higher."""
    folder.mkdir()
    single, paired = list[tuple[object, ...]](), list[tuple[object, ...]]()
    for number in range(headlines):
        original = f"Mayor number {number} opens a new <bridge/> over the river"
        first, second = WORDS[number % 5], WORDS[(number + 1) % 5]
        grades = ((number % 5) / 2, ((number + 1) % 5) / 2)
        for place, word in enumerate((first, second)):
            single.append((f"{number}-{place}", original, word, "10000", grades[place]))
        label = 0 if grades[0] == grades[1] else 1 if grades[0] > grades[1] else 2
        paired.append((number, original, first, "1", grades[0], original, second, "1", grades[1], label))
    for name, columns, rows in (
        ("task-1-train.csv", SINGLE, single),
        ("task-1-dev.csv", SINGLE, single),
        ("task-2-test_with_label.csv", PAIRED, paired),
    ):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
