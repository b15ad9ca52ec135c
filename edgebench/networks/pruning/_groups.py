"""Groups of channels in any network: found, cut one after the other, and put back where the network cannot do without.

    dependency graph ─> groups ─> score of each channel ─> cut ─> does it run, and answer as with zeros? ─ no ─> back
                                                                                         │
                                                                                    next group

Imported by `channels` only: this imports torch and torch-pruning.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from edgebench.errors import UserError
from edgebench.networks import models, sparsity
from edgebench.networks.pruning._cuts import Cuts
from edgebench.networks.pruning._graph import ChannelGraph
from edgebench.networks.pruning._rounding import kept

if TYPE_CHECKING:
    from edgebench.networks.models import InputShape

Importance = Callable[[Any], "torch.Tensor | None"]
# How far answers may lie apart, relative to what the cut changes, and to the largest answer (sums in another order).
SAME_EFFECT, SAME = 0.05, 1e-5
IMAGES = 2

OUTPUT = "output layer"
COUPLED = "its channels are added to, or are, those of the answers"
UNSEEN = "other code uses its weights (attention, for example), so that its channels cannot be followed"
SWAPPED = "channels change places on the way (as in a shuffle), so that other ones would be removed"
RECURRENT = "recurrent layer"


@dataclass
class _Group:
    """root: what torch-pruning finds it by. layers: those that lose output channels; involved: all that lose any.
    scores: of the channels of each of `parts` equal parts.
    """

    root: nn.Module
    handler: Any
    channels: int
    parts: int
    each: bool
    scores: torch.Tensor
    layers: list[nn.Module]
    involved: list[Any]


def prune(model: nn.Module, input_shape: InputShape, importance: Importance, ratio: float, round_to: int) -> Cuts:
    """In place; the model ends in evaluation mode. Raises UserError for a network that cannot be followed."""
    names = {module: name for name, module in model.named_modules()}
    weighted = [layer for layer in names if isinstance(layer, _ConvNd | nn.Linear | nn.RNNBase | nn.Embedding)]
    before = {layer: _outputs(layer) for layer in weighted}
    untouched: dict[nn.Module, str] = {}
    answers = _answering(model, input_shape)
    untouched[answers] = OUTPUT
    sparsity.layers(model, input_shape)  # refuses layers that never run
    shared = _shared(model, names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch-pruning; what matters is checked here
            graph, example = _graph(model, input_shape)
            groups = list(_groups(graph, answers, importance))
    except Exception as error:  # torch-pruning follows the user's code
        text = (str(error).strip().splitlines() or [""])[0][:200]
        raise UserError(
            type(model).__name__,
            f"torch-pruning cannot follow its channels ({type(error).__name__}: {text})",
            "Prune single weights, for example with --method l1-global",
        ) from error
    for group in groups:
        number = group.channels - kept(group.channels, ratio, round_to, group.parts, each=group.each)
        reason = next((shared[layer] for layer in group.involved if layer in shared), "")
        if not reason and number == 0:
            reason = _rounded(group, ratio, round_to)
        if not reason:
            reason = _cut(model, graph, group, number, example)
        if reason:
            untouched |= {layer: reason for layer in group.layers if layer not in untouched}
    left = [layer for layer in weighted if _outputs(layer) == before[layer]]
    for layer in left:
        untouched.setdefault(layer, _why(layer, graph))
    return Cuts(
        removed=sum(before[layer] - _outputs(layer) for layer in weighted),
        of=sum(before.values()),
        untouched={names[layer]: untouched[layer] for layer in left},
    )


# ------------------------------------------------------------------ finding


def _graph(model: nn.Module, input_shape: InputShape) -> tuple[Any, torch.Tensor]:
    first = next(model.parameters())
    example = torch.randn(IMAGES, *input_shape, generator=torch.Generator().manual_seed(0)).to(first.dtype)
    frozen = [one for one in model.parameters() if not one.requires_grad]
    for parameter in frozen:  # the graph is that of the gradients
        parameter.requires_grad_(True)
    model.eval()
    try:
        with torch.enable_grad():
            graph = ChannelGraph().build_dependency(
                model, example_inputs=torch.zeros(1, *input_shape, dtype=first.dtype), verbose=False
            )
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    return graph, example


def _groups(graph: Any, answers: nn.Module, importance: Importance) -> Iterator[_Group]:
    """With the scores that they have before anything is cut."""
    roots = (_ConvNd, nn.Linear)
    with torch.no_grad():
        for found in graph.get_all_groups(ignored_layers=list(answers.modules()), root_module_types=roots):
            root, handler = found[0].dep.target.module, found[0].dep.handler
            layers = [item.dep.target.module for item in found if graph.is_out_channel_pruning_fn(item.dep.handler)]
            score = importance(found)
            channels = graph.get_out_channels(root)
            if score is None or channels == 1:
                continue
            involved = [item.dep.target.module for item in found]
            parts, each = _parts(involved)
            if len(score) % parts:
                continue
            mean = score.view(parts, -1).mean(0).cpu() if parts > 1 else score.cpu()
            yield _Group(root, handler, len(score), parts, each, mean, layers, involved)


def _parts(layers: list[Any]) -> tuple[int, bool]:
    """Of how many equal parts a group consists, and whether that is because of a grouped convolution."""
    convolutions = [one.groups for one in layers if isinstance(one, _ConvNd) and 1 < one.groups < one.out_channels]
    others = [one.num_groups for one in layers if isinstance(one, nn.GroupNorm)]
    others += [one.num_heads for one in layers if isinstance(one, nn.MultiheadAttention)]
    return max([1, *convolutions, *others]), bool(convolutions)


def _answering(model: nn.Module, input_shape: InputShape) -> nn.Module:
    """The last layer with weights that an image passes."""
    called = [layer for layer, _, _ in models.layer_calls(model, input_shape) if isinstance(layer, _ConvNd | nn.Linear)]
    if not called:
        raise UserError("pruning method channels", "the network has no layer with channels", "Prune another network")
    return called[-1]


def _shared(model: nn.Module, names: dict[nn.Module, str]) -> dict[nn.Module, str]:
    """Layers whose weights another layer uses as well -> the reason."""
    owners: dict[int, list[nn.Module]] = {}
    for layer in names:
        for parameter in layer.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(layer)
    return {
        layer: f"shares its weights with '{names[next(other for other in layers if other is not layer)]}'"
        for layers in owners.values()
        if len(set(layers)) > 1
        for layer in layers
    }


# ------------------------------------------------------------------ cutting


def _cut(model: nn.Module, graph: Any, group: _Group, number: int, example: torch.Tensor) -> str:
    """Remove so many channels of a group; if the network cannot do without, nothing, and the reason."""
    size = group.channels // group.parts
    least = torch.topk(group.scores, number // group.parts, largest=False).indices
    indices = sorted(int(one) + part * size for one in least for part in range(group.parts))
    restore = _memory(model, graph)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            doomed = graph.get_pruning_group(group.root, group.handler, indices)
            if not graph.check_pruning_group(doomed):
                return "its channels cannot be followed to all layers that use them"
            dense, expected = model(example), _with_zeros(model, doomed, example)
            doomed.prune()
            given = model(example)
    except Exception as error:  # the user's code may raise anything
        restore()
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        text = textwrap.shorten(text, 120, placeholder=" ...")
        return f"the network does not run without some of its channels ({text})"
    if given.shape != dense.shape:
        restore()
        return "the number of answers would change"
    if expected is not None:
        effect, largest = (float(one.abs().max()) for one in (dense - expected, dense))
        if not float((expected - given).abs().max()) <= max(SAME_EFFECT * effect, SAME * largest):
            restore()
            return SWAPPED
    return ""


def _with_zeros(model: nn.Module, doomed: Any, example: torch.Tensor) -> torch.Tensor | None:
    """The answers if nothing used these channels; None where a normalisation over channels makes that another network.

    For that the weights of all layers that use the channels are zero for the moment.
    """
    held: list[tuple[torch.Tensor, torch.Tensor]] = []
    known = _ConvNd | nn.Linear | nn.modules.batchnorm._BatchNorm | _InstanceNorm | nn.PReLU | nn.Parameter
    if not all(_passes(item.dep.target.module, known) for item in doomed):
        return None
    try:
        for item in doomed:
            layer = item.dep.target.module
            into = doomed._DG.is_in_channel_pruning_fn(item.dep.handler)
            if not into or not isinstance(layer, _ConvNd | nn.Linear) or _is_depthwise(layer):
                continue
            weight = layer.weight.data
            held.append((weight, weight.clone()))
            groups = getattr(layer, "groups", 1)
            axis = 0 if getattr(layer, "transposed", False) else 1
            indices = [one for one in item.idxs if one < weight.shape[axis]] if groups > 1 else list(item.idxs)
            weight.index_fill_(axis, torch.tensor(indices, dtype=torch.long), 0)
        answers: torch.Tensor = model(example)
        return answers
    finally:
        for weight, before in held:
            weight.copy_(before)


def _passes(layer: Any, known: Any) -> bool:
    """Whether a channel stays by itself in it, or is only used by it."""
    if isinstance(layer, nn.GroupNorm | nn.LayerNorm):
        return False
    return isinstance(layer, known) or not isinstance(layer, nn.Module) or not list(layer.parameters())


def _is_depthwise(layer: Any) -> bool:
    return isinstance(layer, _ConvNd) and layer.groups > 1 and layer.groups == layer.out_channels


def _memory(model: nn.Module, graph: Any) -> Callable[[], None]:
    """A function that puts the network and the graph back to what they are now. Nothing is copied but references."""
    layers = [(layer, dict(vars(layer)), dict(layer._parameters), dict(layer._buffers)) for layer in model.modules()]
    nodes = [(node, node.module) for node in graph.module2node.values()]
    places, parameters = dict(graph.module2node), dict(graph._param_to_name)

    def restore() -> None:
        for layer, attributes, weights, buffers in layers:
            vars(layer).clear()
            vars(layer).update(attributes)
            layer._parameters, layer._buffers = weights, buffers
        for node, module in nodes:
            node.module = module
        graph.module2node, graph._param_to_name = places, parameters

    return restore


# ------------------------------------------------------------------ words


def _rounded(group: _Group, ratio: float, round_to: int) -> str:
    """Why a group keeps all its channels."""
    size = group.channels // group.parts if group.each else group.channels
    what = f"{size} channels in each of its {group.parts} groups" if group.each else f"{size} channels"
    asked = max(1, int(size * (1 - ratio)))
    return f"{what} stay {size}: {asked} rounded up (--option round_to={round_to})"


def _why(layer: nn.Module, graph: Any) -> str:
    if isinstance(layer, nn.RNNBase):
        return RECURRENT
    if _outputs(layer) == 1:
        return "one channel"
    if layer not in graph.module2node:
        return UNSEEN
    return COUPLED


def _outputs(layer: nn.Module) -> int:
    """Output channels."""
    if isinstance(layer, _ConvNd):
        return layer.out_channels
    if isinstance(layer, nn.RNNBase):
        return layer.hidden_size
    if isinstance(layer, nn.Embedding):
        return layer.embedding_dim
    return int(layer.out_features)  # type: ignore[arg-type]
