"""The table of generators: with real images, one number of samples per table, a column for as-published FID."""

from bench.contract.manifest import REAL_IMAGES
from bench.contract.records.record import Record
from bench.report.compare import comparison_text
from bench.report.records.aggregate import summarize
from tests.report.making_contest import generator, real_images


def table(records: list[Record]) -> list[dict[str, str]]:
    lines = comparison_text(summarize(records), table_format="github").splitlines()
    titles, _, *rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    return [dict(zip(titles, row, strict=True)) for row in rows]


def test_generators_and_real_images_are_sorted_by_fid() -> None:
    rows = table(
        [generator("a", seed, 60.0 + seed) for seed in range(3)] + [generator("b", 0, 50.0), real_images(5.25)]
    )
    assert [row["submission"] for row in rows] == [REAL_IMAGES, "b", "a"]
    real, _, a = rows
    assert a["FID@10000 (test)"] == "61.00 ± 1.00 (n=3)"
    assert a["KID@10000 ×1000"] == "12.30 ± 0.00" and a["nearer %"] == "51.0 ± 0.0"
    assert a["as published FID"] == "56.00 (best of n=3), clean"
    assert a["paper"] == "FID 44.46 (as published)"
    assert (real["params"], real["steps"], real["status"]) == ("–", "–", "ok, unranked")
    assert real["as published FID"] == "1.25 (n=1), clean"


def test_as_published_column_is_absent_without_as_published_values() -> None:
    (row,) = table([generator("a", 0, 60.0, published=None)])
    assert "as published FID" not in row


def test_profiles_with_other_numbers_of_samples_have_their_own_table() -> None:
    text = comparison_text(
        summarize([generator("a", 0, 60.0), generator("a", 0, 99.0, profile="quick")]), table_format="github"
    )
    first, second = text.split("\n\n### ")
    assert "FID@10000 (test)" in first and "KID@10000 ×1000" in first and "99.00" not in first
    assert "FID@1000 (validation)" in second and "60.00" not in second


def test_columns_without_values_are_left_out() -> None:
    text = comparison_text(summarize([generator("a", 0, None)]), table_format="github")
    assert "KID" not in text and "FID@10000" in text and "FID 44.46" in text
