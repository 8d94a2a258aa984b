// Turn the headers of sortable tables into buttons. Sort by number if all cells have one, else by text; missing values last.
"use strict";

const MISSING = "–";

function numberOf(cell) {
  if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
  const text = cell.textContent.trim().replaceAll(",", "");
  const match = /^[-+]?\d+(\.\d+)?(e[-+]?\d+)?/i.exec(text);
  return match ? Number(match[0]) : NaN;
}

function isMissing(cell) {
  const text = cell.textContent.trim();
  return cell.dataset.sort === undefined && (text === MISSING || text === "");
}

function compare(left, right, numeric) {
  if (numeric) return numberOf(left) - numberOf(right);
  return left.textContent.trim().localeCompare(right.textContent.trim(), "en", { numeric: true });
}

function sortBy(table, column, header) {
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const present = rows.filter((row) => !isMissing(row.cells[column]));
  const missing = rows.filter((row) => isMissing(row.cells[column]));
  const numeric = present.every((row) => !Number.isNaN(numberOf(row.cells[column])));
  present.sort((a, b) => compare(a.cells[column], b.cells[column], numeric) * (ascending ? 1 : -1));
  body.append(...present, ...missing);
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const announcement = document.getElementById("announcement");
  announcement.textContent = `Sorted by ${header.textContent.trim()}, ${ascending ? "ascending" : "descending"}`;
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, column, header));
    header.append(button);
  });
}
