"""Counts the words that a reader of a text would see, and finds lines that still wait to be written.

It stands apart from the reading of sections because notes in JSON are held to the same measure. What a reader does not
see is no text: tags, the targets of links and images, entities, characters without a shape. What looks like a mark is
one: other alphabets, other widths and styles of letters, and separators between them do not hide it.
"""

from __future__ import annotations

import re
import unicodedata

# Patterns are text here, so that only a document that needs one has it compiled.
ITEM = r"[ \t>]*(?:[-*+]|[0-9]{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?(.*)"
_WORD = r"[^\W\d_]+"

_MARK = r"(?i:T[.-]?[O0][.-]?D[.-]?[O0]|FIXME|T[.-]?B[.-]?[DAC]|XXX)"
# "Todo" also begins Spanish and Portuguese sentences: "Todo el código", "Todo o código".
_ALL_OF = r"[Tt]odo[ \t]+(?:el|lo|o|um?|este?|es[eo]|esto|esse|iss?o|isto|aquel|aquello|es|está|se|que|en|em)\b"
_OF_MARKS = r"[ \t-]+(?i:comment|marker|item|list|tag|entr|note|annotation|line|file|app)"
_CLOSING = "\"'\u201d\u2019\u00bb"  # Quotation marks.
_PLACEHOLDER = "|".join(
    (
        # An honest text may speak about such marks: "TODO comments are removed", "'TODO' stands for an open end".
        rf"(?!{_ALL_OF}){_MARK}\b(?!{_OF_MARKS})(?![{_CLOSING}][ \t]*\w)",
        rf"{_MARK}[ \t]*(?:[:.!]|…|$)",
        rf"[^:=\u2013\u2014]*[:=\u2013\u2014][ \t]*{_MARK}[ \t]*[.!…]*$",
        r"<(?=[^<>=@ \t]+[ \t])[^<>=/!@][^<>=@]*>[ \t]*[.:]?$",
        r"\[(?i:fill|insert|describe|your|add|placeholder)\b[^\[\]]*\][ \t]*[.:]?$",
        r"(?i:lorem ipsum)",
        r"(?:\.\.\.+|…+)$",
        r"(?i:to be (?:determined|defined|decided|described|written|filled(?: in)?|done|added|completed))[ \t]*[.!…]*$",
        r"(?i:fill (?:me|this) in|(?:your )?text (?:goes )?here|coming soon|write me)[ \t]*[.!…]*$",
    )
)
# What may follow a mark at the head of a comment, where it is one and not a word about such marks.
_OPEN = rf"(?!{_ALL_OF}){_MARK}(?![\w-])(?!{_OF_MARKS})(?!['\"`\u201d\u2019\u00bb])"
_LOOKED_AT = 400  # Characters of a line that may show a placeholder.

_CODE_SPAN = r"(`+[^`]*`+)"
# An unclosed target or tag is text; the possessive quantifiers keep the scan linear.
_TARGET = r"\](?:\((?:[^()]|\([^()]*+\))*+\)|\[[^\[\]]*+\])"
_DEFINITION = r"(?m)^ {0,3}\[(?!\^)[^\[\]\n]+\]:[ \t]*\S.*$"
_INLINE_TAG = (
    r"(?i)</?(?:a|abbr|b|bdi|code|del|em|font|i|ins|kbd|mark|s|small|span|strong|sub|sup|tt|u|wbr)(?=[\s/>])[^<>]*>"
)
_TAG = r"</?[A-Za-z][A-Za-z0-9-]*(?=[\s/>])[^<>]*>"
_NUMERIC = r"&#(?:([0-9]{1,7})|[xX]([0-9a-fA-F]{1,6}));"
_SHAPELESS = r"&(?:zwn?j|shy|[lr]rm|ZeroWidthSpace|NoBreak|InvisibleTimes|InvisibleComma|ApplyFunction|ic|it|af);"
_NAMED = r"&[A-Za-z][A-Za-z0-9]{1,31};"

# Letters by their category that have no shape of their own.
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
_UNSEEN = frozenset(("Cf", "Mn", "Mc", "Me"))
# Letters that compatibility does not fold, by the Latin letter of a mark that they are drawn like.
_DRAWN_LIKE = {
    "T": "\u03a4\u0422\u0442\u13a2\ua4d4\u1d1b",
    "O": "\u039f\u03bf\u041e\u043e\u0555\u0585\ua4f3\u1d0f",
    "D": "\u13a0\ua4d3\u1d05",
    "F": "\u03dc\ua4dd\ua730",
    "I": "\u0399\u03b9\u0406\u0456\u04c0\ua4f2\u026a",
    "X": "\u03a7\u03c7\u0425\u0445\ua4eb",
    "M": "\u039c\u041c\u043c\u13b7\ua4df\u1d0d",
    "E": "\u0395\u0415\u0435\u13ac\ua4f0\u1d07",
    "B": "\u0392\u0412\u13f4\ua4d0\u0299",
    "A": "\u0391\u0410\u0430\ua4ee\u1d00",
    "C": "\u0421\u0441\u13df\ua4da\u1d04",
}
_ALIKE = {ord(letter): latin for latin, letters in _DRAWN_LIKE.items() for letter in letters}


def count(text: str) -> int:
    """How many words of real text there are. Scripts that are written without spaces count two characters as a word.

    A single letter of the Latin, Greek or Cyrillic alphabet counts beside two longer words, as "a" does in a sentence.
    """
    return _words(plain(text))


def count_code(text: str) -> int:
    """How many words there are where nothing is markup."""
    return _words(_seen(text))


def _words(text: str) -> int:
    words = letters = 0
    for run in re.findall(_WORD, text):
        if run[0] >= "\u2e80":
            words += max(1, len(run) // 2)
        elif len(run) > 1 or run >= "\u0530":
            words += 1
        else:
            letters += 1
    return words + min(letters, words // 2)


def placeholder(line: str) -> str:
    """The part of a line that shows that it still waits for its text; empty when nothing does."""
    if not line.strip():
        return ""
    item = re.match(ITEM, line)
    line = item[1] if item else line
    text = line.lstrip(" \t>*_#|").rstrip(" \t*_#|")[:_LOOKED_AT]
    if re.match(_PLACEHOLDER, text):
        return text[:40]
    # Quotes and brackets may stand before a placeholder; a backtick says that the text speaks about the word.
    bare = re.sub(r"^[^\w`]+", "", re.sub(r"[*_~\\]", "", plain(line)))
    bare = re.sub(r"^[0-9]{1,9}[.)][ \t]+[^\w`]*", "", bare)[:_LOOKED_AT].rstrip(f" \t#|)]}}{_CLOSING}")
    bare = bare if bare.isascii() else re.sub(_WORD, _as_latin, bare)
    return bare[:40] if re.match(_PLACEHOLDER, bare) else ""


def open_mark(comment: str) -> str:
    """The mark (`TODO`, `FIXME`, …) at the head of a comment in code that says that work is open; empty without one."""
    found = re.match(_OPEN, comment)
    return found[0] if found else ""


def plain(text: str) -> str:
    """A text as a reader sees it: without markup, entities as what they stand for, letters in their usual form."""
    if not text.isascii() or any(sign in text for sign in "<&]"):
        parts = re.split(_CODE_SPAN, text)
        parts[::2] = map(_without_markup, parts[::2])
        text = _seen("".join(parts))
    return text


def _without_markup(text: str) -> str:
    text = re.sub(_DEFINITION, " ", re.sub(_TARGET, "]", text))
    text = re.sub(_TAG, " ", re.sub(_INLINE_TAG, "", text))
    text = re.sub(_NUMERIC, _decoded, re.sub(_SHAPELESS, "", text))
    return re.sub(_NAMED, " ", text)


def _decoded(entity: re.Match[str]) -> str:
    number = int(entity[1]) if entity[1] else int(entity[2], 16)
    return chr(number) if 0 < number < 0x110000 else " "


def _seen(text: str) -> str:
    """The text in Unicode's compatibility form, without characters that have no shape or only add to another's."""
    if text.isascii():
        return text
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKC", text)
        if letter < "\x80" or not (letter in _FILLERS or unicodedata.category(letter) in _UNSEEN)
    )


def _as_latin(word: re.Match[str]) -> str:
    """A word with the letters that look Latin as what they look like, unless it is wholly Greek or Cyrillic."""
    letters = word[0]
    return letters if all("\u0370" <= letter <= "\u052f" for letter in letters) else letters.translate(_ALIKE)
