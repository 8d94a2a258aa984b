"""docs/papers.md equals the text generated from the manifests."""

from pathlib import Path

import pytest
import yaml

from bench.errors import ManifestError, NothingToDo
from bench.files import REPOSITORY
from bench.report.claims.papers import papers_text, read_entries

SUBMISSIONS = sorted((REPOSITORY / "submissions").iterdir())


def write(folder: Path, name: str, **fields: object) -> Path:
    target = folder / name
    target.mkdir()
    content = {"track": "cifar100-open", "paper": {"id": "009", "title": "On Nets", "authors": ["A. Author"]}}
    (target / "submission.yaml").write_text(yaml.safe_dump({**content, **fields}))
    return target


def test_committed_document_is_current() -> None:
    text = (REPOSITORY / "docs" / "papers.md").read_text(encoding="utf-8")
    assert text == papers_text(read_entries(SUBMISSIONS)), "run `bench papers submissions/* > docs/papers.md`"


def test_every_paper_has_choices_and_five_papers_have_faults() -> None:
    for entry in read_entries(SUBMISSIONS):
        if entry.manifest.paper is not None and entry.manifest.paper.id is not None:
            assert entry.manifest.choices, entry.name
    faulty = {e.manifest.paper.id for e in read_entries(SUBMISSIONS) if e.manifest.faults and e.manifest.paper}
    assert faulty == {"000", "001", "002", "003", "004"}


def test_document_has_every_field_of_a_manifest(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        "net",
        claims={"params": 1234, "top1_accuracy": {"mean": 0.5, "std": 0.01, "over": "batches", "selected": "ten"}},
        as_published={"mode": "train", "batch_size": 7, "best_seed": True, "why": "Nobody called eval()."},
        choices=[{"what": "rate", "chosen": "0.1", "source": "ours", "why": "None is given."}],
        faults=[{"says": "A is B.", "found": "A is C.", "evidence": "figure 1"}],
        ablations={"long": {"what": "longer", "steps": 9000, "reports": {"fid": 3}}},
        search={
            "what": "As printed.",
            "trials": 7,
            "set": {"batch_size": 8},
            "space": {"kind": {"choice": ["a", "b"]}, "rate": {"log_uniform": [1e-5, 0.1], "when": {"kind": "a"}}},
        },
        notes=["It was so."],
    )
    text = papers_text(read_entries([folder]))
    for expected in (
        "## Paper 009: On Nets (A. Author)",
        "- parameters 1,234\n- test accuracy 50 ± 1 % (over batches, the best of ten)",
        "**As published**: train mode, batch size 7, the best run. Nobody called eval().",
        "- rate: **0.1** *(ours)*. None is given.",
        "- A is B. **But:** A is C. *(figure 1)*",
        "| `long` | longer | `steps = 9,000` | FID 3 |",
        "**Search space** (`bench tune`, 7 trials). As printed. Fixed in every trial: `batch_size = 8`.",
        "| `kind` | choice: a, b | – |\n| `rate` | log-uniform: 1e-05 to 0.1 | `kind = a` |",
        "- It was so.",
    ):
        assert expected in text


def test_submissions_of_one_paper_must_agree_on_it(tmp_path: Path) -> None:
    one, other = write(tmp_path, "one"), write(tmp_path, "other", paper={"id": "009", "title": "On Networks"})
    with pytest.raises(ManifestError, match="one, other: field `paper` differs between submissions of paper 009"):
        read_entries([one, other])
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDo, match="no submission.yaml"):
        read_entries([tmp_path / "empty"])
