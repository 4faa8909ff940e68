// The buttons in a table's head sort its rows, first upwards, then downwards; rows without a value stay last.
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent.trim();
    const compare = (a, b) => head.classList.contains("n") ? a - b : a.localeCompare(b);
    const rows = [...body.rows].sort((one, other) => {
      const a = value(one), b = value(other);
      if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
      return down ? compare(b, a) : compare(a, b);
    });
    body.append(...rows);
  });
}
