"""Generates the API reference as Markdown pages, one per topic, from Doxygen's XML.

Breathe is not used: feaug's declarations are mostly constrained templates of options and views, which
Sphinx's C++ domain prints as one long line. Here a declaration is a formatted block of C++, followed by
its comment.
"""

import dataclasses
import fnmatch
import pathlib
import re
import textwrap
import xml.etree.ElementTree as ElementTree

Element = ElementTree.Element

# Topic: title, the page that explains it, patterns of its headers. A header belongs to the first topic with
# a matching pattern; a header without one is an error. "*" at the start matches both the backend-independent
# header and the CPU's.
PAGES = {
    "view": ("View", "view", ["core/tensor_view.hpp", "core/element.hpp"]),
    "operand": ("Operand", "operand", ["core/operand.hpp", "core/l2_norm.hpp"]),
    "context": (
        "Context and errors",
        "context",
        [
            "cpu/core/context.hpp",
            "core/any_context.hpp",
            "core/product_precision.hpp",
            "core/error.hpp",
            "cpu/core/instruction_set.hpp",
            "cpu/core/workspace.hpp",
            "cpu/core/thread_pool.hpp",
            "cpu/core/executor.hpp",
            "core/basic_workspace.hpp",
            "core/columns.hpp",
        ],
    ),
    "random": ("Random draws", "random", ["core/random*.hpp", "core/draws.hpp"]),
    "augmentation": (
        "Augmentation",
        "augmentation",
        ["augment/augmentation.hpp", "augment/elementwise.hpp", "*augment/*.hpp", "core/row_selection.hpp"],
    ),
    "queue": (
        "Queue",
        "queue",
        ["queue/support_queue.hpp", "queue/nearest.hpp", "*queue/*.hpp", "core/exact_dot.hpp"],
    ),
    "loss": ("Loss", "loss", ["core/reduce.hpp", "*loss/*.hpp"]),
    "step": ("Step", "step", ["*step/*.hpp"]),
    "diagnostics": ("Diagnostics", "diagnostics", ["*diagnostics/*.hpp"]),
    "interop": ("Other people's tensors", "view", ["interop/*.hpp"]),
    "cuda": ("On a GPU", "cuda", ["cuda/core/context.cuh", "cuda/core/*.cuh", "cuda/*/*.cuh"]),
}

LINE = 88  # a longer declaration has one line per parameter


@dataclasses.dataclass
class Entry:
    """One public name in one header, with all its overloads."""

    name: str
    header: str
    line: int
    parts: list[str] = dataclasses.field(default_factory=list)  # Markdown
    label: str = ""


def escaped(text: str) -> str:
    """Text with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#|~$^!])", r"\\\1", text)


def plain(element: Element | None) -> str:
    """The text of an element without markup, with C++ spacing as in feaug."""
    text = "" if element is None else "".join(element.itertext())
    return spelled(" ".join(text.split()))


def spelled(code: str) -> str:
    """Removes Doxygen's spaces (`view< T > &` becomes `view<T>&`) and the prefix feaug::."""
    code = re.sub(r"<\s+", "<", code)
    code = re.sub(r"\s+>", ">", code)
    code = re.sub(r" ([&*]+)$", r"\1", code)
    return code.replace("feaug::", "")


def comment(element: Element) -> str:
    """A definition's comment as Markdown."""
    blocks: list[str] = []
    for kind in ("briefdescription", "detaileddescription"):
        for child in element.iterfind(f"{kind}/*"):
            blocks += paragraphs(child)
    return "\n\n".join(block for block in blocks if block.strip())


def paragraphs(para: Element) -> list[str]:
    blocks = [""]

    def add(text: str | None) -> None:
        blocks[-1] += escaped(re.sub(r"\s+", " ", text or ""))

    add(para.text)
    for child in para:
        if child.tag in ("computeroutput", "ref"):
            words = " ".join("".join(child.itertext()).split())
            blocks[-1] += f"`{words}`" if child.tag == "computeroutput" else escaped(words)
        elif child.tag in ("verbatim", "preformatted"):
            lines = textwrap.dedent("".join(child.itertext())).strip("\n")
            blocks += [f"```text\n{lines}\n```", ""]
        elif child.tag == "ulink":
            blocks[-1] += f"[{escaped(''.join(child.itertext()))}]({child.get('url')})"
        elif child.tag == "itemizedlist":
            items = [" ".join(sum((paragraphs(p) for p in item), [])).strip() for item in child]
            blocks += ["\n".join(f"* {item}" for item in items), ""]
        elif child.tag == "ndash":
            add("–")
        else:
            raise SystemExit(f"api_pages: a comment has <{child.tag}>, which no page can show")
        add(child.tail)
    return [block.strip() if not block.startswith("```") else block for block in blocks]


def template_line(element: Element) -> str:
    parameters = element.find("templateparamlist")
    if parameters is None:
        return ""
    words = []
    for parameter in parameters:
        word = plain(parameter.find("type"))
        name, default = plain(parameter.find("declname")), plain(parameter.find("defval"))
        words.append(f"{word}{' ' + name if name else ''}{' = ' + default if default else ''}")
    requires = plain(element.find("requiresclause"))
    return f"template <{', '.join(words)}>\n" + (f"requires {requires}\n" if requires else "")


def function(member: Element) -> str:
    words = []
    for parameter in member.findall("param"):
        word, name = plain(parameter.find("type")), plain(parameter.find("declname"))
        default = plain(parameter.find("defval"))
        words.append(f"{word} {name}".strip() + (f" = {default}" if default else ""))
    arguments = plain(member.find("argsstring"))
    after = spelled(arguments[arguments.rindex(")") + 1 :]).replace("=default", " = default")
    static = "static " if member.get("static") == "yes" else ""
    opening = f"{static}{plain(member.find('type'))} {member.findtext('name')}(".lstrip()
    head = template_line(member)
    if not head and (requires := plain(member.find("requiresclause"))):
        after += f" requires {requires}"
    one_line = f"{opening}{', '.join(words)}){after};"
    if len(one_line) <= LINE:
        return head + one_line
    return head + opening + "\n    " + ",\n    ".join(words) + f"){after};"


def variable(member: Element) -> str:
    value = plain(member.find("initializer"))
    array = plain(member.find("argsstring"))
    static = "static " if member.get("static") == "yes" else ""
    return (
        f"{template_line(member)}{static}{plain(member.find('type'))} {member.findtext('name')}"
        f"{array}{' ' + value if value else ''};"
    )


def alias(member: Element) -> str:
    kind = plain(member.find("type"))
    return f"{template_line(member)}using {member.findtext('name')} = {kind};"


DECLARATIONS = {"function": function, "variable": variable, "typedef": alias}


def with_comment(declaration: str, element: Element, members: list[tuple[str, str]]) -> str:
    """The declaration as code, its comment, and the members' comments as a list."""
    text = f"```cpp\n{declaration}\n```\n\n{comment(element)}"
    described = [f"* `{name}`: {words}" for name, words in members if words]
    return text.rstrip() + ("\n\n" + "\n".join(described) if described else "")


def enumeration(member: Element) -> str:
    values = member.findall("enumvalue")
    names = ", ".join(value.findtext("name") or "" for value in values)
    members = [(value.findtext("name") or "", one_line(comment(value))) for value in values]
    return with_comment(f"enum class {member.findtext('name')} {{ {names} }};", member, members)


def one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text)


def member_name(member: Element) -> str:
    """The name of a member in the list of members; a function with its parameters, because of overloads."""
    name = member.findtext("name") or ""
    if member.get("kind") != "function":
        return name
    parameters = [parameter.findtext("declname") for parameter in member.findall("param")]
    return f"{name}({', '.join(word for word in parameters if word)})"


def compound(definition: Element) -> str:
    """A struct or class with its public members."""
    name = (definition.findtext("compoundname") or "").split("::")[-1]
    bases = [plain(base) for base in definition.findall("basecompoundref")]
    lines, members = [], []
    for section in definition.findall("sectiondef"):
        for member in section.findall("memberdef"):
            kind = member.get("kind") or ""
            if member.get("prot") != "public" or kind not in DECLARATIONS:
                continue
            lines += DECLARATIONS[kind](member).splitlines()
            members.append((member_name(member), one_line(comment(member))))
    inside = "\n" + "".join(f"  {line}\n" for line in lines) if lines else ""
    base = f" : {', '.join(bases)}" if bases else ""
    head = f"{template_line(definition)}{definition.get('kind')} {name}{base} "
    return with_comment(f"{head}{{{inside}}};", definition, members)


def concept(definition: Element) -> str:
    name = (definition.findtext("compoundname") or "").split("::")[-1]
    text = "".join(definition.find("initializer").itertext())  # the whole declaration
    condition = text.split(" = ", 1)[1].strip().replace("feaug::", "")
    declaration = f"{template_line(definition)}concept {name} = {condition.rstrip(';')};"
    return with_comment(declaration, definition, [])


def public_names(xml: pathlib.Path) -> list[tuple[str, Element]]:
    """(name, definition) of everything directly in namespace feaug, without specialisations."""
    found: list[tuple[str, Element]] = []
    for path in sorted(xml.glob("*.xml")):
        for definition in ElementTree.parse(path).getroot().findall("compounddef"):
            name = definition.findtext("compoundname") or ""
            if definition.get("kind") == "namespace" and name == "feaug":
                for member in definition.iter("memberdef"):
                    found.append((member.findtext("name") or "", member))
            elif definition.get("kind") in ("struct", "class", "union", "concept"):
                if re.fullmatch(r"feaug::\w+", name):
                    found.append((name.removeprefix("feaug::"), definition))
    return found


def markdown(definition: Element) -> str:
    kind = definition.get("kind") or ""
    if kind in DECLARATIONS:
        return with_comment(DECLARATIONS[kind](definition), definition, [])
    return {"enum": enumeration, "concept": concept}.get(kind, compound)(definition)


def read_entries(xml: pathlib.Path) -> list[Entry]:
    entries: dict[tuple[str, str], Entry] = {}
    for name, definition in public_names(xml):
        place = definition.find("location")
        assert place is not None
        header, line = place.get("file") or "", int(place.get("line") or 0)
        entry = entries.setdefault((header, name), Entry(name, header, line))
        entry.line = min(entry.line, line)
        entry.parts.append(markdown(definition))
    # Headers of the CPU before those of CUDA.
    return sorted(entries.values(), key=lambda e: (e.header.startswith("cuda"), e.header, e.line))


def short(header: str) -> str:
    """include/feaug/loss/x.hpp: loss/x.hpp; cuda/feaug/cuda/loss/x.cuh: cuda/loss/x.cuh."""
    return header.split("feaug/", 1)[1]


def noun_of(header: str) -> tuple[str, int]:
    """The topic of the header, and its position on that topic's page."""
    for noun, (_, _, patterns) in PAGES.items():
        for place, pattern in enumerate(patterns):
            if fnmatch.fnmatchcase(short(header), pattern):
                return noun, place
    raise SystemExit(f"api_pages: {header} has public names, and no page in PAGES takes it")


def opening_comment(root: pathlib.Path, header: str) -> str:
    """The opening comment of a header, as Markdown; lines in a fence and indented lines are code."""
    blocks: list[tuple[bool, list[str]]] = []
    fenced = False
    for line in (root / header).read_text(encoding="utf-8").splitlines():
        if not line.startswith("//"):
            break
        line = line.removeprefix("//").removeprefix(" ")
        if line.startswith("```"):
            fenced = not fenced
            continue
        code = fenced or line.startswith(" ")
        is_break = not fenced and not line.strip()
        if is_break or not blocks or blocks[-1][0] != code:
            blocks.append((code, []))
        blocks[-1][1].append(line if fenced else line.strip())
    texts = [
        "```cpp\n" + "\n".join(lines) + "\n```" if code else escaped(" ".join(lines).strip())
        for code, lines in blocks
    ]
    return "\n\n".join(text for text in texts if text)


def pages(root: pathlib.Path, xml: pathlib.Path) -> dict[str, str]:
    """The texts of the pages, by file name."""
    entries = read_entries(xml)
    texts: dict[str, str] = {}
    for noun, (title, page, _) in PAGES.items():
        own = [entry for entry in entries if noun_of(entry.header)[0] == noun]
        # The backend-independent header of an operator, then the CPU's.
        headers = sorted({e.header for e in own}, key=lambda h: (noun_of(h)[1], pathlib.Path(h).name, "/cpu/" in h))
        text = f"# {title}: reference\n\n[{page}](../docs/{page}.md) says how these go together.\n"
        for header in headers:
            text += f"\n## {escaped(short(header))}\n\n{opening_comment(root, header)}\n"
            for entry in (e for e in own if e.header == header):
                entry.label = re.sub(r"\W", "-", f"{short(header)}-{entry.name}")
                text += f"\n({entry.label})=\n\n### {escaped(entry.name)}\n\n"
                text += "\n\n".join(entry.parts) + "\n"
        texts[f"{noun}.md"] = text
    texts["index.md"] = index(entries)
    return texts


def index(entries: list[Entry]) -> str:
    """The index page: links to the topics and an alphabetical list of all names."""
    text = "# Reference\n\nEvery public name, from the headers' comments. All are in `namespace feaug`.\n\n"
    links = "\n".join(f"{title} <{noun}>" for noun, (title, _, _) in PAGES.items())
    text += f"```{{toctree}}\n:maxdepth: 1\n\n{links}\n```\n\n## All names\n\n"
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(entry.name, []).append(entry)
    for name in sorted(by_name):
        places = [f"[{short(entry.header)}](#{entry.label})" for entry in by_name[name]]
        text += f"* `{name}`: {', '.join(places)}\n"
    return text
