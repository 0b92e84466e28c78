"""Runs a task's extractor with its norms folded into its convolutions, which adds a joint at the folded weights.

All passes over images run without norms, which is faster and stores fewer activations for the backward pass. Gradients
accumulate at the folded weights and are propagated to the extractor's own parameters in one pass.
"""

from functools import partial

from torch import Tensor

from orbit_lite.models.engines.encoder import ChosenEngine, CurrentEncoder, by_frames
from orbit_lite.models.engines.folding import FoldedEngine, FoldedNet, folded_net
from orbit_lite.models.extractor import Extractor, ExtractorState
from orbit_lite.models.gradients.chain import Encode, Joint


class TaskExtractor:
    """Encodes a task's items, with and without graph.

    encode: maps one chunk of items to features (n, width), with graph if gradients are on.
    without_graph: the same, without graph.
    """

    encode: Encode
    without_graph: Encode

    def __init__(self, extractor: Extractor, state: ExtractorState | None = None, *, bf16: bool = False) -> None:
        """Encodes like `Extractor.encode`; in bfloat16 norms are not folded."""
        self._joint: Joint | None = None
        self.encode = self.without_graph = partial(extractor.encode, state=state, bf16=bf16)
        if bf16 or (folded := folded_net(extractor)) is None:
            return
        weights = folded.weights(extractor.net, state, with_graph=True)
        if _costs_more(folded, extractor, weights):
            self.without_graph = CurrentEncoder(ChosenEngine(FoldedEngine()), extractor, state)
            return
        self._joint = Joint({name: value for name, value in weights.items() if value.requires_grad})
        run = folded.encoder(extractor, weights | self._joint.leaves)
        self.encode = self.without_graph = partial(by_frames, run)

    def back_propagate(self) -> None:
        """Propagate the accumulated gradient to the parameters of the extractor and the state. Call it once, at the
        end."""
        if self._joint:
            self._joint.back_propagate()


def _costs_more(folded: FoldedNet, extractor: Extractor, weights: dict[str, Tensor]) -> bool:
    """Whether folding would compute a gradient for a frozen convolution because its norm learns."""
    own = dict(extractor.net.named_parameters())
    names = [f"{conv}.weight" for conv in folded.pairs]
    return any(weights[name].requires_grad and not own[name].requires_grad for name in names)
