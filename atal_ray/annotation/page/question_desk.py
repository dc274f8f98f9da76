"""Who is asked what: questions lie in an order, are lent to people in small batches, and come back."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from atal_ray.annotation.page.answer_log import AnswerLog, LogEntry, latest
from atal_ray.annotation.page.answers_of_people import Said, labels_of
from atal_ray.errors import DataError
from atal_ray.seeding import rng

SHARED, CONTROL = "shared", "control"


class RoundClosed(DataError):
    """The round has taken its answers: nothing more is said of its questions."""


@dataclass
class _Person:
    lent: deque[int] = field(default_factory=deque)
    """Questions that they have, the next one first."""
    skipped: deque[int] = field(default_factory=deque)
    """Questions that they left for later."""
    done: list[int] = field(default_factory=list)
    """Questions that they answered, the last one last."""
    seen: float = 0.0
    """When they last did something."""
    taken: int = 0
    """Questions that were lent to them, control points apart."""


class QuestionDesk:
    """Lends questions and takes answers; every answer is in the log before the call returns.

    Args:
        count: of the questions, which are numbered in the order of asking.
        answered: questions that have an answer from elsewhere; they are not asked.
        log: of the answers, with those of earlier calls.
        shared: share of the questions that a second person is asked too.
        controls: pixels whose label is known, by numbers from `count` on -> label.
        control_share: of these for each question that a person gets.
        batch: questions that a person has at a time.
        away: seconds without a sign of life after which what a person has is lent to others.
        seed: of which questions are shared.
        now: the time in seconds.
    """

    def __init__(
        self,
        count: int,
        answered: Iterable[int],
        log: AnswerLog,
        *,
        shared: float = 0.0,
        controls: Mapping[int, int] | None = None,
        control_share: float = 0.0,
        batch: int = 8,
        away: float = 300.0,
        seed: int = 0,
        now: Callable[[], float],
    ) -> None:
        self.count, self.log, self.batch, self.away, self.now = count, log, batch, away, now
        self.controls, self.control_share, self.seed = dict(controls or {}), control_share, seed
        self.elsewhere = set(answered)
        self._closed = False
        self.said = latest(log.entries)
        self._answered = {*self.elsewhere, *(number for number in self.said if number < count)}
        self._shared = rng(seed, SHARED).random(count) < shared
        self._people: dict[str, _Person] = {}
        self._lock = threading.Lock()
        for entry in (one for one in log.entries if not one.review):
            person = self._person(entry.who)
            if entry.question in person.done:
                person.done.remove(entry.question)
            if entry.label is not None:
                person.done.append(entry.question)
        self._open = deque(
            number for number in range(count) if number not in self.elsewhere and number not in self.said
        )
        self._second = deque(number for number in self.said if self._wants_second(number))

    def ahead(self, who: str, most: int = 3) -> list[int]:
        """The questions that a person is asked next, the first one now; empty where none is left for them."""
        with self._lock:
            person = self._person(who)
            if not person.lent and not person.skipped:  # else a page that nobody looks at would keep them
                person.seen = self.now()
            self._take_back_from_the_absent()
            while len(person.lent) < max(most, 1) and self._lend(who, person):
                pass
            if not person.lent and person.skipped:
                person.lent, person.skipped = person.skipped, deque()
            return [*person.lent][:most]

    def answer(self, who: str, question: int, label: int, milliseconds: int) -> None:
        """Take an answer, or a correction of one of theirs; the same answer twice is one answer.

        Raises:
            DataError: the person was not asked this.
        """
        with self._lock:
            person = self._at_work(who)
            self._require_theirs(who, person, question)
            before = self.said.get(question, {}).get(who)
            if before is not None and before.label == label:
                return
            self._note(LogEntry(who, question, label, milliseconds, self.now()))
            for waiting in (person.lent, person.skipped):
                if question in waiting:
                    waiting.remove(question)
            if question in person.done:
                person.done.remove(question)
            person.done.append(question)
            if self._wants_second(question) and question not in self._second:
                self._second.append(question)

    def skip(self, who: str, question: int) -> None:
        """Let a question come back after all others.

        Raises:
            DataError: the person was not asked this.
        """
        with self._lock:
            person = self._at_work(who)
            if question not in person.lent:
                self._require_theirs(who, person, question)
                return
            person.lent.remove(question)
            person.skipped.append(question)

    def back(self, who: str) -> int | None:
        """Take a person's last answer back, and ask it next; None where there is none."""
        with self._lock:
            person = self._at_work(who)
            if not person.done:
                return None
            question = person.done[-1]
            self._note(LogEntry(who, question, None, 0, self.now()))
            person.done.pop()
            person.lent.appendleft(question)
            if question in self._second:
                self._second.remove(question)
            return question

    def review(self, who: str, question: int, label: int) -> None:
        """Take what somebody says who looks at answers: it goes before them.

        Raises:
            DataError: the question has no answer yet.
        """
        with self._lock:
            self._at_work(who)
            if question >= self.count or question not in self.said:
                raise DataError(f"question {question} has no answer yet, so there is nothing to review")
            self._note(LogEntry(who, question, label, 0, self.now(), review=True))

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._closed = True

    def may_see(self, who: str, question: int) -> bool:
        """Whether a person has a question, or somebody has answered it: then it may be reviewed."""
        with self._lock:
            person = self._person(who)
            if question < self.count and question in self.said:
                return True
            return any(question in some for some in (person.lent, person.skipped, person.done))

    def answered(self) -> int:
        """How many questions have an answer."""
        return len(self._answered)

    def snapshot(self) -> Said:
        """What was said so far, which later answers do not change."""
        with self._lock:
            return {question: dict(entries) for question, entries in self.said.items()}

    def labels(self) -> dict[int, int]:
        """The label of each question that was answered here."""
        with self._lock:
            return labels_of({number: said for number, said in self.said.items() if number < self.count})

    def _person(self, who: str) -> _Person:
        return self._people.setdefault(who, _Person())

    def _at_work(self, who: str) -> _Person:
        """A person who changes something; raises RoundClosed where nothing can be."""
        if self._closed:
            raise RoundClosed("this round has taken its answers: the next questions come")
        person = self._person(who)
        person.seen = self.now()
        return person

    def _require_theirs(self, who: str, person: _Person, question: int) -> None:
        if not any(question in some for some in (person.lent, person.skipped, person.done)):
            raise DataError(f"question {question} was not asked of {who}, or was lent to somebody else since")

    def _note(self, entry: LogEntry) -> None:
        self.log.add(entry)
        said = self.said.setdefault(entry.question, {})
        said.pop(entry.voice, None)
        if entry.label is not None:
            said[entry.voice] = entry
        if not said:
            del self.said[entry.question]
        if entry.question < self.count and entry.question not in self.elsewhere:
            (self._answered.add if said else self._answered.discard)(entry.question)

    def _wants_second(self, question: int) -> bool:
        return (
            question < self.count and bool(self._shared[question]) and len(self.said.get(question, {})) == 1
        )

    def _lend(self, who: str, person: _Person) -> bool:
        """Lend a batch of questions, those first that want a second answer; whether there was any."""
        # the second answers first: the round is taken when each question has one
        lent = [number for number in self._second if who not in self.said.get(number, {})][: self.batch]
        for number in lent:
            self._second.remove(number)
        lent += [self._open.popleft() for _ in range(min(self.batch - len(lent), len(self._open)))]
        person.lent.extend(self._with_controls(who, person, lent))
        return bool(lent)

    def _with_controls(self, who: str, person: _Person, lent: list[int]) -> list[int]:
        """A batch with control points among them that this person has not seen."""
        before, person.taken = person.taken, person.taken + len(lent)
        begin = float(rng(self.seed, CONTROL, who).random())  # so that few questions have some too
        due = int(person.taken * self.control_share + begin) - int(before * self.control_share + begin)
        waiting = {*person.lent, *person.skipped}
        unseen = [one for one in self.controls if one not in waiting and who not in self.said.get(one, {})]
        draw = rng(self.seed, CONTROL, who, before)
        for _ in range(min(due, len(unseen))):
            lent.insert(int(draw.integers(len(lent) + 1)), unseen.pop(int(draw.integers(len(unseen)))))
        return lent

    def _take_back_from_the_absent(self) -> None:
        limit = self.now() - self.away
        for person in self._people.values():
            if person.seen < limit and (person.lent or person.skipped):
                for number in sorted({*person.lent, *person.skipped}, reverse=True):
                    if number < self.count:
                        (self._second if number in self.said else self._open).appendleft(number)
                person.lent.clear()
                person.skipped.clear()
