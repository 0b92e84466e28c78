"""Workers are copies of one process with loaded libraries, and not of the test process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.workers.pool import run_in_workers

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each worker is a fresh interpreter")


def answers(*questions):
    return [outcome.value for outcome in run_in_workers(eval, questions, workers=1, time_limit_s=60)]


def test_workers_of_all_runs_are_copies_of_one_process():
    parent = "__import__('os').getppid()"
    first, again, third = *answers(parent, parent), *answers(parent)
    assert first == again == third != os.getpid()


def test_a_worker_has_the_decoders_loaded_and_not_torch():
    code = (
        "from data_prep.workers.pool import run_in_workers\n"
        "question = \"sorted({'av', 'cv2', 'torch'} & set(__import__('sys').modules))\"\n"
        "if __name__ == '__main__':\n"
        "    print(*(found.value for found in run_in_workers(eval, [question], workers=1, time_limit_s=60)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['av', 'cv2']"


def test_a_worker_does_not_run_the_main_script_again(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(  # without `if __name__ == "__main__"`, as users may write
        "from data_prep.workers.pool import run_in_workers\n"
        "print('begun')\n"
        "print(*(found.value for found in run_in_workers(abs, [-1, -2], workers=2, time_limit_s=60)))\n"
        "import __main__\n"
        "print(__main__.__file__ == __file__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() in (["begun", "1", "2", "True"], ["begun", "2", "1", "True"])


def in_a_deep_temporary_folder(folder, code):
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(deep)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_workers_start_where_the_temporary_folder_has_a_long_path(tmp_path):
    code = (
        "import tempfile\n"
        "from multiprocessing import util\n"
        "from data_prep.workers.pool import run_in_workers\n"
        "before = tempfile.gettempdir()\n"
        "print(*(found.value for found in run_in_workers(abs, [-1], workers=1, time_limit_s=60)))\n"
        "print(tempfile.gettempdir() == before, util.get_temp_dir())\n"
    )
    done = in_a_deep_temporary_folder(tmp_path, code)
    answer, same, folder = done.stdout.split()
    assert (answer, same, Path(folder).parent, done.stderr) == ("1", "True", Path("/tmp"), "")
    assert not Path(folder).exists()  # removed at the end


def test_the_temporary_folder_is_blamed_where_no_short_one_can_be_used(tmp_path):
    code = (
        "from data_prep.workers import starting\n"
        "starting.SHORT_FOLDER = '/nowhere'\n"
        "try:\n"
        "    starting.worker_context()\n"
        "except starting.UsageError as error:\n"
        "    print(error)\n"
    )
    said = in_a_deep_temporary_folder(tmp_path, code).stdout
    assert "this temporary folder's path is too long" in said and "set TMPDIR to a folder with a shorter path" in said
