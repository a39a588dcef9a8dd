#!/usr/bin/env python3
"""Draws architectures.svg: the positions of the feature augmentation FA and the predictor h in each architecture."""

import pathlib

ROWS = [
    ("basic", ["z_a"], ["sg z_b", "FA"]),
    ("pre_predictor", ["z_a", "FA", "h"], ["sg z_b"]),
    ("post_predictor", ["z_a", "h", "FA"], ["sg z_b"]),
    ("parallel_predictor", ["z_a", "h"], ["sg z_b", "FA"]),
]
COLOURS = {"FA": "#f4a259", "h": "#5b8e7d"}
WIDTH, ROW, BOX, GAP = 860, 92, 64, 26


def chain(names, x, y, towards_right):
    """Draws boxes from the view (at x) towards the loss, with arrows. Returns the x of the inner end, and the SVG."""
    svg = []
    for position, name in enumerate(names):
        left = x if towards_right else x - BOX
        colour = COLOURS.get(name, "#e9ecef")
        svg.append(f'<rect x="{left}" y="{y}" width="{BOX}" height="34" rx="7" fill="{colour}" stroke="#343a40"/>')
        svg.append(f'<text x="{left + BOX / 2}" y="{y + 22}" text-anchor="middle">{name}</text>')
        start = left + BOX if towards_right else left
        end = start + GAP if towards_right else start - GAP
        x = end
        if position + 1 < len(names):
            svg.append(f'<line x1="{start}" y1="{y + 17}" x2="{end}" y2="{y + 17}" stroke="#343a40" marker-end="url(#tip)"/>')
        else:
            x = start
    return x, svg


def main():
    height = ROW * (len(ROWS) - 1) + 106
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="15">',
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="9" refY="4" orient="auto">'
        '<path d="M0,0 L9,4 L0,8 z" fill="#343a40"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="190" y="24" fill="#495057">prediction, from view a</text>',
        '<text x="840" y="24" fill="#495057" text-anchor="end">target, from view b</text>',
    ]
    for number, (name, prediction, target) in enumerate(ROWS):
        y = 50 + ROW * number
        svg.append(f'<text x="16" y="{y + 22}" font-weight="bold">{name}</text>')
        left, boxes = chain(prediction, 190, y, True)
        svg += boxes
        right, boxes = chain(target, 840, y, False)
        svg += boxes
        middle = 560
        svg.append(f'<circle cx="{middle}" cy="{y + 17}" r="22" fill="#dee2ff" stroke="#343a40"/>')
        svg.append(f'<text x="{middle}" y="{y + 22}" text-anchor="middle">loss</text>')
        for start, end in ((left, middle - 22), (right, middle + 22)):
            svg.append(f'<line x1="{start}" y1="{y + 17}" x2="{end}" y2="{y + 17}" stroke="#343a40" marker-end="url(#tip)"/>')
    svg.append("</svg>")
    path = pathlib.Path(__file__).with_name("architectures.svg")
    path.write_text("\n".join(svg) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
