"""Formulas by KaTeX, from this site's own files: pages read well without a network."""

import pathlib
import shutil

from sphinx.application import Sphinx
from sphinx.errors import ConfigError

KATEX = pathlib.Path("/usr/share/javascript/katex")  # Debian's libjs-katex
PARTS = ["katex.min.js", "katex.min.css", "fonts"]


def inline(self, node):
    self.body.append(f'<span class="tex">{self.encode(node.astext())}</span>')
    raise_skip()


def block(self, node):
    self.body.append(f'<div class="tex" data-display>{self.encode(node.astext())}</div>')
    raise_skip()


def raise_skip():
    from docutils.nodes import SkipNode

    raise SkipNode


def copy_katex(app: Sphinx, problem: Exception | None) -> None:
    if problem is not None or app.builder.format != "html":
        return
    to = pathlib.Path(app.outdir) / "_static" / "katex"
    to.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        if (KATEX / name).is_dir():
            # Browsers that KaTeX supports take woff2.
            for font in (KATEX / name).resolve().glob("*.woff2"):
                (to / name).mkdir(exist_ok=True)
                shutil.copy(font, to / name / font.name)
        else:
            shutil.copy(KATEX / name, to / name)


def setup(app: Sphinx) -> dict[str, bool]:
    if not (KATEX / "katex.min.js").exists():
        raise ConfigError(f"no {KATEX}: install libjs-katex and fonts-katex")
    app.add_html_math_renderer("katex", (inline, None), (block, None))
    app.config.html_math_renderer = "katex"
    app.add_css_file("katex/katex.min.css")
    app.add_js_file("katex/katex.min.js", loading_method="defer")
    app.add_js_file("formulas.js", loading_method="defer")
    app.connect("build-finished", copy_katex)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
