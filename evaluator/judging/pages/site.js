"use strict";
// Sorting, a filter by participant, and the choice of colours. Every page is whole without it.
(() => {
  const root = document.documentElement, KEY = "board-colours", THEMES = ["automatic", "light", "dark"];
  const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* it holds for this page */ } };
  let theme = THEMES.includes(kept()) ? kept() : "automatic";
  const apply = () => { if (theme === "automatic") delete root.dataset.theme; else root.dataset.theme = theme; };
  apply(); // before anything is drawn

  const themes = (button) => {
    const say = () => { button.textContent = `Colours: ${theme}`; };
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      keep(theme); apply(); say();
    });
    addEventListener("storage", (event) => { // chosen on another page, or on the page before a moment ago
      if (event.key !== KEY || !THEMES.includes(event.newValue)) return;
      theme = event.newValue; apply(); say();
    });
    say();
    button.hidden = false;
  };

  const value = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind !== "number") return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" || cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const sortable = (table) => {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], order = [...body.rows];
    const place = new Map(order.map((row, at) => [row, at]));
    heads.forEach((head, column) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === null ? head.dataset.first : now === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", next);
        table.dataset.sorted = String(column);
        const sign = next === "ascending" ? 1 : -1;
        const rows = order.map((row) => [row, value(row, column, head.dataset.sort)]);
        rows.sort(([a, x], [b, y]) => {
          if (x === null || y === null) return (x === null) - (y === null) || place.get(a) - place.get(b);
          const way = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
          return sign * way || place.get(a) - place.get(b);
        });
        body.append(...rows.map(([row]) => row));
      });
    });
  };

  const filtered = (box) => {
    const field = document.getElementById("filter"), count = document.getElementById("count");
    const rows = [...document.querySelectorAll("tr[data-name]")];
    const show = () => {
      const wanted = field.value.trim().toLowerCase();
      let seen = 0;
      for (const row of rows) { row.hidden = !row.dataset.name.includes(wanted); seen += !row.hidden; }
      count.textContent = wanted ? `${seen} of ${rows.length} lines` : "";
    };
    const named = () => {
      if (!location.hash.startsWith("#of=")) return;
      try { field.value = decodeURIComponent(location.hash.slice(4)); } catch { return; }
      show();
    };
    field.addEventListener("input", show);
    addEventListener("hashchange", named);
    box.hidden = !rows.length;
    named();
  };

  document.addEventListener("DOMContentLoaded", () => {
    themes(document.getElementById("theme"));
    document.querySelectorAll("table").forEach((table) => { if (table.querySelector("th[data-sort]")) sortable(table); });
    const box = document.querySelector(".tools");
    if (box) filtered(box);
  });
})();
