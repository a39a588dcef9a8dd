"""The table of losses in the compiled library, as the Python packages need it. From its rows come the
operators of the library, and here the Python functions and the stub.
"""

import ast
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from textwrap import indent
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """An argument of a loss, as in its Python signature."""

    name: str
    type: str

    @property
    def is_labels(self) -> bool:
        return self.name == "labels"

    @property
    def is_matrix(self) -> bool:
        return self.type in ("Tensor", "Tensor | None") and not self.is_labels

    @property
    def is_number(self) -> bool:
        """A number, or an array of one element that gets a gradient."""
        return self.type == "float | Tensor"

    def checked(self, function: str) -> str:
        """A call that checks and converts a plain argument: number, whole, flag or choice."""
        where = f'"{function}", "{self.name}", {self.name}'
        if self.type.startswith("Literal"):
            return f"choice({where}, {self.type.removeprefix('Literal')})"
        return f"{ {'float': 'number', 'int': 'whole', 'bool': 'flag'}[self.type] }({where})"


@dataclass(frozen=True)
class Loss:
    """A row: the signature of a function without `recompute` and the result, and its documentation."""

    signature: str
    documentation: str

    @property
    def name(self) -> str:
        return self.signature.partition("(")[0]

    @cached_property
    def parameters(self) -> list[Parameter]:
        arguments = ast.parse(f"def {self.signature}: ...").body[0].args
        return [
            Parameter(argument.arg, ast.unparse(argument.annotation))
            for argument in (*arguments.args, *arguments.kwonlyargs)
        ]

    @property
    def matrices(self) -> list[str]:
        return [x.name for x in self.parameters if x.is_matrix]

    @property
    def numbers(self) -> list[str]:
        return [x.name for x in self.parameters if x.is_number]

    @property
    def has_labels(self) -> bool:
        return any(x.is_labels for x in self.parameters)

    @property
    def options(self) -> list[Parameter]:
        """The plain arguments."""
        return [
            x for x in self.parameters if not (x.is_matrix or x.is_number or x.is_labels)
        ]

    @property
    def differentiable(self) -> int:
        """The number of the operator's arguments that get gradients; they come first."""
        return len(self.matrices) + len(self.numbers)

    def declaration(self, argument: str, result: str) -> str:
        """The head of the function. `argument` and `result`: the framework's types of arrays."""
        signature = self.signature.removesuffix(")").replace("Tensor", argument)
        return f"def {signature}, recompute: bool | None = None) -> {result}:"

    def define(self, head: str, body: list[str], module: dict[str, Any]) -> Callable[..., Any]:
        """Makes the function in a module. Its source is kept for tracebacks and inspect.getsource."""
        source, file = "\n    ".join([head, *body]) + "\n", f"<{module['__package__']}.{self.name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), module)
        function = module[self.name]
        function.__doc__ = self.documentation
        return function


def choice(operator: str, argument: str, value: Any, allowed: list[str]) -> str:
    """One of a few words."""
    if value not in allowed:
        wanted = " or ".join(f'"{word}"' for word in allowed)
        raise ValueError(f"{operator}: {argument}: got {value!r}, wanted {wanted}")
    return value


def losses_of(table: str) -> list[Loss]:
    """The rows of the compiled library's table."""
    return [Loss(*row.split("\n", 1)) for row in table.split("\f")]


def stub(losses: list[Loss], imports: list[str], argument: str, result: str) -> str:
    """The text of _losses.pyi."""
    parts = [
        "# Written by _losses.stub(); a test compares them.",
        *imports,
        f"__all__ = {[loss.name for loss in losses]}".replace("'", '"'),
    ]
    for loss in losses:
        documentation = indent(loss.documentation, "    ").strip()
        parts.append(f'{loss.declaration(argument, result)}\n    """{documentation}"""')
    return "\n\n".join(parts) + "\n"
