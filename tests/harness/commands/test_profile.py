"""``bench profile``: tables, picture and traces; a broken submission does not stop the others."""

import json
from pathlib import Path

import pytest

from bench.contract.jobs.timings import PARTS, Operator, StepProfile
from bench.report.profile import profile_text
from tests.making import bench, write_submission, write_track


def test_profile_writes_json_picture_and_traces_despite_a_broken_submission(tmp_path: Path) -> None:
    track = write_track(tmp_path)
    waits = {"step": "print(loss.item())"}
    paths = [
        write_submission(tmp_path, "good"),
        write_submission(tmp_path, "waits", waits),
        write_submission(tmp_path, "broken", {"loss": "raise OSError('cannot train')"}),
    ]
    result = bench(
        "profile", *paths, "--track", track, "--table", "json", "--threads", 1,
        "--picture", tmp_path / "steps.svg", "--trace", tmp_path / "traces",
    )  # fmt: skip
    assert result.returncode == 3, result.stderr
    assert "✗ broken: OSError: cannot train" in result.stderr
    assert "Traceback" not in result.stderr
    decoder, profiles, text = json.JSONDecoder(), {}, result.stdout
    while (start := text.find("{")) >= 0:
        content, end = decoder.raw_decode(text[start:])
        profiles |= content
        text = text[start + end :]
    assert set(profiles) == {"good", "waits"}
    for profile in profiles.values():
        assert tuple(profile["parts"]) == PARTS
        assert profile["environment"]["threads"] == 1
    assert profiles["good"]["waits"] == []
    assert [wait.partition(",")[0] for wait in profiles["waits"]["waits"]] == ["model.py"]
    picture = (tmp_path / "steps.svg").read_text()
    assert picture.count("<svg") == 1
    for name in ("good", "waits"):
        events = json.loads((tmp_path / "traces" / f"{name}.json").read_text())["traceEvents"]
        assert any(event.get("name", "").startswith("aten::") for event in events)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "fp16"], "--precision 'fp16': give fp32, tf32 or bf16"),
        (["--precision", "tf32"], "--precision tf32: TF32 needs an NVIDIA GPU"),
        (["--table", "csv"], "--table 'csv'"),
        (["--device", "tpu"], "--device 'tpu'"),
    ],
)
def test_invalid_profile_options_are_refused(tmp_path: Path, options: list[str], message: str) -> None:
    result = bench("profile", write_submission(tmp_path, "net"), "--track", write_track(tmp_path), *options)
    assert result.returncode == 2 and message in result.stderr


def example_profile(**changes: object) -> StepProfile:
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


def test_profile_tables_show_parts_operators_and_waits() -> None:
    text = profile_text("net", example_profile(), "simple")
    assert text.startswith("net: 50.00 ms per step of 128 images, 2 CPU threads\n")
    assert "backward 25.00 50.0%" in " ".join(text.split())
    assert "aten::mul   2.5               9.00" in text
    assert "the profiler changed their time by +0.0%" in text
    assert text.endswith("No line of the step synchronises with the device.")
    on_gpu = {"device_type": "cuda", "device": "Some GPU"}
    text = profile_text(
        "net", example_profile(environment=on_gpu, waits=["model.py, line 7: nonzero"]), "markdown"
    )
    assert text.startswith("### net: 50.00 ms per step of 128 images, Some GPU")
    assert text.endswith("On a GPU these lines would synchronise with the device: model.py, line 7: nonzero")
