"""All steps in a real browser, with a camera that plays a synthetic video: film, teach, try live, listen, delete."""

import base64
import re
import shutil
from pathlib import Path

import pytest

from orbit_lite.studio.routes import thing as thing_page
from orbit_lite.studio.teaching import Teacher
from tests.orbit_lite.studio.browsing import PATIENCE_MS, browser, everywhere, make_camera, opened


@pytest.fixture(scope="module")
def cameras(filmed, tmp_path_factory) -> list[Path]:
    """The camera's videos of two things."""
    folder = tmp_path_factory.mktemp("cameras")
    things = sorted(filmed.iterdir())[:2]
    videos = [sorted((thing / "clean").iterdir())[0] for thing in things]
    return [make_camera(video, folder / f"{number}.mjpeg") for number, video in enumerate(videos)]


@pytest.fixture(scope="module")
def client(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("browser") / "study"
    with serve(root, teacher=Teacher(workers=1)) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(thing_page, "FILM_SECONDS", (1,))
        patch.setattr(thing_page, "COUNTDOWN_SECONDS", 1)
        yield client.let_in()


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def film(page, thing, *, times):
    """Add a thing and film it with the camera; no state of the page breaks an accessibility rule."""
    page.get_by_label("What is it?").fill(thing)
    button(page, "Add thing").click()
    page.wait_for_selector(f"h1:text-is('{thing}')")
    button(page, "Turn the camera on").click()
    page.wait_for_selector("#film-state:has-text('The camera is on')")
    assert page.evaluate("document.activeElement.id") == "film-start"
    for number in range(times):
        button(page, "Film").click()
        page.wait_for_selector("#film-state:has-text('Added.')")
        page.wait_for_selector(f".videos li:nth-child({number + 1})")
    page.get_by_role("link", name="Back to P01").click()


def test_film_teach_try_live_and_delete(client, cameras):
    with browser(camera=cameras[0]) as running:
        page = opened(running, client)
        page.get_by_label("Name or number").fill("P01")
        button(page, "Add participant").click()
        film(page, "mug", times=2)
        assert re.search(r"2 videos\.", page.inner_text("main"))
    with browser(camera=cameras[1]) as running:
        page = opened(running, client)
        page.get_by_role("link", name="P01").click()
        page.get_by_label("What is it?").wait_for()
        film(page, "keys", times=2)
        filmed = sorted(path.relative_to(client.root).as_posix() for path in client.root.rglob("filmed*"))
        assert len(filmed) == 4 and all("/clean/filmed" in name for name in filmed)

        button(page, "Teach the recognizer").click()
        page.wait_for_selector("#teach-form button[aria-disabled]")
        # what a screen reader reads first on a page; both in one call, as teaching goes on between two
        assert page.evaluate("document.title.startsWith(document.getElementById('teach-state').textContent)")
        everywhere(page)
        page.evaluate("window.same = true")
        page.wait_for_selector("#teach-state:has-text('Done.')")
        assert page.evaluate("window.same")  # no new page, which would interrupt announcements
        page.wait_for_selector("#taught h2:text-is('Check')")
        assert button(page, "Teach the recognizer").get_attribute("aria-disabled") is None
        everywhere(page)

        page.get_by_role("link", name="Try the recognizer of P01").click()
        page.get_by_label("Speak the answers").check()
        page.get_by_label("Careful or eager").fill("49")  # names a thing whenever possible
        button(page, "Start").click()
        page.wait_for_selector("#live-said:has-text('keys')")
        page.wait_for_selector("#live-answer:has-text('keys')")
        assert page.inner_text("#live-sure") in ("Sure", "Not sure")
        assert any("keys" in line for line in page.evaluate("window.spoken"))
        page.wait_for_selector("#live-speed:has-text('milliseconds')")
        everywhere(page)

        # the threshold changes at once: at the careful end, the thing is no longer familiar enough, or the answer stays
        slider = page.get_by_label("Careful or eager")
        slider.focus()
        page.keyboard.press("Home")
        assert "50 percent" in slider.get_attribute("aria-valuetext")
        button(page, "Stop").click()
        assert page.inner_text("#live-said") == "Stopped."
        assert page.evaluate("document.activeElement.id") == "live-start"

        page.get_by_role("link", name="P01").click()
        page.get_by_role("link", name="Delete P01").click()
        everywhere(page)
        button(page, "Delete everything listed").click()
        page.wait_for_selector("text=Deleted.")
        everywhere(page)
        assert list(client.root.iterdir()) == []
        assert page.faults == [] and page.asked <= {f"127.0.0.1:{client.address.port}", "data"}


def test_the_countdown_is_text_and_voice_and_can_be_silent(client, cameras):
    client.form("participants", name="P02")
    client.form("p", "P02", "things", name="cup")
    with browser(camera=cameras[0]) as running:
        page = opened(running, client)
        page.goto(f"{page.base}/p/P02/t/cup")
        everywhere(page)
        button(page, "Turn the camera on").click()
        page.wait_for_selector("#film-start:not([hidden])")
        everywhere(page)
        page.get_by_label("Among other things, for testing").first.check()
        button(page, "Film").click()
        page.wait_for_selector("#film-count:has-text('seconds left')")
        assert button(page, "Stop and keep").is_visible() and button(page, "Turn the camera off").is_hidden()
        page.wait_for_selector("#film-state:has-text('Added.')")
        spoken = page.evaluate("window.spoken")
        assert "Filming starts in 1" in spoken and "Filming. Turn the thing slowly." in spoken
        assert len(list((client.root / "P02/cup/clutter").iterdir())) == 1
        page.get_by_label("Count down aloud").uncheck()
        button(page, "Film").click()
        page.wait_for_selector("#film-count:has-text('seconds left')")
        page.wait_for_selector("#film-state:has-text('Added.')")
        assert page.evaluate("window.spoken") == spoken
        page.evaluate("document.querySelector('#film-seconds option').value = '600'")
        button(page, "Film").click()
        page.wait_for_selector("#film-stop:not([hidden])")
        everywhere(page)  # while it films
        button(page, "Stop and keep").click()
        page.wait_for_selector("#film-state:has-text('Added.')")
        page.reload()
        assert not page.get_by_label("Count down aloud").is_checked()  # the choice is remembered
        assert page.faults == []


@pytest.mark.parametrize("why", ["refused", "absent", "no recorder"])
def test_without_a_camera_the_page_says_what_to_do(client, cameras, why):
    client.form("participants", name="P03")
    client.form("p", "P03", "things", name="cup")
    camera = None if why == "absent" else cameras[0]
    expected = {
        "refused": "does not allow this page",
        "absent": "No camera was found",
        "no recorder": "can't film from a page",
    }
    with browser(camera=camera, allowed=why != "refused") as running:
        page = opened(running, client)
        if why == "no recorder":
            page.add_init_script("delete window.MediaRecorder")
        page.goto(f"{page.base}/p/P03/t/cup")
        button(page, "Turn the camera on").click()
        page.wait_for_selector(f'#film-fault[role=alert]:has-text("{expected[why]}")')
        everywhere(page)
        assert page.get_by_label("Videos or photos", exact=True).is_enabled() and page.faults == []


def test_files_by_picker_and_by_drop(client, filmed, cameras):
    video = sorted((sorted(filmed.iterdir())[0] / "clean").iterdir())[0]
    client.form("participants", name="P04")
    client.form("p", "P04", "things", name="cup")
    folder = client.root / "P04/cup/clean"
    with browser() as running:
        page = opened(running, client)
        page.goto(f"{page.base}/p/P04/t/cup")
        page.get_by_label("Videos or photos", exact=True).set_input_files(
            [
                {"name": video.name, "mimeType": "video/mp4", "buffer": video.read_bytes()},
                {"name": "x.mp4", "mimeType": "video/mp4", "buffer": b"no video"},
            ]
        )
        button(page, "Add").click()
        page.wait_for_selector("#upload-state:has-text('Some files were not added')")
        lines = page.locator("#upload-results li").all_inner_texts()
        assert "added." in lines[0] and lines[1].startswith("x.mp4: not added.")
        everywhere(page)
        page.evaluate(
            """content => { const files = new DataTransfer();
            files.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], "dropped.mp4"));
            document.querySelector("h1").dispatchEvent(
              new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true})); }""",
            base64.b64encode(video.read_bytes()).decode(),
        )
        page.wait_for_selector("#upload-state:has-text('dropped.mp4: added.')")
        assert sorted(path.name for path in folder.iterdir()) == sorted([video.name, "dropped.mp4"])
        page.get_by_role("link", name="Show a picture of each video").click()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("[...document.images].map(image => image.naturalWidth)") == [224, 224]
        everywhere(page)
        page.evaluate("""() => { for (const name of ["first.mp4", "second.mp4"]) {
            const files = new DataTransfer();
            files.items.add(new File(["no video"], name));
            document.dispatchEvent(new DragEvent("drop", {dataTransfer: files, cancelable: true})); } }""")
        page.wait_for_selector(
            "#upload-state:has-text('Some files were not added')"
        )  # the second one waits for the first
        assert [line[:10] for line in page.locator("#upload-results li").all_inner_texts()] == [
            "first.mp4:",
            "second.mp4",
        ]
        page.evaluate("document.getElementById('upload-form').dataset.most = '10'")
        page.get_by_label("Videos or photos", exact=True).set_input_files(str(video))
        button(page, "Add").click()
        page.wait_for_selector("#upload-state:has-text('the limit for one file')")
        assert len(list(folder.iterdir())) == 2 and page.faults == []


def test_without_scripts_everything_but_the_camera_works(client, taught_study, filmed):
    shutil.copytree(taught_study / "P01", client.root / "P05")
    (client.root / "P05/results/P01.safetensors").rename(client.root / "P05/results/P05.safetensors")
    video = sorted((sorted(filmed.iterdir())[0] / "clutter").iterdir())[0]
    with browser() as running:
        page = opened(running, client, java_script_enabled=False)
        page.goto(f"{page.base}/p/P05/try")
        assert "needs JavaScript" in page.inner_text("main") and not page.is_visible("#live-panel")
        page.get_by_label("Videos or photos to try").set_input_files(str(video))
        button(page, "What is it?").click()
        page.wait_for_selector(f".notice:has-text('{video.name}:')")
        page.get_by_role("link", name="P05").click()
        button(page, "Add thing").click()  # an empty field: the browser reports it
        page.get_by_label("What is it?").fill("..")
        button(page, "Add thing").click()
        assert page.locator("#name").get_attribute("aria-describedby") == "name-error name-hint"
        assert "dot" in page.inner_text("#name-error")


def on_another_page(page, address):
    """A second page of the same browser window."""
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(f"{page.base}{address}")
    return other


def test_when_the_studio_stops_each_page_says_so_and_keeps_the_video(
    serve, taught_study, cameras, tmp_path, monkeypatch
):
    monkeypatch.setattr(thing_page, "FILM_SECONDS", (1,))
    monkeypatch.setattr(thing_page, "COUNTDOWN_SECONDS", 0)
    root = tmp_path / "study"
    shutil.copytree(taught_study, root)
    (root / "P02/cup").mkdir(parents=True)
    with browser(camera=cameras[0]) as running:
        with serve(root) as client:
            page = opened(running, client)
            page.goto(f"{page.base}/p/P01/try")
            button(page, "Start").click()
            page.wait_for_selector("#live-speed:has-text('milliseconds')")
            first, thing = on_another_page(page, "/"), on_another_page(page, "/p/P02/t/cup")
            button(thing, "Turn the camera on").click()
            thing.wait_for_selector("#film-start:not([hidden])")
        page.wait_for_selector("#live-fault:has-text('is not responding')")
        assert button(page, "Start").is_visible() and page.evaluate("document.querySelector('video').srcObject") is None
        first.wait_for_selector("#studio-gone[role=alert]:has-text('is not responding')")
        first.get_by_label("Name or number").fill("P09")
        button(first, "Add participant").click()
        first.wait_for_selector("#studio-gone:has-text('is not responding')")
        assert first.get_by_label("Name or number").input_value() == "P09"  # typed text is not lost
        everywhere(first)
        button(thing, "Film").click()
        thing.wait_for_selector("#film-fault:has-text('What you filmed is still here')")
        everywhere(thing)
        with serve(root, port=client.address.port) as client:
            first.wait_for_selector("#studio-gone:has-text('was restarted')")
            page.goto(str(client.address))
            thing.wait_for_selector("#studio-gone:has-text('is responding again')")
            button(thing, "Send it again").click()
            thing.wait_for_selector("#film-state:has-text('Added.')")
            assert thing.locator("#film-again").is_hidden()
            assert thing.evaluate("document.activeElement.id") == "film-start"
            assert [path.parent.name for path in root.rglob("filmed*")] == ["clean"]
            button(thing, "Turn the camera off").click()
            assert thing.evaluate("document.activeElement.id") == "film-open"
            assert thing.evaluate("document.querySelector('video').srcObject") is None
            assert thing.inner_text("#film-state") == "The camera is off."


def test_an_unplugged_camera_is_reported_on_both_pages(client, cameras, taught_study):
    shutil.copytree(taught_study / "P01", client.root / "P06")
    (client.root / "P06/results/P01.safetensors").rename(client.root / "P06/results/P06.safetensors")
    unplug = """() => { const [track] = document.querySelector('video').srcObject.getVideoTracks();
        track.stop(); track.dispatchEvent(new Event('ended')); }"""
    thing = sorted((client.root / "P06").iterdir())[0].name
    with browser(camera=cameras[0]) as running:
        page = opened(running, client)
        page.goto(f"{page.base}/p/P06/t/{thing}")
        page.get_by_role("button", name="Turn the camera on").dblclick()
        page.wait_for_selector("#film-start:not([hidden])")
        page.evaluate(unplug)
        page.wait_for_selector("#film-fault:has-text('unplugged')")
        assert button(page, "Turn the camera on").is_visible()
        page.goto(f"{page.base}/p/P06/try")
        page.evaluate("document.getElementById('live-start').click(); document.getElementById('live-start').click()")
        page.wait_for_selector("#live-speed:has-text('milliseconds')")
        page.evaluate(unplug)
        page.wait_for_selector("#live-fault:has-text('unplugged')")
        assert button(page, "Start").is_visible() and page.faults == []
