"""The verb `studio`: the local page."""

import argparse
from pathlib import Path

from groundwork.command_line import Subparsers
from groundwork.console import say
from groundwork.errors import UsageError
from groundwork.options import Changes
from orbit_lite.cli.numbers import not_negative
from orbit_lite.cli.options import add_backbone_and_weights, add_device, add_model_alone, add_workers, processes

INSTALL = "pip install 'orbit-lite[studio]'"
MOST_PORT = 65_535


def add(verbs: Subparsers) -> None:
    """Add the verb to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "studio",
        help="film, teach, check and try a recognizer in this computer's browser",
        description="Open a local page in this computer's browser and print its address. On the page you film "
        "things, teach a recognizer, check it and try it, for one person or a study. All data is in DIR, which has a "
        "folder per participant and in it a folder per thing. Nothing is sent anywhere. Ctrl-C stops the studio.",
    )
    verb.add_argument(
        "folder",
        type=Changes(checked=False),
        nargs="?",
        default=Path("study"),
        metavar="DIR",
        help="the study's folder, created if missing (default: study)",
    )
    verb.add_argument(
        "--port", type=not_negative, metavar="N", help="local port to serve on (default: 8611, or a free one)"
    )
    verb.add_argument("--no-browser", action="store_true", help="do not open the browser")
    add_model_alone(verb)
    add_backbone_and_weights(verb)
    add_workers(verb)
    add_device(verb)
    verb.set_defaults(run=_studio)


def _studio(options: argparse.Namespace) -> None:
    if options.port is not None and options.port > MOST_PORT:
        raise UsageError(f"--port {options.port}: expected 0 to {MOST_PORT}")
    try:
        import jinja2  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(f"the studio needs {error.name}, which is not installed: {INSTALL}") from None
    import webbrowser

    from orbit_lite.models.choice import choose_start
    from orbit_lite.runs.devices import named_device
    from orbit_lite.studio.server import Address, serve
    from orbit_lite.studio.teaching import Teacher

    def ready(address: Address) -> None:
        say(f"Studio of {options.folder}: {address} (Ctrl-C stops it)")
        if not options.no_browser:
            webbrowser.open(str(address))

    device = str(named_device(options.device))
    teacher = Teacher(choose_start(options.model, options.backbone, options.weights), processes(options), device)
    serve(options.folder, port=options.port, teacher=teacher, ready=ready)
