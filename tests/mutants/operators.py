"""The mutants of one file: positions from its syntax tree, edits on its text.

Code that no behaviour depends on is not mutated: log calls, texts, annotations, imports,
assertions, declarations. Nor are numbers at module and class level, and the digits that are shown
of one: they were chosen freely, and a test that fixes them would say nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.mutants.mutant import Mutant

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
SUMS: dict[type[ast.operator], tuple[str, str]] = {ast.Add: (r"\+", "-"), ast.Sub: ("-", "+")}
EXTREMES = {"min": "max", "max": "min"}

LOGS = {"log", "access_log", "logging"}
NOTERS = {"self", "handler"}  # whose `note` adds to the log line
TEXTS = {"__repr__", "__str__", "status"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def mutants(file: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a file, in the order of their places."""
    visitor = _Visitor(file, source)
    visitor.visit(ast.parse(source, file))
    found = {mutant.key: mutant for mutant in visitor.found}
    return sorted(found.values(), key=lambda mutant: (mutant.start, mutant.end, mutant.replacement))


def _head(node: ast.stmt) -> tuple[int, int]:
    """Return the first and the last line of a statement, without those inside it."""
    inner = [one.lineno for one in ast.walk(node) if isinstance(one, ast.stmt) and one is not node]
    last = min(inner) - 1 if inner else node.end_lineno or 0
    return node.lineno, max(node.lineno, last)


class _Visitor(ast.NodeVisitor):
    """The walk through a file that collects its mutants."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file = file
        self.source = source
        self.lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.path: list[str] = []
        self.inside: list[Function] = []
        self.executed: tuple[int, int] | None = None
        self.found: list[Mutant] = []

    # --- places ----------------------------------------------------------------------------------

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def _put(self, operator: str, start: int, end: int, replacement: str) -> None:
        line = self.source.count(b"\n", 0, start) + 1
        first, last = self.starts[line - 1], self.starts[self.source.count(b"\n", 0, end) + 1]
        before = self.source[first:last]
        after = self.source[first:start] + replacement.encode() + self.source[end:last]
        old, new = (" ".join(text.decode().split()) for text in (before, after))
        place = self.file, ".".join(self.path), line
        self.found.append(
            Mutant(*place, operator, start, end, replacement, old, new, self.executed)
        )

    def _replace(self, operator: str, node: ast.expr | ast.stmt, replacement: str) -> None:
        self._put(operator, *self._span(node), replacement)

    def _between(
        self, operator: str, left: ast.expr, right: ast.expr, pattern: str, replacement: str
    ) -> None:
        """Replace the operator's token, which is between its operands."""
        start, end = self._span(left)[1], self._span(right)[0]
        gap = self.source[start:end].decode()
        for match in re.finditer(rf"#.*|({pattern})", gap):
            if match[1]:
                begin = start + len(gap[: match.start()].encode())
                self._put(operator, begin, begin + len(match[1].encode()), replacement)
                return
        raise AssertionError(f"{self.file}:{left.end_lineno}: no {pattern!r} in {gap!r}")

    def visit(self, node: ast.AST) -> None:
        """Visit a node, and know meanwhile what is executed where a change of it is noticed: its
        statement, or the head of a compound one; for a signature the function's body."""
        before = self.executed
        match node:
            case ast.stmt() if self.inside:
                self.executed = _head(node)
            case ast.match_case(guard=ast.expr() as guard) if self.inside:
                self.executed = guard.lineno, guard.end_lineno or 0
            case ast.arguments() if self.inside and node is self.inside[-1].args:
                body = self.inside[-1].body
                self.executed = body[0].lineno, body[-1].end_lineno or 0
        super().visit(node)
        self.executed = before

    def _visit_all(self, nodes: Iterator[ast.AST] | list[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    # --- what is not mutated ---------------------------------------------------------------------

    def visit_Assert(self, node: ast.Assert) -> None: ...

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_arg(self, node: ast.arg) -> None: ...

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.path.append(node.name)
        self._visit_all([*node.body])
        self.path.pop()

    def _visit_function(self, node: Function) -> None:
        if node.name in TEXTS:
            return
        self.path.append(node.name)
        self.inside.append(node)
        self._visit_all([node.args, *node.body])
        self.inside.pop()
        self.path.pop()

    visit_FunctionDef = _visit_function  # noqa: N815
    visit_AsyncFunctionDef = _visit_function  # noqa: N815

    # --- branches --------------------------------------------------------------------------------

    def _constant_branch(self, test: ast.expr) -> None:
        named = isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"
        if not named and not isinstance(test, ast.Constant):
            self._replace("branch", test, "True")
            self._replace("branch", test, "False")

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test).startswith("__name__ ==") or self._only_logs(node):
            return
        self._constant_branch(node.test)
        self.generic_visit(node)

    def _only_logs(self, node: ast.If) -> bool:
        """Return whether the branch decides only what the log says."""
        return not node.orelse and all(
            isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) and self._logs(one.value)
            for one in node.body
        )

    def visit_While(self, node: ast.While) -> None:
        self._constant_branch(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._constant_branch(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._constant_branch(test)
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        if node.guard is not None:
            self._constant_branch(node.guard)
            self.visit(node.guard)
        self._visit_all([*node.body])

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        neutral = "True" if isinstance(node.op, ast.And) else "False"
        for operand in node.values:
            self._replace("operand", operand, neutral)
        self.generic_visit(node)

    # --- statements left out ---------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call):
            if self._logs(call):
                return
            self._replace("call", node, "pass")
        self.generic_visit(node)

    @staticmethod
    def _logs(call: ast.Call) -> bool:
        match call.func:
            case ast.Attribute(ast.Name(name), attribute):
                return name in LOGS or (name in NOTERS and attribute == "note")
        return False

    def visit_Assign(self, node: ast.Assign) -> None:
        if not self.inside:
            return
        if self.inside[-1].name != "__init__" and all(map(self._is_state, node.targets)):
            self._replace("state", node, "pass")
        self.generic_visit(node)

    def _is_state(self, target: ast.expr) -> bool:
        """Return whether the target outlives the function: without a plain name there is only a
        NameError."""
        if isinstance(target, ast.Tuple):
            return all(map(self._is_state, target.elts))
        return isinstance(target, ast.Attribute | ast.Subscript)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self.inside and node.value is not None:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace("state", node, "pass")
        self._sum(node.op, node.target, node.value, "=")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._replace("state", node, "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        returns = self.inside[-1].returns
        optional = returns is not None and re.search(r"\| None$|^Optional", ast.unparse(returns))
        if optional and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._replace("return", node.value, "None")
        self.generic_visit(node)

    # --- operators and values --------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            self._between("comparison", left, right, *COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._sum(node.op, node.left, node.right)
        self.generic_visit(node)

    def _sum(
        self, operator: ast.operator, left: ast.expr, right: ast.expr, suffix: str = ""
    ) -> None:
        texts = any(
            isinstance(side, ast.JoinedStr | ast.List | ast.ListComp)
            or (isinstance(side, ast.Constant) and not isinstance(side.value, int | float))
            for side in (left, right)
        )
        if type(operator) in SUMS and not texts:
            pattern, replacement = SUMS[type(operator)]
            self._between("sum", left, right, pattern + suffix, replacement + suffix)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in EXTREMES:
            self._replace("extreme", node.func, EXTREMES[node.func.id])
        if isinstance(node.func, ast.Name) and node.func.id == "round":
            self.visit(node.args[0])  # how many digits are shown is chosen freely
            return
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg != "strict":  # of zip: an assertion
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace("constant", node, str(not node.value))
        elif isinstance(node.value, int | float):
            self._replace("constant", node, repr(node.value + 1))
