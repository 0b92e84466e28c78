"""Using only the keyboard, in the page's reading order and with a visible focus; and axe-core on every page and
state."""

import shutil

import pytest

from tests.orbit_lite.studio.browsing import browser, everywhere, opened

FOCUSABLE = "a[href], button, input, select, summary, [tabindex='0']"
# the focused element and whether its focus is visible
FOCUS = f"""() => {{
  const at = document.activeElement, style = getComputedStyle(at);
  const all = [...document.querySelectorAll("{FOCUSABLE}")];
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [all.indexOf(at), seen, at.outerHTML.slice(0, 120)];
}}"""
# elements that Tab should reach; in a group of radio buttons, only the chosen one
REACHED = f"""() => [...document.querySelectorAll("{FOCUSABLE}")]
  .map((one, place) => [one, place])
  .filter(([one]) => one.checkVisibility() && !one.disabled && !(one.type === "radio" && !one.checked))
  .map(([, place]) => place)"""


@pytest.fixture(scope="module")
def client(serve, taught_study, tmp_path_factory):
    root = tmp_path_factory.mktemp("keyboard") / "study"
    shutil.copytree(taught_study, root)
    with serve(root) as client:
        yield client.let_in()


@pytest.fixture(scope="module")
def page(client):
    with browser() as running:
        yield opened(running, client)


@pytest.fixture(scope="module")
def thing(client):
    return sorted((client.root / "P01").iterdir())[0].name


def tab_through(page):
    """Press Tab until the focus leaves the page; return the focused elements in order, all with a visible focus."""
    places = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(200):
        page.keyboard.press("Tab")
        place, seen, element = page.evaluate(FOCUS)
        if place < 0 or (places and place <= places[-1]):
            break
        assert seen, f"the focus is not seen on {element}"
        places.append(place)
    return places


def pages(thing):
    of_thing = ("", "?pictures=on", "/delete")
    whose = ("", "/try", "/delete", *(f"/t/{thing}{place}" for place in of_thing))
    return ("/", *(f"/p/P01{place}" for place in whose), "/delete", "/nowhere")


def test_every_control_is_reached_in_page_order_with_visible_focus(page, thing):
    for place in pages(thing):
        page.goto(page.base + place)
        reached = page.evaluate(REACHED)
        assert tab_through(page) == reached and len(reached) >= 2, place


def test_every_page_is_accessible_in_light_and_dark_wide_and_narrow(page, client, thing):
    for place in pages(thing):
        page.goto(page.base + place)
        everywhere(page)
    assert page.faults == []


def test_reports_are_accessible_and_keep_their_style(page, client):
    for place in ("/report", "/p/P01/report/check/", "/p/P01/report/test/"):
        page.goto(page.base + place)
        everywhere(page)
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") != "none"
    assert page.faults == []


def test_an_error_is_tied_to_its_field_and_has_the_focus(page, client, thing):
    for place in ("/", "/p/P01", f"/p/P01/t/{thing}"):
        page.goto(page.base + place)
        page.locator("#name").fill("a/b")
        page.locator("#name").press("Enter")
        page.wait_for_selector("#name-error")
        page.wait_for_selector("#name:focus")
        assert page.locator("#name").get_attribute("aria-invalid") == "true"
        assert "name-error" in page.locator("#name").get_attribute("aria-describedby")
        assert page.locator("#name").input_value() == "a/b"  # no typed text is lost
        everywhere(page)


def press_until(page, name, key="Tab"):
    """Move the focus to the element with this text or label, using only Tab."""
    for _ in range(100):
        found = page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).innerText?.trim()")
        if found == name:
            return
        page.keyboard.press(key)
    raise AssertionError(f"{name}: not reached by {key}")


def test_a_participant_and_a_thing_are_added_and_deleted_without_a_mouse(page, client):
    page.goto(page.base)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to content"
    page.keyboard.press("Enter")
    press_until(page, "Name or number")
    page.keyboard.type("P09")
    page.keyboard.press("Enter")
    page.wait_for_url("**/p/P09*")
    assert "P09 was added" in page.title()  # what a screen reader reads first on a page
    press_until(page, "What is it?")
    page.keyboard.type("white cane")
    press_until(page, "Add thing")
    page.keyboard.press("Space")
    page.wait_for_url("**/t/white%20cane*")
    press_until(page, "Delete white cane and its videos")
    page.keyboard.press("Enter")
    page.wait_for_url("**/delete")
    press_until(page, "Delete everything listed")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Deleted.")
    assert list((client.root / "P09").iterdir()) == []


def test_the_systems_settings_are_honored(page):
    page.goto(page.base)
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "smooth"
    page.emulate_media(reduced_motion="reduce", color_scheme="dark", forced_colors="active")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.evaluate("getComputedStyle(document.querySelector('button')).borderTopWidth") == "2px"
    page.emulate_media(reduced_motion="no-preference", color_scheme="dark", forced_colors="none")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    assert dark != page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_at_twice_the_text_size_nothing_is_cut_off(page, thing):
    for place in pages(thing):
        page.set_viewport_size({"width": 640, "height": 450})  # 1280 by 900 at 200 %
        page.goto(page.base + place)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
    page.set_viewport_size({"width": 1280, "height": 900})


UNSEEN = """() => [...document.querySelectorAll('a[href], button, input, select, summary')]
    .filter(one => one.checkVisibility())
    .filter(one => { one.focus(); const style = getComputedStyle(one);
        return document.activeElement === one
            && (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2); })
    .map(one => one.outerHTML.slice(0, 100))"""


def test_in_forced_colors_at_twice_the_text_size_the_focus_is_seen_on_every_page(page, thing):
    page.emulate_media(forced_colors="active")
    page.set_viewport_size({"width": 640, "height": 450})
    for place in pages(thing):
        page.goto(page.base + place)
        page.keyboard.press("Tab")  # so that the focus comes from the keyboard
        assert page.evaluate(UNSEEN) == [], place
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
    page.emulate_media(forced_colors="none")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_an_inaccessible_page_is_detected(page):
    page.goto(page.base)
    page.evaluate("document.querySelector('label').remove(); document.documentElement.lang = ''")
    with pytest.raises(AssertionError, match="label"):
        everywhere(page)
    page.goto(page.base)
    page.evaluate("document.styleSheets[0].insertRule('@media (prefers-color-scheme: dark) { p { color: #333 } }')")
    with pytest.raises(AssertionError, match=r"'dark', \[\['color-contrast'"):
        everywhere(page)
