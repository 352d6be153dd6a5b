"""The transcript store: every turn, verdict and preference, and every adapter that was made of them.

`Store` reads and writes; the tables are plain rows. Texts live here, and nowhere else. Not for resuming a run in the
middle of a step.
"""

from .conversations import Conversation, DialogueLine
from .dialects.engine import check_writable
from .dialects.location import normalize_url, shown_url, without_passwords
from .funnel import funnel
from .overview import failures, overview, told_failures
from .store import Store
from .tables.annotation import Annotation
from .tables.training import Adapter, Evaluation, EvaluationItem, Training, TrainingItem, TrainingMetric
from .tables.transcript import (
    BallotRow,
    CritiqueRow,
    Dialogue,
    ExampleRow,
    ExperimentRow,
    LLMCall,
    Preference,
    PromptRow,
    PromptTemplateRow,
    Run,
    RunExample,
    Turn,
    VerdictRow,
)

__all__ = [
    "Adapter",
    "Annotation",
    "BallotRow",
    "Conversation",
    "CritiqueRow",
    "Dialogue",
    "DialogueLine",
    "Evaluation",
    "EvaluationItem",
    "ExampleRow",
    "ExperimentRow",
    "LLMCall",
    "Preference",
    "PromptRow",
    "PromptTemplateRow",
    "Run",
    "RunExample",
    "Store",
    "Training",
    "TrainingItem",
    "TrainingMetric",
    "Turn",
    "VerdictRow",
    "check_writable",
    "failures",
    "funnel",
    "normalize_url",
    "overview",
    "shown_url",
    "told_failures",
    "without_passwords",
]
