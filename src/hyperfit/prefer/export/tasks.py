"""All pairs of a study with what was said of them, as annotation tools import them."""

from collections import Counter, defaultdict
from typing import Any

import sqlalchemy as sa

from hyperfit.prefer.app.shown import pictures_of
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.store.judgements import judgements
from hyperfit.prefer.store.study import OpenStudy
from hyperfit.prefer.store.tables import Item

CHOICES = ("first", "second", "equal")


def argilla_records(study: OpenStudy) -> list[dict[str, Any]]:
    """Records as ``dataset.records.from_json`` of Argilla 2 reads them: the majority's answer as a suggestion.

    Its score is the share that chose it. Single answers would have to belong to users of that server, so they stand as
    counts in the metadata.
    """
    return [argilla_record(item, told) for item, told in items_with_judgements(study)]


def argilla_record(item: Item, told: list[Judgement]) -> dict[str, Any]:
    """One pair."""
    count = Counter[str](one.choice for one in told)
    record: dict[str, Any] = {
        "id": item.id,
        "fields": shown_to_people(item),
        "metadata": {**about(item), **{f"chose_{choice}": count[choice] for choice in CHOICES}},
        "suggestions": {},
        "responses": {},
        "vectors": {},
    }
    best = count.most_common(2)
    if best and (len(best) == 1 or best[0][1] > best[1][1]):
        share = best[0][1] / len(told)
        record["suggestions"]["preference"] = {"value": best[0][0], "score": share, "agent": "annotators"}
    return record


def label_studio_tasks(study: OpenStudy) -> list[dict[str, Any]]:
    """Tasks as Label Studio imports them, each with an annotation of every annotator.

    Their choices are those of a control ``preference`` on the text, or image, ``context``; further questions are
    controls of their own names.
    """
    return [
        {
            "data": {
                "item": item.id,
                **shown_to_people(item),
                "judges": [one.judge for one in told],
                **about(item),
            },
            "annotations": [label_studio_annotation(one) for one in told],
        }
        for item, told in items_with_judgements(study)
    ]


def label_studio_annotation(one: Judgement) -> dict[str, Any]:
    """One annotator's answers to a pair."""
    answers = {"preference": one.choice, **one.questions}
    result = [
        {"from_name": name, "to_name": "context", "type": "choices", "value": {"choices": [choice]}}
        for name, choice in answers.items()
    ]
    if one.comment:
        result.append(
            {"from_name": "comment", "to_name": "context", "type": "textarea", "value": {"text": [one.comment]}}
        )
    return {"result": result, "lead_time": one.seconds, "was_cancelled": False, "ground_truth": False}


def items_with_judgements(study: OpenStudy) -> list[tuple[Item, list[Judgement]]]:
    """The study's own items in their order, and all that was said of each, repeated and gold ones apart."""
    told: dict[str, list[Judgement]] = defaultdict(list)
    for one in judgements(study):
        if one.purpose == "study":
            told[one.item].append(one)
    with study.database.reading() as session:
        items = session.scalars(sa.select(Item).where(Item.purpose == "study").order_by(Item.number)).all()
        session.expunge_all()
    return [(item, told[item.id]) for item in items]


def shown_to_people(item: Item) -> dict[str, str]:
    """The beginning and both ends of a pair: texts, or of pictures the PNG files that the app draws, as data URIs."""
    drawn = pictures_of(item.context, item.first_text, item.second_text)
    if drawn is None:
        return {"context": item.context, "first_text": item.first_text, "second_text": item.second_text}
    return {"context": drawn.beginning, "first_text": drawn.left, "second_text": drawn.right}


def about(item: Item) -> dict[str, Any]:
    """What is known of a pair beside its texts."""
    return {
        "first": item.first,
        "second": item.second,
        "domain": item.domain,
        "tokens": item.tokens,
        "run": item.run,
    }
