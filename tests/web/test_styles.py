"""What the checks in a browser take for granted of the style sheets."""

import re

import pytest

from tests.support.servers import ROOT

SHEETS = ["static/portal.css", "portal/sandbox/pages/static/sandbox.css"]
COLORS_ALONE = re.compile(r"\s*:root \{\s*(?:--[\w-]+: #[0-9a-f]{6};\s*)+\}\s*\}")


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_color_scheme_changes_nothing_but_colors(sheet: str) -> None:
    """light-dark() takes colors alone, so tests.browser.checks looks at a dark page for its colors only."""
    text = (ROOT / sheet).read_text()
    rules = text.split("@media (prefers-color-scheme: dark) {")[1:]
    assert len(rules) == text.count("prefers-color-scheme")
    assert rules or "light-dark(" in text
    for rule in rules:
        assert COLORS_ALONE.match(rule), rule[:300]
