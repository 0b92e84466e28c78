"""The figure of frame accuracy per user: lines don't cover text."""

from contextlib import contextmanager

import pytest

from eval.report import picture
from groundwork.pages.drawing import drawing


@pytest.mark.parametrize("accuracies", [[0.5], [1.0], [0.0], [0.97, 0.95], [1.0, 0.99, 0.98, 0.0]])
def test_the_line_at_the_mean_touches_no_number(card, monkeypatch, accuracies):
    """A mean just beyond a bar's end is where a number next to the bar would be."""
    seen = []

    @contextmanager
    def watched(**size):
        with drawing(**size) as (axes, content):
            seen.append(axes)
            yield axes, content
            axes.figure.canvas.draw()

    monkeypatch.setattr(picture, "drawing", watched)
    row, mean = card.per_user[0], sum(accuracies) / len(accuracies)
    users = tuple(row.model_copy(update={"user": f"P{n}", "frame_accuracy": a}) for n, a in enumerate(accuracies))
    per_user = card.overall.frame_accuracy.per_user.model_copy(update={"mean": mean})
    accuracy = card.overall.frame_accuracy.model_copy(update={"per_user": per_user})
    overall = card.overall.model_copy(update={"frame_accuracy": accuracy})
    picture.accuracy_picture(card.model_copy(update={"per_user": users, "overall": overall}))
    (axes,) = seen
    (line,) = axes.lines
    at_px = axes.transData.transform((line.get_xdata()[0], 0))[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(users) and all(box.x0 > at_px + 2 or box.x1 < at_px - 2 for box in boxes)
    assert all(box.x1 <= axes.get_window_extent().x1 + 1 for box in boxes)
