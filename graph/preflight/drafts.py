"""Whether the student's drafts can be learned from by what the teacher thinks of each of their tokens.

A log-probability of a token says something to the student only where it is of the same token. Names of models tell
little of that, so the teacher's endpoint is given the student's tokens by their ids, and says what it takes them for.
"""

from ...agents.endpoints.check import scored_tokens
from ...agents.endpoints.reading import spelled
from ...core.config import RunConfig
from ...core.errors import ConfigError
from ...training.student.student import inspect_student, load_tokenizer

OF_THE_VOCABULARY = 64
"""Tokens from all over the student's vocabulary that are looked at, besides those of `TEXT`."""
TEXT = "Two umbrellas, 17 kettles & a café: naïve? Straße, водка, 日本語, 한국어, العربية, हिन्दी 🙂\n\tdef f(x)"
_NO_TEXT = "\ufffd"
"""What stands for bytes that are no text by themselves; servers write such tokens each in its own way."""
_OTHERWISE = "or take another training.objective"


def refuse_drafts(config: RunConfig) -> list[str]:
    """Refuse a run that cannot learn from drafts, by its configuration alone.

    Returns:
        What to know, a line each; nothing where the objective does not learn from drafts.

    Raises:
        ConfigError: nobody can score the drafts' tokens, or the drafts are no samples.
        StudentError: there is no such student.
    """
    if not config.training.from_drafts:
        return []
    objective, teacher, sampling = config.training.objective, config.cast.teacher, config.student.sampling
    needs = f"training.objective={objective} has the teacher's endpoint score the student's tokens"
    if teacher.simulated:
        raise ConfigError(
            f"{needs}, and the simulated teacher is no language model: set cast.teacher.model and "
            f"cast.teacher.base_url to a model with the student's tokenizer, {_OTHERWISE}"
        )
    if not teacher.asked:
        raise ConfigError(
            f"{needs}, and cast.teacher is no endpoint: set cast.teacher.model and cast.teacher.base_url, {_OTHERWISE}"
        )
    if inspect_student(config.student).kind != "causal":
        raise ConfigError(
            f"{needs}, and student.model {config.student.model!r} is a sequence-to-sequence model, whose drafts a "
            f"causal teacher cannot go on from: take a causal student, {_OTHERWISE}"
        )
    if sampling.num_beams > 1 or sampling.temperature == 0:
        raise ConfigError(
            f"training.objective={objective} learns from samples, and student.sampling searches for the likeliest "
            f"text: set student.sampling.num_beams to 1 and student.sampling.temperature to 1, {_OTHERWISE}"
        )
    if (sampling.temperature, sampling.top_p) == (1.0, 1.0):
        return []
    return [
        f"training.objective={objective} takes drafts to be samples of the student as it is, and they are sampled with "
        f"temperature {sampling.temperature:g} and top_p {sampling.top_p:g}; set both to 1 (student.sampling) for an "
        "unbiased gradient"
    ]


def check_teacher_tokens(config: RunConfig, *, ask: bool = True) -> list[str]:
    """Try whether the teacher's endpoint scores the student's tokens, and takes them for what they are.

    Returns:
        What to know, a line each; nothing where the objective does not learn from drafts, or nobody is to be asked.

    Raises:
        EndpointSetupError: it does not score prompts of token ids.
        ConfigError: its tokens are not the student's.
        StudentError: the student's tokenizer does not load.
    """
    if not (ask and config.training.from_drafts):
        return []
    tokenizer = load_tokenizer(config.student)
    special = set(tokenizer.all_special_ids)
    step = max(1, len(tokenizer) // OF_THE_VOCABULARY)
    ids = [*tokenizer(TEXT, add_special_tokens=False)["input_ids"], *range(0, len(tokenizer), step)]
    ids = [token for token in ids if token not in special]
    teacher = config.cast.teacher
    found = scored_tokens("teacher", teacher, ids)
    if found is None:
        return ["whether the teacher's tokens are the student's was not seen, as its endpoint is busy"]
    texts = [(_text(tokenizer.decode([token])), _text(said)) for token, said in zip(ids, found, strict=False)]
    texts = [(own, other) for own, other in texts if own and other]
    wrong = next(((own, other) for own, other in texts if own != other), None)
    if len(found) == len(ids) and wrong is None and texts:
        return []
    told = "" if wrong is None else f", such as {wrong[1]!r} for {wrong[0]!r}"
    raise ConfigError(
        f"cast.teacher: the tokens of {teacher.model!r} are not those of the student {config.student.model!r}{told}; "
        f"on-policy distillation needs one tokenizer for both: take a teacher of the student's family, {_OTHERWISE}"
    )


def _text(token: str) -> str:
    """What a token says, by whichever server; empty where that is no text."""
    said = spelled(token).strip()
    return "" if _NO_TEXT in said or said.startswith("bytes:") else said
