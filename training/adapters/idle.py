"""An adapter that changes nothing: to try with whether one is taken, and to stand for none."""

from pathlib import Path

from ...core.records import AdapterRef
from ...core.student_settings import StudentSettings
from ...core.training_settings import LoRASettings
from ..student.published import published_base
from .adapters import commit_adapter
from .lora import adapted
from .trial import try_student


def idle_adapter(settings: StudentSettings, lora: LoRASettings, folder: Path) -> AdapterRef:
    """An adapter of zeros, made around a student without weights.

    Args:
        settings: The student's.
        lora: Its shape.
        folder: Where adapters are kept; it is version 1 there.

    Raises:
        StudentError: as `try_student`; ConfigError likewise.
    """
    import torch

    model = adapted(try_student(settings, lora), lora, seed=0)
    for name, parameter in list(model.named_parameters()):
        if parameter.requires_grad:
            place, _, leaf = name.rpartition(".")
            zeros = torch.zeros(parameter.shape, dtype=torch.float32, device="cpu")
            setattr(model.get_submodule(place), leaf, torch.nn.Parameter(zeros))
    return commit_adapter(model, folder, 1, {"parent": 0}, base=published_base(settings))
