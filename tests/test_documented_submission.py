"""The snippets of docs/submit.md are valid submissions and manifests."""

import re
from pathlib import Path

from bench.contract.fingerprint import sources_of
from bench.contract.manifest import load_manifest
from bench.harness.submissions import scaffold
from tests.making import bench

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "submit.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_example_classifier_verifies_with_the_default_training(tmp_path: Path) -> None:
    folder = tmp_path / "my_net"
    folder.mkdir()
    (folder / "model.py").write_text(blocks("python")[0])
    (folder / "submission.yaml").write_text(blocks("yaml")[0])
    result = bench("verify", folder, "--variants", "all", "--device", "cpu")
    assert result.returncode == 0, result.stdout
    assert "2 verified" in result.stdout
    assert "bench/contract/defaults.py" in sources_of(folder / "model.py")


def test_example_claims_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text("track: cifar100-generation\n" + blocks("yaml")[1])
    claims = load_manifest(path).claims
    assert claims.fid is not None and claims.fid.best_of == 19


def test_example_generator_equals_the_template() -> None:
    template = Path(scaffold.__file__).parent / "templates" / "generation.py.txt"
    header, methods = blocks("python")[1].split("\n", 1)
    assert header in template.read_text() and methods in template.read_text()
