// What the page knows about text: how a word is added to it, and which tokens a typed word became.

const PIECE = /^##[^#\s]/; // the beginning of a wordpiece that continues a word; no other tokenizer that cuts has such words
const CLOSING = /^([.,;:!?%…»”)\]}]|['’]\w*$|n['’]t$)/u;

// The text with a word taken from the next words. `splits`: whether the model cuts punctuation off words by itself, so
// that it is written as people write it; otherwise a space comes before everything, as in the model's own corpus.
export function withWord(text, word, splits) {
  if (splits && PIECE.test(word)) return `${text.replace(/[ \t]+$/, "")}${word.slice(2)} `;
  return `${joined(text, word, splits)} `;
}

function joined(text, word, splits) {
  if (splits && CLOSING.test(word) && /\S/.test(text) && !/\n[ \t]*$/.test(text)) {
    return `${text.replace(/[ \t]+$/, "")}${word}`;
  }
  const space = text === "" || /\s$/.test(text) || (splits && /[([{“«]$/.test(text)) ? "" : " ";
  return `${text}${space}${word}`;
}

// What follows a continuation: it may begin with punctuation or a new line.
export function withContinuation(text, continuation, splits) {
  if (continuation.startsWith("\n")) return text.replace(/[ \t]+$/, "") + continuation;
  return joined(text, continuation, splits);
}

// Lines of words, as the tokenizer sees them: what ASCII whitespace separates.
export function linesOfWords(text) {
  return text.split("\n").map((line) => line.split(/[ \t\r\f\v]+/).filter(Boolean));
}

// Gives each typed word, and each end of a line, the tokens that it became.
//
// `tokens` and `logs` are what `score` says of the text, `counts` the number of tokens of each word by itself. Returns
// a list of {typed, bits, unknown} with typed "\n" for the end of a line, or null where the counts do not add up.
export function readWords(text, tokens, logs, counts) {
  const words = [];
  const lines = linesOfWords(text);
  let next = 0;
  const take = (typed, count) => {
    const nats = logs.slice(next, next + count).reduce((sum, value) => sum + value, 0);
    const unknown = tokens.slice(next, next + count).includes("<unk>") && typed !== "<unk>";
    words.push({ typed, bits: -nats / Math.LN2, unknown });
    next += count;
  };
  lines.forEach((line, number) => {
    for (const word of line) take(word, counts.get(word) ?? 0);
    const last = number === lines.length - 1;
    if (!last && tokens[next] === "<eos>") take("\n", 1);
  });
  return next === tokens.length ? words : null;
}
