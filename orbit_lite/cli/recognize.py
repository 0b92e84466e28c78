"""The verb `recognize`: its options, and checks for those that contradict each other."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import Subparsers
from groundwork.console import say, say_text
from groundwork.errors import UsageError
from groundwork.options import Reads, Writes
from groundwork.targets import STDOUT, target
from orbit_lite.cli.numbers import frame_rate, seconds
from orbit_lite.cli.options import add_device, add_engine, add_strictness

if TYPE_CHECKING:
    from orbit_lite.personal.answering.recognize import AnswerListener

STDIN = 0  # file descriptor
DEFAULT_FPS = 30.0


def add(verbs: Subparsers) -> None:
    """Add the verb to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "recognize",
        help="recognize objects in videos, photos or a camera's picture with a personal recognizer",
        description="Recognize objects with a personal recognizer. A VIDEO is a video file, a photo, or a folder of "
        "frames as in a frame tree (30 frames per second). Other folders and packed users (.zip) are searched for "
        "videos at any depth. The answer for a frame depends only on that frame and earlier ones.",
    )
    verb.add_argument(
        "--model",
        type=Reads(),
        required=True,
        metavar="FILE",
        help="a personal recognizer, from 'orbit-lite personalize'",
    )
    verb.add_argument(
        "videos", type=Reads(TREE_FILES), nargs="*", metavar="VIDEO", help="one or more videos, photos or folders"
    )
    verb.add_argument(
        "--camera", type=_camera_number, metavar="N", help="read camera number N instead of videos; 0 is the first"
    )
    verb.add_argument(
        "--stdin",
        type=_frame_size,
        metavar="WIDTHxHEIGHT",
        help="read raw rgb24 frames of this size from standard input instead of videos",
    )
    verb.add_argument(
        "--live", action="store_true", help="with --stdin: skip frames to keep up, instead of delaying answers"
    )
    verb.add_argument(
        "--fps", type=frame_rate, help="frames per second to look at, or the rate of --stdin (default: 30)"
    )
    verb.add_argument(
        "--smooth",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="average over about this many seconds of earlier frames (default: 0, off)",
    )
    verb.add_argument("--csv", type=Writes("answers.csv"), metavar="OUT", help="also write one row per frame")
    verb.add_argument(
        "--json",
        type=Writes("answers.json"),
        metavar="OUT",
        help="also write each video's answer, and where the recognizer came from",
    )
    verb.add_argument(
        "--annotated",
        type=Writes("OUT.mp4", binary=True),
        metavar="OUT.mp4",
        help="also write a copy of the video with captions; takes one VIDEO",
    )
    verb.add_argument(
        "--speak",
        action="store_true",
        help="for speech output: print only a line when the recognized object changes, and each video's name if there "
        "are several",
    )
    add_strictness(verb, default="the personal recognizer's own")
    add_device(verb)
    add_engine(verb)
    verb.set_defaults(run=_recognize, of_participants=True)


def _recognize(options: argparse.Namespace) -> None:
    _require_sense(options)
    from orbit_lite.personal.answering.live import recognize_stream, warm_up
    from orbit_lite.personal.answering.recognize import Outputs, VideoOptions, recognize
    from orbit_lite.personal.answering.report import describe_model
    from orbit_lite.personal.answering.streams import Camera, RawFrames
    from orbit_lite.personal.file import load_personal
    from orbit_lite.runs.devices import named_device

    outputs = Outputs(options.csv, options.json, options.annotated)
    fps = options.fps or DEFAULT_FPS
    personal = load_personal(options.model, device=named_device(options.device))
    if options.strictness is not None:
        personal = personal.with_strictness(options.strictness)
    model = describe_model(options.model, personal)
    if options.videos:
        listener = _listener(speak=options.speak, stream=False)
        video_options = VideoOptions(fps, options.smooth)
        recognize(
            personal,
            options.videos,
            video_options=video_options,
            outputs=outputs,
            listener=listener,
            model=model,
            engine=options.engine,
        )
        if options.annotated:
            say(f"annotated copy written: {options.annotated}", to=sys.stderr if options.speak else sys.stdout)
        return
    warm_up(personal, engine=options.engine)
    camera = options.camera is not None
    source = Camera(options.camera) if camera else RawFrames(STDIN, *options.stdin, fps=fps)
    live = camera or options.live
    listener = _listener(speak=options.speak, stream=True)
    recognize_stream(
        personal, source, live=live, outputs=outputs, listener=listener, smooth_s=options.smooth, model=model
    )


def _listener(*, speak: bool, stream: bool) -> "AnswerListener":
    """Prints answers as they come. Standard output is reserved for spoken lines and for a stream's lines."""
    from orbit_lite.personal.answering.answers import FrameAnswer, VideoAnswer
    from orbit_lite.personal.answering.recognize import AnswerListener
    from orbit_lite.personal.answering.report import answer_text, frame_text
    from orbit_lite.personal.answering.summary import AnswersSummary, summary_text

    summaries = sys.stderr if speak or stream else sys.stdout

    def began(name: str) -> None:
        if speak:
            say(Path(name).name)  # short: it is read aloud

    def answered(name: str, answer: VideoAnswer) -> None:
        say_text(answer_text(name, answer), to=summaries)

    def changed(answer: FrameAnswer, line: str) -> None:
        if speak or stream:
            say(line if speak else frame_text(answer))

    def summarized(summary: AnswersSummary) -> None:
        say_text(f"\n{summary_text(summary)}", to=summaries)

    return AnswerListener(began=began, answered=answered, changed=changed, summarized=summarized)


def _require_sense(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other, before anything is loaded."""
    streams = [name for name in ("camera", "stdin") if getattr(options, name) is not None]
    given = [*(["VIDEO"] if options.videos else []), *(f"--{name}" for name in streams)]
    if len(given) != 1:
        raise UsageError(f"expected one of VIDEO, --camera or --stdin, got {' and '.join(given) or 'none'}")
    if options.live and not options.stdin:
        raise UsageError("--live can be used only with --stdin; a camera is always live, and a video never is")
    if options.fps and options.camera is not None:
        raise UsageError("--fps can't be used with --camera, which sets its own rate")
    if options.annotated and (streams or len(options.videos) > 1):
        raise UsageError("--annotated copies one video; give one VIDEO")
    if options.annotated and options.annotated.suffix.lower() != ".mp4" and not target(options.annotated).stream:
        raise UsageError(f"--annotated {options.annotated}: the copy is an MP4 file; give a name that ends in .mp4")
    if options.stdin and os.isatty(STDIN):
        raise UsageError(
            "--stdin: no data is piped in; use 'ffmpeg ... -f rawvideo -pix_fmt rgb24 - | orbit-lite recognize ...'"
        )
    if options.speak and STDOUT in (options.csv, options.json, options.annotated):
        raise UsageError("--speak needs standard output for the spoken lines; write the other outputs to files")


def _camera_number(text: str) -> int:
    if not text.isdecimal() or len(text) > 3:
        raise argparse.ArgumentTypeError(f"expected a camera number from 0 to 999, got {text!r}")
    return int(text)


def _frame_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, such as 640x480, got {text!r}")
    return int(width), int(height)
