"""The study as a table with one row per participant and thing, also for CSV."""

from collections.abc import Sequence

from groundwork.pages.cells import whole_percent
from groundwork.pages.table import Column, Table
from orbit_lite.studio.findings import findings
from orbit_lite.studio.study import Participant
from orbit_lite.studio.wording import wording


def study_table(participants: Sequence[Participant]) -> Table:
    """Videos, check, chance and test accuracy; shares in [0, 1], shown in percent, None where there is none."""
    words, rows = wording(), list[tuple[object, ...]]()
    for participant in participants:
        found = findings(participant)
        checked = {card.thing: card for card in found.cards}
        for thing in participant.things:
            card = checked.get(thing.name)
            rows.append(
                (
                    *(participant.name, thing.name, len(thing.teaching), len(thing.tests)),
                    *((card.right, card.chance) if card else (None, None)),
                    found.tested.get(thing.name),
                )
            )
    columns = (
        *(Column(words("table.participant"), name="participant"), Column(words("table.thing"), name="thing")),
        *(Column(words("table.videos"), name="videos"), Column(words("table.tests"), name="test_videos")),
        Column(words("table.check"), whole_percent, "right", "check_accuracy"),
        Column(words("table.chance"), whole_percent, "right", "chance"),
        Column(words("table.test"), whole_percent, "right", "test_accuracy"),
    )
    return Table(words("table.caption"), columns, tuple(rows))
