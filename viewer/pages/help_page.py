"""The keys, for those who came by a link; with JavaScript the same list opens above the page."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ..site import AtSite

router = APIRouter()


@router.get("/help")
def help_page(request: Request, site: AtSite) -> Response:
    """What each key does."""
    return site.page(request, "help.html")
