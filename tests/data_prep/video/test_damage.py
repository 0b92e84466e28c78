import threading

import av.logging
import pytest

from data_prep.video.damage import breaks_off, demuxer_stumbles, tells_of_damage
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
def test_only_the_videos_own_decoder_tells_of_damage(level, source, message, tells):
    assert tells_of_damage(level, source, message, "h264") == tells


def test_a_matroska_that_breaks_off_is_told():
    ended = "File ended prematurely at pos. 12345 (0x3039)"
    assert demuxer_stumbles(ERROR, "matroska,webm", ended) and breaks_off(ERROR, "matroska,webm", ended)
    assert not demuxer_stumbles(WARNING, "matroska,webm", ended)
    assert not demuxer_stumbles(ERROR, "mov,mp4,m4a,3gp,3g2,mj2", ended)
    assert not breaks_off(ERROR, "matroska,webm", "Duplicate element")  # a head may be careless


def test_threads_hear_of_their_own_file_alone(encode_video, tmp_path):
    """libav's log is one for the process: a damaged file read beside whole ones must not spoil them."""
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
