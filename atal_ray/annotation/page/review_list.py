"""Which answers a review shows: those of a group, in an order."""

import numpy as np
import pyarrow as pa

from atal_ray.annotation.page.answers_of_people import disputed
from atal_ray.annotation.page.question_desk import QuestionDesk
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE

DISPUTED = "disputed"
GROUPS = {"foreground": SALIENT, "background": BACKGROUND, "unsure": UNSURE, DISPUTED: None}
"""Group -> label of its questions; `disputed` are those of which people said different things."""
ORDERS = ("image", "doubt")
"""In the order of asking, or those first of which the networks were least sure."""


def review_list(desk: QuestionDesk, questions: pa.Table, group: str, by: str) -> list[int]:
    """The numbers of the answered questions of a group.

    Args:
        desk: with the answers.
        questions: rows of QUERY_SCHEMA by their numbers.
        group: one of `GROUPS`.
        by: one of `ORDERS`.
    """
    if group == DISPUTED:
        said = desk.snapshot()
        numbers = sorted(one for one, entries in said.items() if one < desk.count and disputed(entries))
    else:
        numbers = sorted(one for one, label in desk.labels().items() if label == GROUPS[group])
    if by == "image" or not numbers:
        return numbers
    doubt = questions["score"].take(pa.array(numbers)).to_numpy()
    return [numbers[at] for at in np.argsort(-doubt, kind="stable")]
