"""Whether a record is of the data that its track describes: the test split may be the organiser's alone."""

from bench.contract.datasets import DataSource
from bench.contract.records.record import Record
from bench.contract.tracks import OFFICIAL, Track, load_tracks


def is_of_tracks_data(record: Record) -> bool:
    """Return False if an official record's data have another sha256 than the track's file gives for them.

    Such a run was not made by the organiser: a table of its own, with the best rank in it, would mislead.
    """
    protocol = record.protocol
    track = load_tracks().get(protocol.track)
    if track is None or protocol.profile != OFFICIAL or (record.data and record.data.stand_in_for):
        return True
    found = record.identity.data_fingerprints
    return all(found.get(split) == digest for split, digest in _expected(track, record).items())


def _expected(track: Track, record: Record) -> dict[str, str]:
    """Return split -> sha256, of the splits that are used as the track's file describes them."""
    source, protocol = track.data, record.protocol
    if not isinstance(source, DataSource):
        return {}
    expected = {}
    if protocol.evaluate == "test" and protocol.evaluation_images is None and "test" in source.sha256:
        expected["test"] = source.sha256["test"]
    whole = source.train_images is None and "validation" not in source.sha256
    if protocol.train == "train+validation" and whole and "train" in source.sha256:
        expected["train+validation"] = source.sha256["train"]
    return expected
