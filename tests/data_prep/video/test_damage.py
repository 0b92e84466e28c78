import threading

import av.logging
import pytest

from data_prep.video.damage import is_demuxer_error, is_early_end, tells_of_damage
from data_prep.video.frames import read_frames
from groundwork.errors import DataError

ERROR, WARNING, INFO = av.logging.ERROR, av.logging.WARNING, av.logging.INFO


@pytest.mark.parametrize(
    ("level", "source", "message", "tells"),
    [
        (ERROR, "h264", "error while decoding MB 33 18, bytestream 292", True),
        (INFO, "h264", "concealing 149 DC, 149 AC, 149 MV errors in I frame", True),
        (WARNING, "h264", "deprecated pixel format used, make sure you did set range correctly", False),
        (ERROR, "h264", "mmco: unref short failure", False),
        (ERROR, "aac", "Input buffer exhausted before END element found", False),
        (ERROR, "mov,mp4,m4a,3gp,3g2,mj2", "stream 0, offset 0x7b397: partial file", False),
        (INFO, "h264", "anything else", False),
    ],
)
def test_only_the_videos_own_decoder_reports_damage(level, source, message, tells):
    assert tells_of_damage(level, source, message, "h264") == tells


def test_the_early_end_of_a_matroska_file_is_recognized():
    ended = "File ended prematurely at pos. 12345 (0x3039)"
    assert is_demuxer_error(ERROR, "matroska,webm", ended) and is_early_end(ERROR, "matroska,webm", ended)
    assert not is_demuxer_error(WARNING, "matroska,webm", ended)
    assert not is_demuxer_error(ERROR, "mov,mp4,m4a,3gp,3g2,mj2", ended)
    assert not is_early_end(ERROR, "matroska,webm", "Duplicate element")  # a header may have harmless errors


def test_each_thread_gets_only_the_lines_about_its_own_file(encode_video, tmp_path):
    """libav's log is global to the process: a damaged file must not affect whole files read at the same time."""
    whole = encode_video(tmp_path / "whole.mp4", size=(320, 240), pictures=300, options={"crf": "1"})
    content = bytearray(whole.read_bytes())
    for place in range(len(content) // 5, len(content) * 3 // 5, 41):
        content[place] ^= 16
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(bytes(content))
    found = {}

    def read(key, path):
        try:
            read_frames(path, size_px=64)
            found[key] = "whole"
        except DataError:
            found[key] = "damaged"

    threads = [threading.Thread(target=read, args=(k, damaged if k % 2 else whole)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {k: "damaged" if k % 2 else "whole" for k in range(12)}
