"""Sphinx configuration of feaug's documentation site, which scripts/site builds."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

root = pathlib.Path(__file__).resolve().parents[2]
numbers = re.findall(
    r"^#define FEAUG_VERSION_\w+ (\d+)$",
    (root / "include/feaug/version.hpp").read_text(encoding="utf-8"),
    re.MULTILINE,
)

project = "feaug"
release = version = ".".join(numbers)
project_copyright = "feaug's authors, Apache-2.0"

extensions = ["myst_parser", "katex"]
exclude_patterns = ["README.md"]  # included by the front page

# Syntax that GitHub supports, too: ```math for formulas, # anchors of headings.
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"feaug {release}"
html_static_path = ["static"]
html_css_files = ["feaug.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f6f54", "color-brand-content": "#1f6f54"},
    "dark_css_variables": {"color-brand-primary": "#7fd1b0", "color-brand-content": "#7fd1b0"},
}
