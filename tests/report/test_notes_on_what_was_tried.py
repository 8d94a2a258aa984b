"""What baby_mobilenet's notes say of the settings that were tried comes from the committed records."""

from dataclasses import dataclass

import pytest

from bench.report.claims.tuning_runs import tried_rows
from bench.report.records.aggregate import Row, summarize
from tests.report.committed import committed_records, notes_of


@dataclass(frozen=True)
class Tried:
    """What came of one setting; accuracies in per cent."""

    sound: float  # on validation images
    published: float  # on the same, in train mode
    train: float
    loss: float

    def fits(self, accuracy: float) -> bool:
        """Whether it, and training, are within the margins of `bench verdict` of the paper's figures."""
        return abs(accuracy - 56.3) <= 2 and abs(self.train - 57.9) <= 2 and abs(self.loss / 1.507 - 1) <= 0.05


@pytest.fixture(scope="module")
def tried() -> dict[str, Tried]:
    rows = tried_rows(summarize(committed_records("results/tuning/baby_mobilenet")))
    return {row.representative.identity.variant: _tried(row) for row in rows}


def _tried(row: Row) -> Tried:
    found = [
        row.metric("top1_accuracy"),
        row.as_published("top1_accuracy"),
        row.end_of_curve("accuracy"),
        row.end_of_curve("loss"),
    ]
    sound, published, train, loss = (spread.mean for spread in found if spread is not None)
    return Tried(100 * sound, 100 * published, 100 * train, loss)


@pytest.fixture(scope="module")
def notes() -> str:
    return notes_of("baby_mobilenet")


def test_the_note_on_the_schedule_and_dropout(notes: str, tried: dict[str, Tried]) -> None:
    slower, faster = tried["slower-decay"], tried["faster-rate"]
    assert f"{slower.train:.2f} % and {slower.loss:.3f}, but as published" in notes
    assert f"as published it gets {slower.published:.2f} %" in notes
    assert f"(`faster-rate`) gets {faster.sound:.2f} % soundly" in notes
    without, decayed = tried["faster-rate-no-dropout"], tried["faster-rate-no-dropout-weight-decay"]
    assert f"gets {without.published:.2f} % as published" in notes
    assert f"adds one, {decayed.published:.2f} %" in notes
    assert 1.5 < faster.sound - faster.published < 2.5  # "two points"
    assert 0.5 < without.published - tried["faster-rate-no-dropout-activation"].published < 1.5  # "a point"
    assert 0.5 < decayed.published - without.published < 1.5
    assert tried["faster-rate-more-erasing"].sound < faster.sound


def test_the_note_on_weight_decay(notes: str, tried: dict[str, Tried]) -> None:
    decayed = tried["faster-rate-no-dropout-more-weight-decay"]
    with_dropout = tried["faster-rate-weight-decay"]
    assert f"gets {decayed.sound:.2f} % soundly without dropout, and {with_dropout.sound:.2f} % with it" in notes
    assert f"in train mode it has {decayed.published:.2f} % and {with_dropout.published:.2f} %." in notes


def test_the_note_on_more_erasing(notes: str, tried: dict[str, Tried]) -> None:
    erased = tried["faster-rate-no-dropout-more-weight-decay-more-erasing"]
    with_dropout = tried["faster-rate-weight-decay-some-erasing"]
    assert f"ends at {erased.train:.2f} % and {erased.loss:.3f}, with dropout" in notes
    assert f"at {with_dropout.train:.2f} % and {with_dropout.loss:.3f}, and the network" in notes
    assert f"gets {erased.sound:.2f} % and {with_dropout.sound:.2f} % soundly" in notes
    assert [one for one in tried.values() if one.fits(one.sound)] == [erased, with_dropout]
    assert not any(one.fits(one.published) for one in tried.values())
