"""The table of generators: real images beside them, numbers of one N only, the author's way in its own column."""

from bench.contract.manifest import REAL_IMAGES
from bench.contract.records.record import Record
from bench.report.compare import comparison_text
from bench.report.records.aggregate import summarize
from tests.report.making_contest import generator, real_images


def table(records: list[Record]) -> list[dict[str, str]]:
    lines = comparison_text(summarize(records), table="github").splitlines()
    titles, _, *rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    return [dict(zip(titles, row, strict=True)) for row in rows]


def test_the_lowest_fid_first_and_real_images_among_them() -> None:
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


def test_the_papers_resize_is_only_named_where_it_differs() -> None:
    (row,) = table([generator("a", 0, 60.0, published=None)])
    assert "as published FID" not in row


def test_numbers_of_another_n_are_in_another_table() -> None:
    text = comparison_text(
        summarize([generator("a", 0, 60.0), generator("a", 0, 99.0, profile="quick")]), table="github"
    )
    first, second = text.split("\n\n### ")
    assert "FID@10000 (test)" in first and "KID@10000 ×1000" in first and "99.00" not in first
    assert "FID@1000 (validation)" in second and "60.00" not in second


def test_columns_without_a_figure_are_left_out() -> None:
    text = comparison_text(summarize([generator("a", 0, None)]), table="github")
    assert "KID" not in text and "FID@10000" in text and "FID 44.46" in text
