"""``bench profile`` from a command line to tables, a picture and traces; a broken submission stops no other."""

import json
from pathlib import Path

import pytest

from bench.contract.jobs.timings import PARTS, Operator, StepProfile
from bench.report.profile import profile_text
from tests.making import bench, write_submission, write_track


def test_a_profile_of_two_and_one_that_breaks(tmp_path: Path) -> None:
    track = write_track(tmp_path)
    waits = {"step": "print(loss.item())"}
    paths = [
        write_submission(tmp_path, "good"),
        write_submission(tmp_path, "waits", waits),
        write_submission(tmp_path, "broken", {"loss": "raise OSError('no such luck')"}),
    ]
    done = bench(
        "profile", *paths, "--track", track, "--table", "json", "--threads", 1,
        "--picture", tmp_path / "steps.svg", "--trace", tmp_path / "traces",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "✗ broken: OSError: no such luck" in done.stderr
    assert "Traceback" not in done.stderr
    decoder, found, text = json.JSONDecoder(), {}, done.stdout
    while (start := text.find("{")) >= 0:
        content, end = decoder.raw_decode(text[start:])
        found |= content
        text = text[start + end :]
    assert set(found) == {"good", "waits"}
    for profile in found.values():
        assert tuple(profile["parts"]) == PARTS
        assert profile["environment"]["threads"] == 1
    assert found["good"]["waits"] == []
    assert [wait.partition(",")[0] for wait in found["waits"]["waits"]] == ["model.py"]
    picture = (tmp_path / "steps.svg").read_text()
    assert picture.count("<svg") == 1
    for name in ("good", "waits"):
        events = json.loads((tmp_path / "traces" / f"{name}.json").read_text())["traceEvents"]
        assert any(event.get("name", "").startswith("aten::") for event in events)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--precision", "fp16"], "--precision 'fp16': give fp32, tf32 or bf16"),
        (["--precision", "tf32"], "--precision tf32: TF32 needs an NVIDIA GPU"),
        (["--table", "csv"], "--table 'csv'"),
        (["--device", "tpu"], "--device 'tpu'"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, options: list[str], says: str) -> None:
    done = bench("profile", write_submission(tmp_path, "net"), "--track", write_track(tmp_path), *options)
    assert done.returncode == 2 and says in done.stderr


def made_up(**changes: object) -> StepProfile:
    content = {
        "batch_size": 128,
        "steps": 20,
        "unwatched": 50.0,
        "parts": dict(zip(PARTS, (1.0, 5.0, 15.0, 2.0, 25.0, 1.0, 1.0), strict=True)),
        "operators": [Operator(name="aten::mul", calls=2.5, milliseconds=9.0)],
        "waits": [],
        "environment": {"device_type": "cpu", "device": "Some CPU", "threads": 2},
    }
    return StepProfile.model_validate({**content, **changes})


def test_the_table_for_people() -> None:
    text = profile_text("net", made_up(), "simple")
    assert text.startswith("net: 50.00 ms per step of 128 images, 2 CPU threads\n")
    assert "backward           25.00  50.0%" in text
    assert "aten::mul   2.5               9.00" in text
    assert "the profiler changed their time by +0.0%" in text
    assert text.endswith("No line of the step synchronises with the device.")
    on_gpu = {"device_type": "cuda", "device": "Some GPU"}
    text = profile_text("net", made_up(environment=on_gpu, waits=["model.py, line 7: nonzero"]), "markdown")
    assert text.startswith("### net: 50.00 ms per step of 128 images, Some GPU")
    assert text.endswith("On a GPU these lines would synchronise with the device: model.py, line 7: nonzero")
