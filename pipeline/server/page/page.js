// The page: asks the server through TensorFlow Serving's REST API, the same that every other client uses.

import { linesOfWords, readWords, withContinuation, withWord } from "./text.js";

const WAIT_MILLISECONDS = 120; // after a key, before the server is asked
const LOOK_MILLISECONDS = 10000; // between two looks for new versions
const WORDS_AT_ONCE = 200; // whose tokens are counted in one request
const HOTTEST_BITS = 16; // surprise that is coloured the most

const find = (selector, within = document) => within.querySelector(selector);
const text = find("#text");
const other = find("#other");
const problem = find("#problem");

let about = { name: "lm", versions: [] };
let panels = []; // one for each version shown, the newest first
let asking = new AbortController(); // stops the requests about the latest text
let failed; // the function whose error is shown
let timer;

class Refused extends Error {}

async function fetchJSON(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Refused("The server cannot be reached. Is it still running (python -m pipeline.serve)?");
  }
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Refused(`The server answered with status ${response.status} and without words.`);
  }
  if (!response.ok) throw new Refused(`The server refused: ${answer.error ?? `status ${response.status}`}`);
  return answer;
}

async function predict(version, signature, inputs, signal) {
  const path = `v1/models/${encodeURIComponent(about.name)}/versions/${version}:predict`;
  const body = JSON.stringify({ signature_name: signature, inputs });
  const headers = { "Content-Type": "application/json" };
  return (await fetchJSON(path, { method: "POST", headers, body, signal })).outputs;
}

// Whether a request was given up since the text has changed.
function isAbort(error) {
  return error.name === "AbortError";
}

// Runs a function that asks the server, and shows its error on the page.
async function runShowingErrors(work) {
  try {
    await work();
  } catch (error) {
    if (isAbort(error)) return;
    const message = error instanceof Refused ? error.message : `This page failed: ${error.message}`;
    if (problem.textContent !== message) problem.textContent = message; // screen readers say it once
    problem.hidden = false;
    failed = work;
    if (!(error instanceof Refused)) console.error(error);
  }
}

class Panel {
  constructor(version, title) {
    this.version = version;
    this.counts = new Map(); // tokens of each word seen, by this version's tokenizer
    this.element = find("#version").content.cloneNode(true).firstElementChild;
    this.element.dataset.version = version;
    find("h2", this.element).textContent = title;
    find(".add", this.element).addEventListener("click", () => {
      setText(withContinuation(text.value, this.continuation, this.splits));
      find(".continuation", this.element).hidden = true;
      text.focus();
    });
    find(".suggestions", this.element).addEventListener("keydown", moveAmongSuggestions);
  }

  // Asks what follows the text and how surprising it is, and shows it unless another text is asked about meanwhile.
  async update(value, signal) {
    const [next, reading] = await Promise.all([
      predict(this.version, "serving_default", { text: [value] }, signal),
      this.read(value, signal),
    ]);
    signal.throwIfAborted();
    this.suggest(next.words[0], next.probabilities[0]);
    this.show(value, reading);
  }

  async read(value, signal) {
    const punctuation = "a,"; // one token, or two where the tokenizer cuts punctuation off
    const words = [...new Set([punctuation, ...linesOfWords(value).flat()])].filter((word) => !this.counts.has(word));
    const requests = [predict(this.version, "score", { text: [value] }, signal)];
    for (let start = 0; start < words.length; start += WORDS_AT_ONCE) {
      const some = words.slice(start, start + WORDS_AT_ONCE);
      requests.push(
        predict(this.version, "score", { text: some }, signal).then(({ num_tokens: counts }) => {
          some.forEach((word, place) => this.counts.set(word, counts[place] - 1)); // without the line's end
        }),
      );
    }
    const [scored] = await Promise.all(requests);
    this.splits = this.counts.get(punctuation) > 1;
    const tokens = scored.tokens[0];
    const logs = scored.token_log_probabilities[0];
    // `score` closes the last line; here it is still being typed.
    const open = value.slice(value.lastIndexOf("\n") + 1).trim() !== "";
    const length = scored.num_tokens[0] - (open ? 1 : 0);
    return { tokens: tokens.slice(0, length), logs: logs.slice(0, length) };
  }

  suggest(words, probabilities) {
    const list = find(".suggestions", this.element);
    const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
    const best = probabilities[0] || 1;
    const items = words.flatMap((word, place) => {
      if (!word) return [];
      const item = document.createElement("li");
      const button = item.appendChild(document.createElement("button"));
      button.type = "button";
      const percent = inPercent(probabilities[place]);
      button.style.setProperty("--share", `${(100 * probabilities[place]) / best}%`);
      button.setAttribute("aria-label", `${word}, ${percent}`);
      button.append(labelled("offered", word), labelled("probability", percent));
      button.addEventListener("click", () => {
        setText(withWord(text.value, word, this.splits));
        text.focus();
      });
      return [item];
    });
    list.replaceChildren(...items);
    if (focused >= 0) find("button", list.children[focused])?.focus();
  }

  show(value, { tokens, logs }) {
    const bits = -logs.reduce((sum, log) => sum + log, 0) / Math.LN2;
    const perplexity = tokens.length ? 2 ** (bits / tokens.length) : NaN;
    find(".perplexity", this.element).textContent = tokens.length ? inFigures(perplexity) : "–";
    if (tokens.length) this.say(`perplexity ${inFigures(perplexity)}, new next words`);
    find(".tokens", this.element).textContent = tokens.length.toLocaleString("en");
    find(".bits", this.element).textContent = tokens.length ? inFigures(bits) : "–";
    // Where typed words and tokens do not match up, the tokens are shown as the model reads them.
    const words =
      readWords(value, tokens, logs, this.counts) ??
      tokens.map((token, place) => ({ typed: token, bits: -logs[place] / Math.LN2, unknown: token === "<unk>" }));
    find(".reading", this.element).replaceChildren(...words.flatMap(shownWord));
  }

  async generate(prompt, words, temperature) {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const outputs = await predict(this.version, "generate", {
      prompt: [prompt], max_words: [words], temperature: [temperature], top_k: [0], top_p: [1], seed: [seed],
    });
    [this.continuation] = outputs;
    find(".continued", this.element).textContent = this.continuation;
    find(".continuation", this.element).hidden = false;
    this.say(`continuation: ${this.continuation}`);
  }

  // Tells a screen reader what has changed.
  say(news) {
    find(".status", this.element).textContent = `Version ${this.version}, ${news}`;
  }
}

function shownWord({ typed, bits, unknown }) {
  const word = document.createElement("span");
  word.className = "word";
  const heat = Math.min(bits / HOTTEST_BITS, 1);
  word.style.setProperty("--heat", `${80 * heat}%`);
  word.classList.toggle("hot", heat > 0.5);
  word.classList.toggle("unknown", unknown);
  const remark = unknown ? ", not in the vocabulary" : "";
  word.title = `${inFigures(bits)} bits: probability ${inPercent(2 ** -bits)}${remark}`;
  word.append(labelled("typed", typed === "\n" ? "↵" : typed));
  word.appendChild(document.createElement("small")).textContent = bits.toFixed(1);
  word.append(labelled("unseen", ` bits${remark}`));
  if (typed !== "\n") return [word];
  word.classList.add("newline");
  const line = document.createElement("span");
  line.className = "line";
  return [word, line];
}

function labelled(name, content) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = content;
  return span;
}

function inPercent(share) {
  const percent = 100 * share;
  if (percent >= 10) return `${percent.toFixed(1)} %`;
  return `${percent >= 0.001 ? percent.toPrecision(2) : percent.toExponential(1)} %`;
}

function inFigures(value) {
  if (!Number.isFinite(value)) return "–";
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(value >= 100 ? 4 : 3);
}

function setText(value) {
  text.value = value;
  text.setSelectionRange(value.length, value.length);
  text.scrollTop = text.scrollHeight;
  update();
}

function update() {
  return runShowingErrors(ask);
}

// Asks about the text, and gives up what was asked about an earlier one.
async function ask() {
  clearTimeout(timer);
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  await Promise.all(panels.map((panel) => panel.update(text.value, signal)));
  problem.hidden = true;
}

// Arrow keys among the next words; Escape goes back to the text.
function moveAmongSuggestions(event) {
  const buttons = [...event.currentTarget.querySelectorAll("button")];
  const place = buttons.indexOf(document.activeElement);
  if (event.key === "Escape" || (event.key === "ArrowUp" && place === 0)) text.focus();
  else if (event.key === "ArrowDown") buttons[place + 1]?.focus();
  else if (event.key === "ArrowUp") buttons[place - 1]?.focus();
  else return;
  event.preventDefault();
}

// Shows the newest version and the one that is chosen to compare it with.
function showVersions() {
  const [newest, ...older] = about.versions;
  const chosen = older.includes(Number(other.value)) ? Number(other.value) : other.value === "none" ? null : older[0];
  find("#comparison").hidden = older.length === 0;
  const options = older.map((version) => new Option(`version ${version}`, version));
  other.replaceChildren(...options, new Option("nothing", "none"));
  other.value = chosen ?? "none";
  const shown = [newest, chosen].filter((version) => version !== undefined && version !== null);
  if (panels.map((panel) => panel.version).join() === shown.join()) return false;
  panels = shown.map(
    (version) =>
      panels.find((panel) => panel.version === version) ??
      new Panel(version, version === newest ? `Version ${version}, the newest` : `Version ${version}`),
  );
  for (const panel of panels) {
    find("h2", panel.element).textContent = `Version ${panel.version}${panel.version === newest ? ", the newest" : ""}`;
  }
  find("#versions").replaceChildren(...panels.map((panel) => panel.element));
  return true;
}

// Looks for new versions. Asks again where the text could not be asked about, as while the server was stopped.
async function look() {
  about = await fetchJSON("about.json");
  if (!about.versions.length) throw new Refused("The server has no version to ask: push one with make run.");
  if (showVersions() || (!problem.hidden && failed !== continueText)) await ask();
}

async function continueText() {
  const [words, temperature] = [find("#words").valueAsNumber, find("#temperature").valueAsNumber];
  await Promise.all(panels.map((panel) => panel.generate(text.value, words, temperature)));
  if (failed === continueText) problem.hidden = true;
}

text.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(update, WAIT_MILLISECONDS);
});

text.addEventListener("keydown", (event) => {
  const atEnd = text.selectionStart === text.value.length && text.selectionEnd === text.value.length;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("#continue").requestSubmit();
  else if (event.key === "ArrowDown" && atEnd && !event.shiftKey) find(".suggestions button")?.focus();
  else return;
  event.preventDefault();
});

find("#temperature").addEventListener("input", (event) => {
  find("#temperature-value").textContent = Number(event.target.value).toFixed(2);
});

other.addEventListener("change", () => {
  if (showVersions()) update();
});

find("#continue").addEventListener("submit", async (event) => {
  event.preventDefault();
  const go = find("#go");
  if (go.ariaDisabled === "true") return;
  go.ariaDisabled = "true"; // `disabled` would take the focus away
  await runShowingErrors(continueText);
  go.ariaDisabled = "false";
});

await runShowingErrors(look);
setInterval(() => document.hidden || runShowingErrors(look), LOOK_MILLISECONDS);
