#!/usr/bin/env python3
"""Draws layers.svg: the layers of the headers and the includes between them."""

import pathlib

ROOMS = ["step, diagnostics", "loss", "augment", "queue", "core"]
COLUMNS = [
    ("include/feaug/cpu", "how a CPU does it", "#5b8e7d"),
    ("include/feaug", "contracts: options, argument checks, formulas", "#e9ecef"),
    ("cuda/feaug/cuda", "how a GPU does it", "#f4a259"),
]
WIDTH, BOX, GAP, ROW, TALL, TOP = 860, 220, 80, 62, 36, 112


def main():
    height = TOP + ROW * len(ROOMS)
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="15">',
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="9" refY="4" orient="auto">'
        '<path d="M0,0 L9,4 L0,8 z" fill="#343a40"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    lefts = [20 + column * (BOX + GAP) for column in range(len(COLUMNS))]
    for left, (folder, what, colour) in zip(lefts, COLUMNS):
        middle = left + BOX / 2
        svg.append(f'<text x="{middle}" y="66" text-anchor="middle" font-weight="bold">{folder}</text>')
        svg.append(f'<text x="{middle}" y="88" text-anchor="middle" fill="#495057" font-size="13">{what}</text>')
        for row, room in enumerate(ROOMS):
            y = TOP + ROW * row
            svg.append(f'<rect x="{left}" y="{y}" width="{BOX}" height="{TALL}" rx="7" fill="{colour}" stroke="#343a40"/>')
            svg.append(f'<text x="{middle}" y="{y + 23}" text-anchor="middle">{room}</text>')
            if row + 1 < len(ROOMS):
                svg.append(f'<line x1="{middle}" y1="{y + TALL}" x2="{middle}" y2="{y + ROW}" stroke="#343a40" marker-end="url(#tip)"/>')
    for row in range(len(ROOMS)):
        y = TOP + ROW * row + TALL / 2
        for start, end in ((lefts[0] + BOX, lefts[1]), (lefts[2], lefts[1] + BOX)):
            svg.append(f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="#343a40" marker-end="url(#tip)"/>')
    # The headers that include a backend and the backend-independent headers.
    for name, first, last in (("feaug/feaug.hpp", 0, 1), ("feaug/feaug.cuh", 1, 2)):
        left, right = lefts[first] + (0 if first == 0 else BOX / 2 + 6), lefts[last] + (BOX if last == 2 else BOX / 2 - 6)
        svg.append(f'<rect x="{left}" y="10" width="{right - left}" height="32" rx="7" fill="#dee2ff" stroke="#343a40"/>')
        svg.append(f'<text x="{(left + right) / 2}" y="31" text-anchor="middle">{name}</text>')
    svg.append("</svg>")
    path = pathlib.Path(__file__).with_name("layers.svg")
    path.write_text("\n".join(svg) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
