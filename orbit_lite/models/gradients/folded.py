"""A task's extractor with its norms taken into its convolutions: one more joint, at the folded weights.

All passes over images run without norms, which takes less time and keeps fewer activations for the way back. Their
gradients add up at the folded weights, and go from there to the extractor's own parameters in one go.
"""

from functools import partial

from torch import Tensor

from orbit_lite.models.engines.encoder import ChosenEngine, CurrentEncoder, by_frames
from orbit_lite.models.engines.folding import FoldedEngine, FoldedNet, folded_net
from orbit_lite.models.extractor import Extractor, ExtractorState
from orbit_lite.models.gradients.chain import Encode, Joint


class TaskExtractor:
    """What encodes a task's items, with graph and without.

    encode: one chunk of items to features (n, width), with graph if gradients are on. without_graph: the same.
    """

    encode: Encode
    without_graph: Encode

    def __init__(self, extractor: Extractor, state: ExtractorState | None = None, *, bf16: bool = False) -> None:
        """As `Extractor.encode` would; in bfloat16 it is that."""
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
        """Send the gradient that has added up on, to the extractor's parameters and the state's. Once, at the end."""
        if self._joint:
            self._joint.back_propagate()


def _costs_more(folded: FoldedNet, extractor: Extractor, weights: dict[str, Tensor]) -> bool:
    """Whether a convolution that has nothing to learn would get a gradient, for its norm has."""
    own = dict(extractor.net.named_parameters())
    names = [f"{conv}.weight" for conv in folded.pairs]
    return any(weights[name].requires_grad and not own[name].requires_grad for name in names)
