#!/usr/bin/env python3
"""Fails if a public name that Doxygen found has no heading in the site's reference."""

import argparse
import html.parser
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


class Headings(html.parser.HTMLParser):
    """The texts of a page's third-level headings."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.inside = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "h3":
            self.inside = True
        elif tag == "a":  # the permalink inside the heading
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.names.add(data.strip())


def public_names(xml: pathlib.Path) -> set[str]:
    """The public names, read from Doxygen's index, which lists every compound and its members."""
    names = set()
    for compound in ElementTree.parse(xml / "index.xml").getroot():
        name, kind = compound.findtext("name") or "", compound.get("kind")
        if kind == "namespace" and name == "feaug":
            members = (member for member in compound if member.get("kind") != "enumvalue")
            names |= {member.findtext("name") or "" for member in members} - {""}
        elif kind in ("struct", "class", "union", "concept") and name.startswith("feaug::"):
            own = name.removeprefix("feaug::")
            if own.isidentifier():  # otherwise a nested class or a specialisation
                names.add(own)
    return names


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xml", type=pathlib.Path, required=True)
    parser.add_argument("--site", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    names = public_names(arguments.xml)
    if not names:
        return f"check_names: no name in {arguments.xml}"
    headings = Headings()
    for page in (arguments.site / "api").glob("*.html"):
        headings.feed(page.read_text(encoding="utf-8"))
    if missing := sorted(names - headings.names):
        return f"check_names: on no page of the reference: {', '.join(missing)}"
    print(f"check_names: {len(names)} names, each on a page")
    return None


if __name__ == "__main__":
    sys.exit(main())
