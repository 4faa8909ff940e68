"""The words of the `unicode_words` tokenizer: RE2 patterns, tried in order at each place of a text.

A reader's words stay whole: contractions and hyphenated words (`don't`, `well-known`), numbers (`3.14`, `1,000`,
`12:30`), addresses (`https://...`, `me@example.org`), abbreviations (`U.S.`), identifiers (`os.path`, `__init__`),
emoji with their modifiers, and a letter with its combining marks. Other punctuation marks are words of their own, and a
run of the same mark (`...`, `--`, `>>>`, `====`) is one. Scripts that write no spaces are cut at every Han and Hiragana
character; Thai, Lao, Khmer and Burmese would need a dictionary and are not cut.
"""

# All valid UTF-8. RE2's `.` is less strict: it also matches overlong sequences, surrogates and more.
UTF8 = r"[\x{0}-\x{D7FF}\x{E000}-\x{10FFFF}]*"

RESERVED = r"<unk>|<eos>"

# Whitespace and control characters of all kinds, NUL too, separate words; only a newline closes a line. They become
# plain spaces. The pattern leaves out the plain space: replacing each by itself took a third of the tokenizer's time.
SPACE = r"[^\P{Z} ]|[\x{200B}\x00-\x09\x0B-\x1F\x7F-\x9F]"
# Marks that a reader does not see: soft hyphen, byte order mark, word joiner, direction of writing.
# They are removed, because with and without them a word looks the same.
INVISIBLE = r"[\x{AD}\x{FEFF}\x{2060}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}\x{061C}]"

# Full-width, CJK and Arabic punctuation and dandas end an address, because their scripts need no space after it.
_FOREIGN_MARKS = (
    r"\x{060C}\x{061B}\x{061F}\x{06D4}\x{0964}\x{0965}\x{3001}-\x{3003}\x{3008}-\x{3011}\x{3014}-\x{301F}"
    r"\x{30FB}\x{FE10}-\x{FE19}\x{FE30}-\x{FE6B}\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF20}\x{FF3B}-\x{FF40}\x{FF5B}-\x{FF65}"
)
_NOT_URL = rf"\s<>\"'(){_FOREIGN_MARKS}"
_URL_BODY = rf"(?:[^{_NOT_URL}]|\([^{_NOT_URL}]*\))*(?:[^{_NOT_URL}.,;:!?'…»”’\]}}*]|\([^{_NOT_URL}]*\))"
_URL = rf"(?:(?:https?|ftp|file)://|www\.){_URL_BODY}"
_EMAIL = r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+"

_MODIFIERS = r"[\x{FE0F}\x{20E3}\x{1F3FB}-\x{1F3FF}\x{E0020}-\x{E007F}]*"
_PICTURE = rf"\p{{So}}{_MODIFIERS}(?:\x{{200D}}\p{{So}}{_MODIFIERS})*"
_EMOJI = rf"[0-9#*]\x{{FE0F}}?\x{{20E3}}|[\x{{1F1E6}}-\x{{1F1FF}}]{{2}}|{_PICTURE}"

# A word is characters and single joiners between them. RE2 turns every use of a large Unicode class into a thousand
# instructions, and it becomes 25 times slower when its automaton does not fit its memory. So only two such classes are
# used here, and special beginnings of words are recognised by ranges of the alphabets that matter.
_CHARACTER = r"[^\P{L}\p{Han}\p{Hiragana}]|[\p{M}\p{N}_]"
_JOINER = r"[\-'’.\x{2010}\x{2011}·\x{05F3}\x{05F4}\x{200C}\x{200D}]"  # the last two shape letters within a word
_ABBREVIATION = r"(?:[A-Za-z\x{C0}-\x{24F}\x{370}-\x{52F}]\.){2,}"
_HEBREW_ACRONYM = r"[\x{5D0}-\x{5EA}]+\"[\x{5D0}-\x{5EA}]+"
_COMPANY = r"[A-Z]+&[A-Z]+"
_NUMBER = (
    r"\d{1,3}(?:,\d{3})+"  # 1,000
    r"|\d{1,2}:\d{2}(?::\d{2})?"  # 12:30
    r"|\d+(?:\.\d+)?[eE]\+\d+"  # 1.5e+10; without the plus sign it is joined anyhow
    r"|\.\d+"
)
_WORD = rf"(?:{_NUMBER}|{_ABBREVIATION}|{_HEBREW_ACRONYM}|{_COMPANY}|{_CHARACTER})(?:{_JOINER}?(?:{_CHARACTER}))*"

_RUNS = "|".join(rf"\{mark}{{2,}}" for mark in r".-=~*+/!?>'`^")
_ARROWS = r"->|=>|<=|>=|!=|:="
_ANY = r"\S[\x{300}-\x{36F}\x{FE0E}\x{FE0F}]*"

# Among wordpieces `##` begins a piece that continues a word, so that no word may begin with it.
WORDPIECE_TOKEN = "|".join([RESERVED, _URL, _EMAIL, _EMOJI, _WORD, _RUNS, _ARROWS, _ANY])
TOKEN = rf"\#{{2,}}|{WORDPIECE_TOKEN}"

# For writing words as text again: no space before a closing mark, after an opening one, or between wide characters.
CLOSING = r"[.,;:!?…%)\]}»”’]+"
OPENING = r"[(\[{«“‘$£€¿¡]+"
WIDE = r"[\p{Han}\p{Hiragana}\p{Katakana}\x{3001}-\x{303F}\x{30FC}\x{FF01}-\x{FF65}]+"
