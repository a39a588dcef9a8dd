#!/usr/bin/env python3
"""Extracts the C++ code blocks of the documentation into files, so that a test can compile them.

Reads the ```cpp and ```cuda blocks of Markdown pages and of comments in headers, writes one C++
file per block, and prints the files' names.

- A ```cuda block becomes NAME_cuda.cpp; it is compiled for the CPU emulation of CUDA (tests/simt).
- A block with `int main` becomes NAME_program.cpp.
- Every other block becomes NAME_fragment.cpp.

A CUDA block or fragment that does not start with #include gets cuda_prelude.hpp or
snippet_prelude.hpp, which declare the names that the documentation uses. Its code is wrapped in a
function, unless it starts with a definition (type, template, namespace, …).

#line directives make compiler messages refer to the line of the page.
"""

import argparse
import pathlib
import re
import sys

FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,}) *(?P<tag>.*?) *$")
CPP_TAGS = {"cpp", "c++", "cxx", "cc", "cuda"}
MAIN = re.compile(r"^\s*(int|auto) +main *\(", re.MULTILINE)
FILE_SCOPE = re.compile(
    r"(template|struct|class|enum|namespace|concept|inline|static_assert|using namespace)\b")
HEADER_COMMENT = re.compile(r"^ *///? ?(?P<text>.*)$")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def comments_of(header):
    """A header's comments as a page. Lines of code become empty lines, so that line numbers stay the same."""
    lines = map(HEADER_COMMENT.match, header.splitlines())
    return "\n".join(line["text"] if line else "" for line in lines)


def cpp_blocks(page, text):
    """Yields (line number of the first line, whether it is CUDA, code) of every C++ block."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        number += 1
        if not opening:
            continue
        begin = number
        while number < len(lines):
            closing = FENCE.match(lines[number])
            if (closing and not closing["tag"] and closing["marks"][0] == opening["marks"][0]
                    and len(closing["marks"]) >= len(opening["marks"])):
                break
            number += 1
        else:
            sys.exit(f"{page}:{begin}: this code block is never closed")
        block = lines[begin:number]
        number += 1
        words = opening["tag"].split()
        if not words or words[0].lower() not in CPP_TAGS:
            continue
        if len(words) > 1:
            sys.exit(f"{page}:{begin}: '{opening['tag']}': every C++ block is compiled, "
                     "so none may carry more than its language")
        indent = len(opening["indent"])
        yield begin + 1, words[0].lower() == "cuda", "\n".join(line[indent:] if line[:indent].isspace() else line
                                   for line in block)


def as_file(page, line, is_cuda, code):
    """(kind, contents) of the C++ file of one block."""
    mark = f'#line {line} "{page}"\n'
    kind = "cuda" if is_cuda else "fragment"
    if MAIN.search(code) and not is_cuda:
        return "program", f"{mark}{code}\n"
    bare = COMMENT.sub("", code).lstrip()
    if bare.startswith("#include"):
        return kind, f"{mark}{code}\n"
    prelude = f'#include "{"cuda" if is_cuda else "snippet"}_prelude.hpp"\n\n'
    if FILE_SCOPE.match(bare):
        return kind, f"{prelude}{mark}{code}\n"
    return kind, f"{prelude}void snippet();\nvoid snippet() {{\n{mark}{code}\n}}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("pages", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()

    arguments.output.mkdir(parents=True, exist_ok=True)
    written = set()
    for page in arguments.pages:
        name = re.sub(r"\W+", "_", str(page.relative_to(arguments.root).with_suffix("")))
        text = page.read_text(encoding="utf-8")
        if page.suffix != ".md":
            text = comments_of(text)
        for number, (line, is_cuda, code) in enumerate(cpp_blocks(page, text), start=1):
            kind, content = as_file(page, line, is_cuda, code)
            path = arguments.output / f"snippet_{name}_{number}_{kind}.cpp"
            if not path.exists() or path.read_text(encoding="utf-8") != content:
                path.write_text(content, encoding="utf-8")
            written.add(path)
            print(path)
    for stale in set(arguments.output.glob("*.cpp")) - written:
        stale.unlink()


if __name__ == "__main__":
    main()
