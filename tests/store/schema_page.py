"""The part of docs/reference/store.md that is made from the tables; `make reference` writes it anew."""

import ast
from pathlib import Path

from sqlalchemy import Column

from openmic.store.schema import TableModel
from openmic.store.tables import annotation as annotations
from openmic.store.tables import training as lineage
from openmic.store.tables import transcript as tables

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "store.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def schema() -> str:
    """Every table with its columns, and what the code says of them."""
    said = _said()
    parts = []
    for table in sorted(TableModel.metadata.tables.values(), key=lambda table: table.name):
        about, columns = said[table.name]
        lines = [f"### {table.name}", "", about, "", "| column | type | |", "|---|---|---|"]
        lines += [f"| {c.name} | {_type(c)} | {_note(c, columns.get(c.name, ''))} |" for c in table.columns]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def written(page: str) -> str:
    """The page with its tables as they are now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{schema()}\n\n{END}{tail}"


def _type(column: Column[object]) -> str:
    kind = {"varchar": "text", "autostring": "text", "datetime": "time"}.get(
        type(column.type).__name__.lower(), type(column.type).__name__.lower()
    )
    kind = "time" if "datetime" in kind else "text" if kind in {"enum", "string"} else kind
    return f"{kind} or null" if column.nullable else kind


def _note(column: Column[object], said: str) -> str:
    marks = ["key"] if column.primary_key else []
    marks += [f"→ {key.column.table.name}" for key in sorted(column.foreign_keys, key=lambda key: str(key.column))]
    return " ".join([*(f"*{mark}*" for mark in marks), said]).strip()


def _said() -> dict[str, tuple[str, dict[str, str]]]:
    """What the docstrings say: of each table, and of each of its columns."""
    found = {}
    for module in (tables, lineage, annotations):
        for node in ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                fields: dict[str, str] = {}
                for before, after in zip(node.body, node.body[1:], strict=False):
                    if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr):
                        text = ast.literal_eval(after.value)
                        fields[ast.unparse(before.target)] = " ".join(text.replace("|", "\\|").split())
                name = getattr(module, node.name).__tablename__
                found[name] = (" ".join((ast.get_docstring(node) or "").split()), fields)
    return found
