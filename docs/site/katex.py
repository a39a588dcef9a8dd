"""Sphinx extension that renders formulas with KaTeX when the site is built, so that pages need no script and
no network. A formula that KaTeX cannot parse causes a warning."""

import functools
import pathlib
import shutil
from collections.abc import Callable

import quickjs
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util import logging

KATEX = pathlib.Path("/usr/share/javascript/katex")  # Debian's libjs-katex

logger = logging.getLogger(__name__)


@functools.cache
def renderer() -> Callable[[str, bool], str]:
    context = quickjs.Context()
    context.eval((KATEX / "katex.min.js").read_text(encoding="utf-8"))
    return context.eval(
        "(tex, displayMode) => katex.renderToString(tex, {displayMode, strict: 'error'})"
    )


def rendered(node: nodes.Node, tex: str, display: bool) -> str:
    try:
        return renderer()(tex, display)
    except quickjs.JSException as problem:
        logger.warning("formula: %s", str(problem).splitlines()[0], location=node)
        return ""


def inline(self, node: nodes.math) -> None:
    self.body.append(rendered(node, node.astext(), False))
    raise nodes.SkipNode


def block(self, node: nodes.math_block) -> None:
    """A formula's parts, separated by \\qquad, are separate elements, so that a narrow screen shows them one below the other."""
    parts = [rendered(node, part, True) for part in node.astext().split(r"\qquad")]
    self.body.append(
        f'<div class="formula">{"".join(f"<span>{part}</span>" for part in parts)}</div>'
    )
    raise nodes.SkipNode


def copy_style(app: Sphinx, problem: Exception | None) -> None:
    if problem is not None:
        return
    to = pathlib.Path(app.outdir) / "_static" / "katex"
    (to / "fonts").mkdir(parents=True, exist_ok=True)
    shutil.copy(KATEX / "katex.min.css", to)
    for font in (KATEX / "fonts").glob("*.woff2"):  # current browsers read woff2
        shutil.copy(font, to / "fonts")


def setup(app: Sphinx) -> dict[str, bool]:
    for needed in ("katex.min.js", "fonts"):
        if not (KATEX / needed).exists():
            raise ConfigError(f"no {KATEX / needed}: install libjs-katex and fonts-katex")
    app.add_html_math_renderer("katex", (inline, None), (block, None))
    app.config.html_math_renderer = "katex"
    app.add_css_file("katex/katex.min.css")
    app.connect("build-finished", copy_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
