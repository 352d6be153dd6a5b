"""`openmic model`: a run's student as files, and on a hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..options import JsonOption, StoreOption, home_expanded, print_json, read_store
from .chosen import StudentArgument, chosen

if TYPE_CHECKING:
    from ...graph.runs.export_model import Exported

app = typer.Typer(
    help="Hand a student on: its adapter, merged weights or GGUF, as files or on a hub.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Form = Literal["adapter", "merged", "gguf"]
FormOption = Annotated[
    Form, typer.Option("--to", help="The adapter as it is; merged into the base's weights; or that as GGUF.")
]
DTypeOption = Annotated[
    str,
    typer.Option(
        "--dtype",
        metavar="auto|float32|bfloat16|float16|q8_0",
        help="The weights' number format; q8_0 is for GGUF. `auto`: the base's own; GGUF: 16 bits of the nearest kind.",
    ),
]
VerifyOption = Annotated[
    int,
    typer.Option(
        "--verify", min=0, help="Inputs, held-out ones first, on which greedy outputs are compared with the adapter's."
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="Where to compute: auto, cpu, cuda, …")]
ConverterOption = Annotated[
    Path | None,
    typer.Option(
        "--converter",
        callback=home_expanded,
        help="llama.cpp's convert_hf_to_gguf.py, or its folder. Default: the packaged one.",
    ),
]


@app.command()
def export(
    student: StudentArgument,
    target: Annotated[Path, typer.Argument(metavar="DIR", callback=home_expanded, help="The folder; it is made.")],
    to: FormOption,
    dtype: DTypeOption = "auto",
    verify: VerifyOption = 20,
    device: DeviceOption = "auto",
    converter: ConverterOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's student as files that others serve, with its prompts and a model card.

    Merged weights and GGUF are compared with the adapter: greedy outputs on held-out inputs, token by token.

    \b
    Examples:
      openmic model export latest student --to merged
      openmic model export latest:v2 student-gguf --to gguf --dtype q8_0
      openmic model export 01JD8Z adapter --to adapter --json
    """
    from ...graph.runs.export_model import Writing, export_model

    wanted = chosen(student)
    with read_store(store) as reader:
        done = export_model(
            reader,
            reader.resolve_run(wanted.run),
            wanted.version,
            to,
            target,
            Writing(dtype, verify, device, converter),
            tell=_tell,
        )
    if as_json:
        print_json(done.as_json())
        return
    typer.echo(f"{done.form} of run {done.run}, v{done.version}, in {done.path}")
    _say_agreement(done)


def _tell(what: str) -> None:
    typer.echo(f"{what} …", err=True)


def _say_agreement(done: "Exported") -> None:
    typer.echo(str(done.agreement) if done.agreement is not None else f"not compared: {done.unverified}")


@app.command()
def push(
    student: StudentArgument,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="The hub's id for it, OWNER/NAME; made if need be.")],
    to: FormOption = "adapter",
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see it. Default: nobody but you.", show_default=False)
    ] = False,
    dtype: DTypeOption = "auto",
    verify: VerifyOption = 20,
    device: DeviceOption = "auto",
    converter: ConverterOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload a run's student to a hub, with its prompts and a model card.

    The hub is Hugging Face's, or the one that HF_ENDPOINT names. HF_TOKEN, or `hf auth login`, says who you are.

    \b
    Examples:
      openmic model push latest me/humor-student
      openmic model push latest:v2 me/humor-merged --to merged --public
    """
    from ...graph.runs.export_model import Writing
    from ...graph.runs.push_model import push_model

    wanted = chosen(student)
    with read_store(store) as reader:
        done = push_model(
            reader,
            reader.resolve_run(wanted.run),
            wanted.version,
            to,
            repo,
            Writing(dtype, verify, device, converter),
            public=public,
            tell=_tell,
        )
    if as_json:
        print_json(done.as_json())
        return
    typer.echo(f"{done.url}, commit {done.commit}, {'private' if done.private else 'public'}")
    _say_agreement(done.exported)
