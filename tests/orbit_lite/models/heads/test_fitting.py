import pytest
import torch

from orbit_lite.models.heads.cosine import CosineClassifier
from orbit_lite.models.heads.fitting import LinearClassifier, class_means, head_tensors, with_tensors


def test_class_means_by_hand() -> None:
    features = torch.tensor([[1.0, 0.0], [5.0, 5.0], [3.0, 0.0]])
    assert class_means(features, torch.tensor([1, 0, 1]), way=2).tolist() == [[5.0, 5.0], [2.0, 0.0]]


@pytest.mark.parametrize(
    ("labels", "way", "words"),
    [([0, 2, 2], 3, "class 1 of 3"), ([0, 0, 0], 3, "class 1, 2 of 3"), ([0, 1, 2], 2, "outside 0..1"),
     ([0, 1, -1], 2, "outside 0..1")],
)  # fmt: skip
def test_a_class_without_items_is_named(labels: list[int], way: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        class_means(torch.ones(3, 2), torch.tensor(labels), way=way)


def test_a_linear_classifier_is_one_product() -> None:
    head = LinearClassifier(weight=torch.tensor([[1.0, 2.0], [0.0, -1.0]]), bias=torch.tensor([0.5, 0.0]))
    assert head.logits(torch.tensor([[3.0, 4.0]])).tolist() == [[11.5, -4.0]]  # 3 + 8 + 0.5; -4


def test_a_heads_tensors_can_be_read_and_replaced() -> None:
    head = CosineClassifier(torch.eye(2), scale=8.0)
    assert head_tensors(head).keys() == {"means"}
    changed = with_tensors(head, {"means": torch.tensor([[0.0, 1.0], [1.0, 0.0]])})
    assert changed.logits(torch.tensor([[2.0, 0.0]])).tolist() == [[0.0, 8.0]]
    assert head.logits(torch.tensor([[2.0, 0.0]])).tolist() == [[8.0, 0.0]]
