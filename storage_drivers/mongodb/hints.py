"""What a process watches, by the documents that change with it."""

from __future__ import annotations

from collections.abc import Iterable

from queues.model import Topic, TopicKind
from queues.wakeups import Heard
from storage_drivers.mongodb.layout import queue_id, told_id


class Hints:
    """Turns documents that have changed into hints about the topics that are watched."""

    def __init__(self) -> None:
        self.heard: Heard = _nobody
        self._topics: dict[str, Topic] = {}

    def add(self, topic: Topic) -> None:
        """Hint at the topic from now on."""
        self._topics.update(dict.fromkeys(_documents(topic), topic))

    def remove(self, topic: Topic) -> None:
        """Hint at the topic no more."""
        for document_id in _documents(topic):
            self._topics.pop(document_id, None)

    def clear(self) -> None:
        """Hint at nothing any more."""
        self.heard = _nobody
        self._topics.clear()

    def __len__(self) -> int:
        """Return how many documents are watched."""
        return len(self._topics)

    def __contains__(self, document_id: object) -> bool:
        """Say whether anybody wants to know when the document changes."""
        return document_id in self._topics

    def documents(self) -> list[str]:
        """Return the `_id` of all documents that are watched."""
        return list(self._topics)

    def of(self, document_ids: Iterable[str]) -> None:
        """Hint at what is watched of the documents."""
        topics = (self._topics.get(document_id) for document_id in document_ids)
        for topic in {topic for topic in topics if topic}:
            self.heard(topic)

    def of_everything(self) -> None:
        """Hint at everything: something may have been missed."""
        self.heard(None)


def _documents(topic: Topic) -> list[str]:
    told = told_id(topic.project, topic.kind, topic.name)
    if topic.kind == TopicKind.QUEUE:
        return [told, queue_id(topic.project, topic.name)]
    return [told]


def _nobody(_: Topic | None) -> None:
    """Nobody listens yet, or any more."""
