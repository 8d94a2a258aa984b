"""Advised limits: which of them a run is over. They change neither a rank nor a protocol."""

from bench.contract.records.record import Record


def over_advice(record: Record) -> list[str]:
    """Return a remark per advised limit of the run's track that the finished run is over."""
    advice, timing, remarks = record.advice, record.timing, []
    if advice is None:
        return []
    minutes, gib = advice.training_minutes, advice.memory_gib
    if minutes is not None and timing.training_seconds is not None and timing.training_seconds > 60 * minutes:
        remarks.append(f"over the advised {minutes:g} min")
    if gib is not None and timing.peak_memory_bytes is not None and timing.peak_memory_bytes > gib * 2**30:
        remarks.append(f"over the advised {gib:g} GiB")
    return remarks
