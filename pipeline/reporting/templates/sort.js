// A click on a column's title sorts the rows, first upwards, then downwards. Rows without a value stay last.
for (const head of document.querySelectorAll("table.sortable th")) {
  const button = document.createElement("button"), table = head.closest("table");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  const isNumber = head.classList.contains("n");
  const value = row => {
    const cell = row.cells[head.cellIndex], text = cell.dataset.value ?? cell.textContent.trim();
    if (!isNumber) return text || null;
    const number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? null : number;
  };
  const compare = (a, b) => isNumber ? a - b : a.localeCompare(b, undefined, { numeric: true });
  button.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const a = value(one), b = value(other);
      if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
      return down ? compare(b, a) : compare(a, b);
    });
    table.tBodies[0].append(...rows);
  });
}
