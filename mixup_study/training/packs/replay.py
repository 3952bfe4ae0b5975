"""Functions of ``torch.func`` recorded as the plain operations that they come to, and replayed on fixed memory.

``vmap`` and ``grad`` find out at every call what to do, and every operation asks for memory for its result; for small
networks that takes longer than the arithmetic. A recording does both once, as a CUDA graph does on a GPU.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functionalize
from torch.fx import Graph, Node, map_arg
from torch.fx.experimental.proxy_tensor import make_fx

from mixup_study.training.packs.slices import allocate, is_aligned

aten = torch.ops.aten
_RESHAPES = (aten.expand.default, aten.view.default, aten._unsafe_view.default)
_PRODUCTS = (aten.bmm.default, aten.baddbmm.default)
"""How they are rounded may depend on where the matrices of their results begin."""
_OF_SHAPES = (aten.ones_like.default, aten.zeros_like.default, aten.full_like.default, aten.new_zeros.default)
"""Their results do not depend on what their inputs hold."""


def record(function: Callable[..., Sequence[Tensor]], arguments: Sequence[Tensor]) -> Graph:
    """Return the operations of ``function(*arguments)``, for arguments of these shapes, types and devices.

    It must be a function of tensors alone whose control flow does not depend on what they hold.
    """
    graph: Graph = make_fx(functionalize(function))(*arguments).graph
    _simplify(graph)
    return graph


class Replay:
    """A recording, to be run again and again on whatever ``arguments`` hold by then."""

    def __init__(self, graph: Graph, arguments: Sequence[Tensor]) -> None:
        """Run it once, and keep the memory of every result for the next time."""
        self._calls: list[Callable[[], Any]] = []
        placeholders = iter(arguments)
        values: dict[Node, Any] = {}
        for node in graph.nodes:
            if node.op == "placeholder":
                values[node] = next(placeholders)
            elif node.op == "call_function":
                values[node] = self._recorded(node, values)
        output = next(node for node in graph.nodes if node.op == "output")
        self.results: list[Tensor] = [values[node] for node in output.args[0]]
        """What the recorded function returns; every run replaces their content."""

    def run(self) -> None:
        """Compute the results anew."""
        for call in self._calls:
            call()

    def _recorded(self, node: Node, values: dict[Node, Any]) -> Any:
        """Return the result of an operation; unless it only looks at its inputs in another way, record it."""
        operation: Any = node.target
        inputs = map_arg(node.args, values.__getitem__)
        options = map_arg(node.kwargs, values.__getitem__)
        result = operation(*inputs, **options)
        if operation is operator.getitem or operation in _OF_SHAPES:
            return result
        if isinstance(result, Tensor):
            sources = [values[source].untyped_storage().data_ptr() for source in node.all_input_nodes]
            if result.untyped_storage().data_ptr() not in sources:
                if operation in _PRODUCTS and not is_aligned(result):
                    dense, result = result, allocate(result)[0]
                    result.copy_(dense)
                self._calls.append(_into(result, operation, inputs, options))
        else:
            self._calls.append(lambda: _copy_each(result, operation(*inputs, **options)))
        return result


def _copy_each(results: Sequence[Tensor | None], values: Sequence[Tensor]) -> None:
    for result, new in zip(results, values, strict=True):
        if result is not None:
            result.copy_(new)


def _into(result: Tensor, operation: Any, inputs: Sequence[Any], options: dict[str, Any]) -> Callable[[], Any]:
    """Return what computes an operation again and writes to ``result``, without memory of its own where it can."""

    def taken(schema: Any) -> list[str]:
        return [f"{argument.type} {argument.name}" for argument in schema.arguments if not argument.is_out]

    packet = operation.overloadpacket
    for variant in (getattr(packet, name) for name in packet.overloads()):
        outputs = [argument.name for argument in variant._schema.arguments if argument.is_out]
        if len(outputs) == 1 and taken(variant._schema) == taken(operation._schema):
            return partial(variant, *inputs, **options, **{outputs[0]: result})
    return lambda: result.copy_(operation(*inputs, **options))


def _simplify(graph: Graph) -> None:
    """Leave out operations that return what they are given, and make one of a product and its sum."""
    for node in list(graph.nodes):
        simpler = _simpler(graph, node) if node.op == "call_function" else None
        if simpler is not None:
            node.replace_all_uses_with(simpler)
            graph.erase_node(node)
    graph.eliminate_dead_code()


def _simpler(graph: Graph, node: Node) -> Node | None:
    operation, inputs = node.target, node.args
    source = inputs[0] if inputs and isinstance(inputs[0], Node) else None
    if source is None:
        return None
    if operation in _RESHAPES and _shape(node) == _shape(source):
        return source
    if operation is aten.mul.Scalar and inputs[1] == 1:
        return source
    if operation is aten.add.Tensor and not node.kwargs:
        product = inputs[1]
        if isinstance(product, Node) and product.target is aten.bmm.default and len(product.users) == 1:
            with graph.inserting_before(node):
                fused = graph.call_function(aten.baddbmm.default, (source, *product.args))
            fused.meta = node.meta
            return fused
    return None


def _shape(node: Node) -> torch.Size:
    shape: torch.Size = node.meta["tensor_meta"].shape
    return shape
