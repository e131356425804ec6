"""Log bytes as text for a page: no colour codes, no control characters, progress bars folded.

Log lines are whatever a script printed. What comes out here is plain text; escaping is the template's.
"""

from __future__ import annotations

from fitq.printed import ESCAPE, plain_text

#: An escape longer than this is not waited for.
_ESCAPE_BYTES = 64


def log_text(data: bytes) -> str:
    """The text a terminal would have left on screen."""
    text = ESCAPE.sub("", data.decode("utf-8", "replace"))
    return plain_text("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")))


def whole_part(data: bytes) -> int:
    """How many bytes can be shown now: no character and no colour code is cut in two."""
    end = len(data)
    for back in range(1, min(4, end) + 1):
        lead = data[end - back]
        if lead >= 0xC0:  # the first byte of a character of 2, 3 or 4 bytes
            needed = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            end -= back if needed > back else 0
            break
        if lead < 0x80:
            break
    escape = data.rfind(b"\x1b", max(0, end - _ESCAPE_BYTES), end)
    if escape >= 0 and not ESCAPE.match(data[escape:end].decode("utf-8", "replace")):
        end = escape
    return end


def tail(text: str, most: int) -> tuple[str, bool]:
    """The last whole lines whose escaped length is about `most`, and whether something is left out."""
    size = 0
    lines = text.split("\n")
    for count, line in enumerate(reversed(lines)):
        size += len(line.encode()) + 1 + 4 * sum(map(line.count, "&<>\"'"))
        if size > most:
            return "\n".join(lines[len(lines) - count :]) or text[-most // 5 :], True
    return text, False
