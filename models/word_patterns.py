"""What the `unicode_words` tokenizer takes for a word: RE2 patterns, tried in order at each place of a text.

A reader's words stay whole: contractions and hyphenated words (`don't`, `well-known`), numbers (`3.14`, `1,000`,
`12:30`), addresses (`https://...`, `me@example.org`), abbreviations (`U.S.`), identifiers (`os.path`, `__init__`),
emoji with their modifiers, and a letter with its combining marks. Other punctuation marks are words of their own, and a
run of the same mark (`...`, `--`, `>>>`, `====`) is one. Scripts that write no spaces are cut at every Han and Hiragana
character; Thai, Lao, Khmer and Burmese would need a dictionary and stay as they stand.
"""

RESERVED = r"<unk>|<eos>"

# Whitespace and control characters of all kinds, NUL among them, separate words; only a newline closes a line.
SPACE = r"[\p{Z}\x{200B}\x00-\x09\x0B-\x1F\x7F-\x9F]"
# Marks that a reader does not see: soft hyphen, byte order mark, word joiner, direction of writing.
INVISIBLE = r"[\x{AD}\x{FEFF}\x{2060}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}\x{061C}]"

_NOT_URL = r"\s<>\"()"
_URL_BODY = rf"(?:[^{_NOT_URL}]|\([^{_NOT_URL}]*\))*(?:[^{_NOT_URL}.,;:!?'…»”’\]}}*]|\([^{_NOT_URL}]*\))"
_URL = rf"(?:(?:https?|ftp|file)://|www\.){_URL_BODY}"
_EMAIL = r"[\p{L}\p{N}._%+\-]+@[\p{L}\p{N}\-]+(?:\.[\p{L}\p{N}\-]+)*\.\p{L}+"

# Letters of scripts that write spaces; zero-width (non-)joiners shape letters within a word.
_LETTER = r"[^\PL\p{Han}\p{Hiragana}]"
_INNER = r"(?:[^\PL\p{Han}\p{Hiragana}]|[\p{M}\p{N}_\x{200C}\x{200D}])"
_CHARS = rf"(?:{_LETTER}|[\p{{N}}_]){_INNER}*"
_JOINER = r"[\-'’.\x{2010}\x{2011}·\x{05F3}\x{05F4}]"
_ABBREVIATION = rf"(?:{_LETTER}\p{{M}}*\.){{2,}}"
_HEBREW_ACRONYM = r"\p{Hebrew}+\"\p{Hebrew}+"
_UPPER_AND = r"\p{Lu}+&\p{Lu}+"
_GROUPED_NUMBER = r"\p{Nd}{1,3}(?:,\p{Nd}{3})+"
_TIME = r"\p{Nd}{1,2}:\p{Nd}{2}(?::\p{Nd}{2})?"
_EXPONENT = r"\p{Nd}+(?:\.\p{Nd}+)?[eE]\+\p{Nd}+"
_FRACTION = r"\.\p{Nd}+"
_START = rf"{_GROUPED_NUMBER}|{_TIME}|{_EXPONENT}|{_HEBREW_ACRONYM}|{_UPPER_AND}|{_CHARS}"
_WORD = rf"{_ABBREVIATION}(?:{_CHARS}(?:{_JOINER}{_CHARS})*)?|(?:{_START}){_INNER}*(?:{_JOINER}{_CHARS})*|{_FRACTION}"

_SKIN = r"[\x{1F3FB}-\x{1F3FF}]"
_PICTURE = rf"[\p{{So}}\x{{203C}}\x{{2049}}]\p{{M}}*{_SKIN}?[\x{{E0020}}-\x{{E007F}}]*"
_EMOJI = (
    r"[0-9#*]\x{FE0F}?\x{20E3}|[\x{1F1E6}-\x{1F1FF}]{2}|"
    rf"{_PICTURE}(?:\x{{200D}}(?:{_PICTURE}|[\p{{S}}]\x{{FE0F}}?))*"
)
_RUNS = "|".join(rf"\{mark}{{2,}}" for mark in r".-=~*#+/!?>'`^")
_ARROWS = r"->|=>|<=|>=|!=|:="
_ANY = r"\S\p{M}*"

TOKEN = "|".join([RESERVED, _URL, _EMAIL, _EMOJI, _WORD, _RUNS, _ARROWS, _ANY])

# For writing words as text again: no space before a closing mark, after an opening one, or between wide characters.
CLOSING = r"[.,;:!?…%)\]}»”’]+"
OPENING = r"[(\[{«“‘$£€¿¡]+"
WIDE = r"[\p{Han}\p{Hiragana}\p{Katakana}\x{3001}-\x{303F}\x{30FC}\x{FF01}-\x{FF65}]+"
