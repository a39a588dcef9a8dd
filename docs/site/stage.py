#!/usr/bin/env python3
"""Prepares Sphinx's source folder: the repository's pages, at the same relative paths, and the API reference.

Links between pages are not changed. A link to the README is replaced by a link to the front page, which
includes it. A link to any other file or folder of the repository is replaced by a link to a generated page
that shows it.
"""

import argparse
import pathlib
import re
import shutil
import sys

import api_pages

PAGES = [
    "docs/*.md",
    "examples/README.md",
    "examples/*/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
]
FRAME = ["index.md", "operators.md"]  # files of docs/site that are copied to the root of the source folder
PICTURES = ["docs/pictures/**/*.svg", "docs/pictures/**/*.png"]
LANGUAGES = {
    ".cpp": "cpp",
    ".hpp": "cpp",
    ".cu": "cuda",
    ".cuh": "cuda",
    ".py": "python",
    ".json": "json",
}
FENCE = re.compile(r"^ *(`{3,}|~{3,})", re.MULTILINE)
LINK = re.compile(r"(?<!!)(?P<text>\[[^\]]*\])\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


class Stage:
    def __init__(self, root: pathlib.Path, output: pathlib.Path):
        self.root = root.resolve()
        self.output = output
        self.pages = {path.resolve() for glob in PAGES for path in self.root.glob(glob)}
        self.shown: set[pathlib.Path] = set()

    def write(self, place: str, text: str) -> None:
        path = self.output / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def copy(self, path: pathlib.Path) -> None:
        place = self.output / path.relative_to(self.root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)

    def linked(self, page: pathlib.Path, text: str) -> str:
        """The page's text, with links to files that are not pages replaced."""

        def lead(match: re.Match[str]) -> str:
            target = (page.parent / match["target"]).resolve()
            if target in self.pages or not target.is_relative_to(self.root) or not target.exists():
                return match[0]  # Sphinx reports it if it is broken
            up = "../" * len(page.relative_to(self.root).parent.parts)
            if target == self.root / "README.md":
                return f"{match['text']}({up}index.md{match['anchor'] or ''})"
            self.shown.add(target)
            return f"{match['text']}({up}files/{target.relative_to(self.root)}.md)"

        parts, at, fence = [], 0, None
        for mark in FENCE.finditer(text):
            if fence is None:
                parts.append(LINK.sub(lead, text[at : mark.start()]))
                fence, at = mark[1], mark.start()
            elif mark[1].startswith(fence):
                parts.append(text[at : mark.end()])
                fence, at = None, mark.end()
        parts.append(LINK.sub(lead, text[at:]) if fence is None else text[at:])
        return "".join(parts)

    def show(self, target: pathlib.Path) -> None:
        """Writes a page that shows a file, or all files of a folder."""
        name = str(target.relative_to(self.root))
        files = (
            [target] if target.is_file() else sorted(p for p in target.rglob("*") if p.is_file())
        )
        text = f"---\norphan: true\n---\n\n# {name}\n"
        for path in files:
            if path != target:
                text += f"\n## {path.relative_to(target)}\n"
            language = LANGUAGES.get(path.suffix, "text")
            text += f"\n`````{language}\n{path.read_text(encoding='utf-8')}\n`````\n"
        self.write(f"files/{name}.md", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--xml", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    stage = Stage(arguments.root, arguments.output)
    for page in sorted(stage.pages):
        text = page.read_text(encoding="utf-8")
        stage.write(str(page.relative_to(stage.root)), stage.linked(page, text))
    readme = stage.root / "README.md"
    stage.write("README.md", stage.linked(readme, readme.read_text(encoding="utf-8")))
    for name in FRAME:
        stage.write(name, (stage.root / "docs/site" / name).read_text(encoding="utf-8"))
    for glob in PICTURES:
        for picture in stage.root.glob(glob):
            stage.copy(picture)
    for target in sorted(stage.shown):
        stage.show(target)
    for place, text in api_pages.pages(stage.root, arguments.xml).items():
        stage.write(f"api/{place}", text)


if __name__ == "__main__":
    sys.exit(main())
