"""Taking transcripts away: the dialogues that a filter asks for, in the forms that others read."""

from shutil import make_archive
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from ...core.files.scratch import scratch_folder
from ...core.records import Split
from ...store.export import FILE_KINDS, FORMS, ExportForm, FileKind, export
from ..query import asked
from ..site import AtSite

WHAT: dict[ExportForm, str] = {
    "preference": "preferences: prompt, chosen, rejected",
    "sft": "texts to imitate",
    "kto": "single texts, each good or bad",
    "transcript": "full transcripts: a row for each turn",
}
assert tuple(WHAT) == FORMS

router = APIRouter()


@router.get("/runs/{run}/export")
def choose(request: Request, site: AtSite, run: str) -> Response:
    """What can be taken."""
    return site.page(
        request,
        "export.html",
        run=site.run(run),
        asked=asked(request.query_params),
        forms=WHAT,
        kinds=FILE_KINDS,
        splits=list(Split),
    )


@router.get("/runs/{run}/export/download")
def download(
    request: Request,
    site: AtSite,
    run: str,
    form: ExportForm = "preference",
    to: FileKind = "jsonl",
    split: Annotated[list[Split] | None, Query()] = None,
    trained: bool = False,
) -> Response:
    """A zip of what `openmic transcripts export` writes into a folder: a file for each split, and the data card."""
    found = site.run(run)
    wanted = asked(request.query_params).filter
    kept = scratch_folder("export")
    folder = kept.__enter__()
    try:
        name = f"{found.id[:12]}-{form}"
        export(site.store, found, folder / name, form, to, wanted=wanted, splits=split, trained=trained)
        archive = make_archive(str(folder / name), "zip", root_dir=folder, base_dir=name)
    except BaseException:
        kept.__exit__(None, None, None)
        raise
    return FileResponse(
        archive,
        filename=f"openmic-{name}.zip",
        media_type="application/zip",
        background=BackgroundTask(kept.__exit__, None, None, None),
    )
