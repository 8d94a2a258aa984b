"""Messages of invalid files: the field, what was found, and what is known or allowed there."""

import pytest
from pydantic import BaseModel, ValidationError

from bench.contract.contest import ContestFile
from bench.contract.documents.validation import describe_validation_error
from bench.contract.manifest import Manifest
from bench.contract.tracks import Track

TRACK = {"name": "t", "title": "T", "task": "classification", "data": "cifar100"}
MISSPELT = {"title": "T", "tracks": ["a"], "organizer": "x"}
OFFICIAL = {"steps": 10, "seeds": 1, "train": "train+validation", "evaluate": "test"}


@pytest.mark.parametrize(
    ("schema", "content", "message"),
    [
        (ContestFile, MISSPELT, "unknown field `organizer`; did you mean `organiser`?"),
        (Manifest, {"track": "t", "claims": {"parms": 1}}, "unknown field `claims.parms`; did you mean `params`?"),
        (Manifest, {"track": "t", "ablations": {"a": {"sett": {}}}}, "`ablations.a.sett`; did you mean `set`?"),
        (Manifest, {"track": "t", "zebra": 1}, "unknown field `zebra`; known here: ablations, "),
        (
            Track,
            {**TRACK, "profiles": {"official": OFFICIAL}, "caps": {"zebra": 1}},
            "unknown field `caps.zebra`; known here: images_seen, macs_per_image, params, ",
        ),
        (
            Track,
            {**TRACK, "profiles": {"official": {**OFFICIAL, "stepps": 1}}},
            "unknown field `profiles.official.stepps`; did you mean `steps`?",
        ),
        (Track, {**TRACK, "data": {"paths": "y"}, "profiles": {"official": OFFICIAL}}, "did you mean `path`?"),
    ],
)  # fmt: skip
def test_unknown_field_is_answered_with_the_known_ones(
    schema: type[BaseModel], content: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        schema.model_validate(content)
    assert message in describe_validation_error("file.yaml", caught.value, schema)


def test_error_of_several_fields_does_not_repeat_the_file() -> None:
    with pytest.raises(ValidationError) as caught:
        Track.model_validate({**TRACK, "rank_by": "f1", "profiles": {"official": OFFICIAL}})
    assert describe_validation_error("t.yaml", caught.value, Track) == (
        "t.yaml: `rank_by`: found 'f1'; metrics of classification: top1_accuracy, macro_f1, balanced_accuracy, "
        "worst_class_accuracy, nll, ece"
    )


def test_record_has_no_known_fields_to_suggest() -> None:
    with pytest.raises(ValidationError) as caught:
        ContestFile.model_validate({"title": "T", "tracks": ["a"], "organizer": "x"})
    assert describe_validation_error("r.json", caught.value).endswith(
        "`organizer`; remove it or correct its spelling"
    )
