"""Export of transcripts: the forms rows can have, and the kinds of files they can be written to."""

from .forms import FORMS, ExportForm, ExportRow
from .rows import export_rows
from .writing import FILE_KINDS, ExportSummary, FileKind, default_splits, export

__all__ = [
    "FILE_KINDS",
    "FORMS",
    "ExportForm",
    "ExportRow",
    "ExportSummary",
    "FileKind",
    "default_splits",
    "export",
    "export_rows",
]
