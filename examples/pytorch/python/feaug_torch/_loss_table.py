"""The table of losses in the compiled library. From its rows come the operators, and here the
Python functions with their checks, and the stub:

    python -c 'from feaug_torch import _loss_table; print(_loss_table.stub(), end="")' > _losses.pyi
"""

import ast
from dataclasses import dataclass
from functools import cached_property
from textwrap import indent

import torch

RECOMPUTE = "recompute: bool | None = None"


@dataclass(frozen=True)
class Parameter:
    """An argument of a loss, as in its Python signature."""

    name: str
    type: str

    @property
    def is_matrix(self) -> bool:
        return self.type in ("Tensor", "Tensor | None") and self.name != "labels"

    @property
    def is_number(self) -> bool:
        return self.type == "float | Tensor"

    def checked(self, function: str) -> str:
        """The expression for the operator's plain argument."""
        where = f'"{function}", "{self.name}", {self.name}'
        if self.is_number:
            return f"plain_{self.name}"
        if self.type == "float":
            return f"number({where})"
        if self.type == "int":
            return f"whole({where})"
        if self.type.startswith("Literal"):
            return f"choice({where}, {self.type.removeprefix('Literal')})"
        return self.name


@dataclass(frozen=True)
class Loss:
    """A row: the signature of a function without `recompute`, and its documentation."""

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
    def differentiable(self) -> int:
        """The number of the operator's arguments that get gradients; they come first."""
        return sum(parameter.is_matrix or parameter.is_number for parameter in self.parameters)

    def declaration(self) -> str:
        return f"def {self.signature.removesuffix(')')}, {RECOMPUTE}) -> Tensor:"

    def definition(self) -> str:
        """The function's source."""
        numbers = [x.name for x in self.parameters if x.is_number]
        arguments = [
            f"_ops.{self.name}",
            f"[{', '.join(x.name for x in self.parameters if x.is_matrix)}]",
            f"[{', '.join(f'learnable_{name}' for name in numbers)}]",
            *("whole_numbers(labels)" for x in self.parameters if x.name == "labels"),
            *(
                x.checked(self.name)
                for x in self.parameters
                if not x.is_matrix and x.name != "labels"
            ),
            "recompute=recompute",
        ]
        lines = [
            f'plain_{name}, learnable_{name} = number_or_tensor("{self.name}", "{name}", {name})'
            for name in numbers
        ]
        lines.append(f"return _run({', '.join(arguments)})")
        return "\n    ".join([self.declaration(), *lines]) + "\n"


def losses() -> list[Loss]:
    """The rows of the loaded library."""
    return [Loss(*row.split("\n", 1)) for row in torch.ops.feaug.loss_table().split("\f")]


def stub() -> str:
    """The text of _losses.pyi."""
    parts = [
        "# Written by _loss_table.py; a test compares them.",
        "from typing import Literal",
        "from torch import Tensor",
        f"__all__ = {[loss.name for loss in losses()]}".replace("'", '"'),
    ]
    for loss in losses():
        documentation = indent(loss.documentation, "    ").strip()
        parts.append(f'{loss.declaration()}\n    """{documentation}"""')
    return "\n\n".join(parts) + "\n"
