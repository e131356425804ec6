"""Every text colour can be read on every ground it stands on, in both schemes (WCAG 2 AA: 4.5 to 1)."""

from __future__ import annotations

import re

import pytest

from fitq.dashboard.pages import STATIC

CSS = (STATIC / "style.css").read_text()
ROOTS = re.findall(r":root \{(.*?)\}", CSS, re.S)
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", root)) for root in ROOTS)
WORDS = ("text", "muted", "accent", "good", "bad", "warn", "work")
PAIRS = [
    *((word, ground) for word in WORDS for ground in ("ground", "surface", "sunken")),
    *(("text", ground) for ground in ("bad-ground", "warn-ground")),
    ("warn", "warn-ground"),
    ("muted", "bad-ground"),
    ("on-accent", "accent"),
    ("surface", "bad"),
]


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("text", "ground"), PAIRS)
@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(scheme: dict[str, str], text: str, ground: str) -> None:
    dark, light = sorted((luminance(scheme[text]), luminance(scheme[ground])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_nothing_comes_from_elsewhere_and_the_script_stays_small() -> None:
    assert "@import" not in CSS
    assert not re.findall(r"url\((?!\"data:image/svg)", CSS)
    script = (STATIC / "app.js").read_text()
    assert len(script.splitlines()) <= 150
    assert not re.findall(r"https?://|\beval\b|\.innerHTML\s*=|document\.write", script)
