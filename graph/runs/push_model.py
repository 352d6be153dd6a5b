"""A run's student on a hub: exported into a folder of its own, and uploaded with its card."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...core.endpoints.secrets import beginning, keep_secret
from ...core.errors import ConfigError, EndpointSetupError
from ...store import Run, Store
from ...training.adapters.adapters import CARD
from ...training.adapters.card import CardForm
from ...training.student.hub import prepare_hub
from .export_model import Exported, Writing, adapter_of, export_model

_SAID = "openmic: run "
"""What the commits of pushes begin with."""
_FILES = "Files: "
"""What stands before the list of all that a push wrote, in its commit's description."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What lies on the hub now."""

    url: str
    commit: str
    private: bool
    removed: Sequence[str]
    """Files that the last push had written, and this one not."""
    exported: Exported

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for JSON; the folder it was uploaded from is gone."""
        found = {name: value for name, value in self.exported.as_json().items() if name != "path"}
        said = {"url": self.url, "commit": self.commit, "private": self.private, "removed": list(self.removed)}
        return {**said, **found}


def push_model(
    store: Store,
    run: Run,
    version: int | str,
    form: CardForm,
    repo: str,
    writing: Writing,
    *,
    public: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Pushed:
    """Export a version of a run's student and upload it, in place of what the last push wrote.

    Files that came there otherwise stay as they are.

    Args:
        store: Open.
        run: The run.
        version: As for `export_model`.
        form: As for `export_model`.
        repo: The hub's id for it, OWNER/NAME; it is made where it is not there.
        writing: How its files are written.
        public: Whether everybody may see it. A repository that is public already is refused without.
        tell: Told what is being done.

    Raises:
        ConfigError: the id is none, the repository is public and that is not wanted, or as for `export_model`.
        EndpointSetupError: the hub cannot be reached, or does not let this be written.
        NotFoundError: there is no such adapter.
        AdapterError: it is not what was committed.
        StudentError: as for `export_model`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    adapter_of(store, run, version)
    if (trouble := prepare_hub(repo)) and not Path(repo).is_dir():
        raise EndpointSetupError(trouble.partition(", and the model is not in")[0].partition("; and the model")[0])
    api = HfApi()
    with _told(repo):
        api.whoami()
        is_there = api.repo_exists(repo)
        is_private = bool(api.model_info(repo).private) if is_there else not public
    if not is_private and not public:
        raise ConfigError(
            f"{repo} is there already and public; give --public to have everybody see this, or another name"
        )
    with TemporaryDirectory(prefix="openmic-push-") as scratch:
        folder = Path(scratch, "model")
        done = export_model(store, run, version, form, folder, writing, place=repo, tell=tell)
        tell(f"uploading to {repo}")
        with _told(repo), nullcontext() if sys.stderr.isatty() else disable_progress_bars():
            url = api.create_repo(repo, private=not public, exist_ok=True)
            written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            removed = sorted(_left_there(api, repo) - set(written)) if is_there else []
            if removed:
                tell(f"removing what the last push wrote, and this one does not: {', '.join(removed)}")
            commit = api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                commit_message=f"{_SAID}{done.run}, v{done.version}, {done.form}",
                commit_description=_FILES + json.dumps(written),
                delete_patterns=[escape(name) for name in removed],
            )
    return Pushed(str(url), commit.oid, is_private, removed, done)


def _left_there(api: Any, repo: str) -> set[str]:
    """The files that the last push wrote, and that are still there. The card is the repository's own by now."""
    pushes = (commit.message for commit in api.list_repo_commits(repo) if commit.title.startswith(_SAID))
    listed = next((line for line in next(pushes, "").splitlines() if line.startswith(_FILES)), "")
    try:
        wrote = set(map(str, json.loads(listed.removeprefix(_FILES) or "[]")))
    except (ValueError, TypeError):  # somebody wrote a commit like ours
        return set()
    return (wrote - {CARD}) & set(api.list_repo_files(repo))


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """What the hub, or its library, refuses becomes an error that says how to mend it."""
    import httpx2
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    keep_secret(get_token() or "")

    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"{repo!r} is no hub id: {error}; give one such as OWNER/NAME") from None
    except LocalTokenNotFoundError:
        raise EndpointSetupError("the hub wants a token: set HF_TOKEN, or sign in with `hf auth login`") from None
    except OfflineModeIsEnabled:
        raise EndpointSetupError("HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = (
            "; does the token in HF_TOKEN, or of `hf auth login`, let you write there?" if status in {401, 403} else ""
        )
        raise EndpointSetupError(f"the hub refuses {repo} (HTTP {status}): {_line(error)}{hint}") from error
    except RuntimeError as error:  # as the library tells that one file of several did not get there
        raise EndpointSetupError(
            f"{repo}: {_line(error)} ({_line(error.__cause__ or error)}); push it again"
        ) from error
    except (httpx2.HTTPError, OSError) as error:
        raise EndpointSetupError(f"the hub could not be asked about {repo}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return beginning((str(error).strip() or type(error).__name__).splitlines()[0], 300)
