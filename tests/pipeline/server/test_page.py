"""The page, in a real browser."""

import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from pipeline.server.app import Limits
from tests.pipeline.browser import browser, needs_browser
from tests.pipeline.server.serving_folder import make_serving, push, serve

pytestmark = needs_browser


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def folder(exported_models, tmp_path_factory):
    """A folder of two versions."""
    folder = tmp_path_factory.mktemp("serving")
    for version, name in enumerate(("first", "second"), 1):
        push(exported_models / name, folder, version)
    return folder


@pytest.fixture
def page(driver, folder):
    with serve(make_serving(folder)) as address:
        driver.get(address)
        wait(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, ".suggestions button")) == 20)
        yield driver


def wait(driver, condition):
    return WebDriverWait(driver, 20, ignored_exceptions=()).until(lambda _: condition())


def text_of(driver, selector):
    script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText.trim())"
    return driver.execute_script(script, selector)  # at once: an answer may replace the elements


def type_text(driver, *keys):
    driver.find_element(By.ID, "text").send_keys(*keys)


def value(driver):
    return driver.find_element(By.ID, "text").get_property("value")


def test_typing_colours_each_word_and_shows_the_perplexity(page):
    type_text(page, "w1 never-seen", Keys.ENTER, "w3 w4")
    wait(page, lambda: text_of(page, "[data-version='2'] .word .typed") == ["w1", "never-seen", "↵", "w3", "w4"])
    words = page.find_elements(By.CSS_SELECTOR, "[data-version='2'] .word")
    assert [("unknown" in word.get_attribute("class")) for word in words] == [False, True, False, False, False]
    bits = [float(word.find_element(By.TAG_NAME, "small").text) for word in words]
    colours = {word.value_of_css_property("background-color") for word in words}
    assert len(colours) > 1  # by surprise
    perplexity = float(page.find_element(By.CSS_SELECTOR, "[data-version='2'] .perplexity").text)
    assert perplexity == pytest.approx(2 ** (sum(bits) / 5), rel=0.05)
    assert text_of(page, ".version h2") == ["Version 2, the newest", "Version 1"]  # side by side
    assert page.execute_script("return document.querySelector('#problem').hidden")
    said = text_of(page, "[data-version='2'] .word .unseen")
    assert said == ["bits", "bits, not in the vocabulary", "bits", "bits", "bits"]
    figure = text_of(page, "[data-version='2'] .perplexity")[0]
    assert text_of(page, "[data-version='2'] .status") == [f"Version 2, perplexity {figure}, new next words"]


def test_a_click_or_a_key_takes_a_suggestion(page):
    type_text(page, "w1")
    # Both versions have answered: before that the suggestions may still be replaced.
    wait(page, lambda: text_of(page, "[data-version='1'] .word .typed") == ["w1"])
    wait(page, lambda: text_of(page, "[data-version='2'] .word .typed") == ["w1"])
    button = page.find_element(By.CSS_SELECTOR, ".suggestions button")
    assert button.find_element(By.CSS_SELECTOR, ".probability").text.endswith("%")
    word = button.find_element(By.CSS_SELECTOR, ".offered").text
    button.click()
    assert value(page) == f"w1 {word} "
    wait(page, lambda: text_of(page, "[data-version='2'] .word .typed") == ["w1", word])
    type_text(page, Keys.ARROW_DOWN)  # goes to the next words
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    second = page.switch_to.active_element
    offered = second.find_element(By.CSS_SELECTOR, ".offered").text
    second.send_keys(Keys.ENTER)
    assert value(page) == f"w1 {word} {offered} "
    assert page.switch_to.active_element.get_attribute("id") == "text"


def test_the_text_is_continued_by_each_version(page):
    type_text(page, "w1 w2")
    wait(page, lambda: all("perplexity" in text for text in text_of(page, ".status")))  # they come before what is asked
    words = page.find_element(By.ID, "words")
    words.clear()
    words.send_keys("5")
    page.find_element(By.ID, "go").send_keys(Keys.ENTER)
    wait(page, lambda: len([text for text in text_of(page, ".continued") if text]) == 2)
    continued = page.find_element(By.CSS_SELECTOR, ".continued").get_property("textContent")
    assert len(continued.split()) == 5
    assert page.switch_to.active_element.get_attribute("id") == "go"  # a keyboard's focus stays where it is
    assert text_of(page, ".status")[0].split() == ["Version", "2,", "continuation:", *continued.split()]
    page.find_element(By.CSS_SELECTOR, ".add").send_keys(Keys.ENTER)
    assert value(page).split() == ["w1", "w2", *continued.split()]
    assert page.switch_to.active_element.get_attribute("id") == "text"


@pytest.mark.parametrize(
    ("text", "word", "splits", "written"),
    [
        ("walk", "##ing", True, "walking "),  # a wordpiece
        ("walk \t", "##ing", True, "walking "),
        ("walk", "##ing", False, "walk ##ing "),  # a word of a text that was tokenized before
        ("walk", "##", True, "walk ## "),
        ("walk", "###", True, "walk ### "),
        ("walk ", ",", True, "walk, "),
    ],
)
def test_a_word_or_a_wordpiece_is_added_to_the_text(page, text, word, splits, written):
    script = "const done = arguments[3]; import('./text.js').then((it) => done(it.withWord(...arguments)))"
    assert page.execute_async_script(script, text, word, splits) == written


def test_the_comparison_can_be_put_away(page):
    page.find_element(By.CSS_SELECTOR, "#other option[value='none']").click()
    wait(page, lambda: text_of(page, ".version h2") == ["Version 2, the newest"])


def test_an_error_of_the_server_is_shown_as_a_message(driver, folder):
    with serve(make_serving(folder, limits=Limits(text_bytes=50))) as address:
        driver.get(address)
        problem = driver.find_element(By.ID, "problem")
        type_text(driver, "w1 " * 30)
        wait(driver, problem.is_displayed)
        assert "at most 50" in problem.text and "Send it in parts" in problem.text
        time.sleep(11)  # until the page has looked for new versions
        assert problem.is_displayed() and "at most 50" in problem.text
        type_text(driver, Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE, "w1")
        wait(driver, lambda: not problem.is_displayed())
    type_text(driver, " w2")  # the server is gone
    wait(driver, problem.is_displayed)
    assert "cannot be reached" in problem.text


SLOW = """
const atOnce = window.fetch;
const later = (...request) => new Promise((done, fail) => setTimeout(() => atOnce(...request).then(done, fail), 1500));
window.fetch = (path, options) => (options?.body?.includes("w9") ? later : atOnce)(path, options);
"""


def test_an_error_about_an_earlier_text_is_not_shown(driver, folder):
    with serve(make_serving(folder, limits=Limits(text_bytes=50))) as address:
        driver.get(address)
        wait(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, ".suggestions button")) == 20)
        driver.execute_script(SLOW)
        type_text(driver, "w9 " * 30)
        time.sleep(0.5)  # the page has asked
        type_text(driver, Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE, "w1")
        wait(driver, lambda: text_of(driver, "[data-version='2'] .word .typed") == ["w1"])
        time.sleep(2)
        assert not driver.find_element(By.ID, "problem").is_displayed()


def test_the_page_sends_requests_only_to_its_server(page):
    addresses = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert addresses and all(address.startswith(page.current_url) for address in addresses)
    severe = [entry for entry in page.get_log("browser") if "Content Security Policy" in entry["message"]]
    assert not severe


def test_a_phone_needs_no_sideways_scrolling(page):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        type_text(page, "w1 " * 40 + "w" * 200)
        wait(page, lambda: len(text_of(page, "[data-version='1'] .word")) == 41)
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
