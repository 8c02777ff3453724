
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const editing = data.mode === "edits";
  const rows = data.rows.map((row, place) => ({
    place, id: row[0], shown: row[1], label: row[2], predicted: row[3], split: row[4], numbers: row[5], flags: row[6], group: row[7],
    note: row[8], picture: data.pictures[place],
  }));
  const byId = new Map(rows.map((row) => [row.id, row]));
  const PAGE = 240;
  const at = (id) => document.getElementById(id);
  const grid = at("grid");

  // What a person has done: id -> {drop, label, split} or {vote}; a row without an entry is as it was given.
  let done = new Map();
  let voter = "";
  let past = [], future = [];
  const KEY = "sheet-" + data.key;

  const valid = (id, state) => byId.has(id) && state !== null && typeof state === "object" && (editing
    ? (state.label === null || data.classes.includes(state.label)) && (state.split === null || data.splits.includes(state.split))
      && typeof state.drop === "boolean"
    : data.choices.some(([vote]) => vote === state.vote));

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) || "{}");
      for (const [id, state] of Object.entries(kept.done || {})) if (valid(id, state)) done.set(id, state);
      voter = typeof kept.voter === "string" ? kept.voter : "";
    } catch { /* a browser that keeps nothing, or a file that another page wrote: the sheet works without it */ }
  }

  function keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify({done: Object.fromEntries(done), voter}));
    } catch { at("count").dataset.kept = "no"; }
  }

  // -- what is shown, and in which order

  let order = [], page = 0, chosen = 0;

  const changed = (row) => done.has(row.id);

  function options(select, texts, all) {
    select.replaceChildren(new Option(all, ""), ...texts.map((text) => new Option(text === "" ? "(none)" : text, "=" + text)));
  }

  const distinct = (key) => [...new Set(rows.map((row) => row[key]))];

  function selects() {
    const classes = (key) => { const there = new Set(rows.map((r) => r[key])); return [...data.classes.filter((c) => there.has(c)),
      ...[...there].filter((c) => !data.classes.includes(c))]; };
    options(at("by-label"), classes("label"), "all");
    options(at("by-predicted"), classes("predicted"), "all");
    options(at("by-split"), distinct("split"), "all");
    options(at("by-flag"), [...new Set(rows.flatMap((row) => row.flags))].sort(), "all");
    const states = editing ? ["edited", "not edited"] : ["voted", "not voted"];
    at("by-state").replaceChildren(new Option("all", ""), new Option(states[0], "yes"), new Option(states[1], "no"),
      new Option("label is not the predicted", "differs"));
    at("order").replaceChildren(new Option("as given", ""), new Option("id", "id"), new Option("group", "group"),
      ...data.numbers.map((name, place) => new Option(name, "n" + place)));
    for (const [id, key] of [["by-split", "split"], ["by-predicted", "predicted"]])
      at(id).parentElement.hidden = distinct(key).every((text) => text === "");
    at("by-flag").parentElement.hidden = rows.every((row) => row.flags.length === 0);
  }

  function arrange() {
    const wanted = (id) => at(id).value;
    const text = wanted("search").toLowerCase(), state = wanted("by-state"), by = wanted("order");
    const same = (select, value) => wanted(select) === "" || wanted(select) === "=" + value;
    const current = order[chosen];
    order = rows.filter((row) => same("by-label", row.label) && same("by-predicted", row.predicted) && same("by-split", row.split)
      && (wanted("by-flag") === "" || row.flags.includes(wanted("by-flag").slice(1)))
      && (state === "" || (state === "differs" ? row.predicted !== "" && row.label !== row.predicted : changed(row) === (state === "yes")))
      && (text === "" || (row.id + " " + row.note + " " + row.group).toLowerCase().includes(text)));
    if (by !== "") {
      const value = by[0] === "n" ? (row) => row.numbers[+by.slice(1)] : (row) => row[by] || null;
      const sign = at("falling").checked ? -1 : 1;
      // What is not known comes last, whichever way the order goes.
      order.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null) || a.place - b.place;
        return x < y ? -sign : x > y ? sign : a.place - b.place;
      });
    }
    const still = order.indexOf(current);
    chosen = still < 0 ? 0 : still;
    page = Math.floor(chosen / PAGE);
    draw();
  }

  function make(tag, kind, text) {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function stateText(row) {
    const state = done.get(row.id);
    if (!state) return "";
    if (!editing) return state.vote;
    return [state.drop ? "dropped" : "", state.label !== null ? "is " + state.label : "", state.split !== null ? "to " + state.split : ""]
      .filter((part) => part).join(", ");
  }

  const figure = (value) => value === null ? "-" : value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(0) : String(+value.toPrecision(3));

  function cardOf(row) {
    const card = make("div", "card");
    card.setAttribute("role", "option");
    card.dataset.place = row.place;
    const frame = make("div", "frame");
    if (row.picture) {
      const image = make("img");
      image.src = row.picture;
      image.alt = row.shown;
      image.loading = "lazy";
      frame.append(image);
    }
    card.append(frame, make("div", "names"), make("div", "state"), make("div", "id", row.shown));
    if (data.numbers.length) card.append(make("div", "figures", data.numbers[0] + " " + figure(row.numbers[0])));
    for (const flag of row.flags.slice(0, 3)) card.append(make("span", "flag", flag));
    card.title = row.shown;
    refresh(card, row);
    return card;
  }

  function refresh(card, row) {
    const state = stateText(row);
    card.querySelector(".names").textContent = row.label + (row.predicted && row.predicted !== row.label ? " → " + row.predicted : "");
    card.querySelector(".state").textContent = state;
    card.classList.toggle("changed", state !== "");
    card.classList.toggle("dropped", editing && (done.get(row.id) || {}).drop === true);
  }

  function draw() {
    const first = page * PAGE, shown = order.slice(first, first + PAGE), pages = Math.max(1, Math.ceil(order.length / PAGE));
    grid.replaceChildren(...shown.map(cardOf));
    at("pages").hidden = pages === 1;
    at("where").textContent = "page " + (page + 1) + " of " + pages;
    at("earlier").disabled = page === 0;
    at("later").disabled = page === pages - 1;
    mark(false);
    count();
  }

  function count() {
    const what = editing ? "edited" : "voted";
    const kept = at("count").dataset.kept === "no" ? "; this browser keeps nothing, so save before you leave" : "";
    at("count").textContent = order.length + " of " + rows.length + " images shown; " + done.size + " " + what + kept;
    if (at("undo")) { at("undo").disabled = past.length === 0; at("redo").disabled = future.length === 0; }
  }

  const cards = () => [...grid.children];

  function mark(focus) {
    const row = order[chosen];
    cards().forEach((card, place) => {
      const own = page * PAGE + place === chosen;
      card.setAttribute("aria-selected", own);
      card.tabIndex = own ? 0 : -1;
      if (own && focus) { card.focus({preventScroll: true}); card.scrollIntoView({block: "center"}); }
    });
    const box = at("chosen");
    box.replaceChildren();
    if (!row) { box.append(make("span", "note", "no image fits these filters")); return; }
    box.append(make("div", "id", row.shown));
    const state = stateText(row);
    const parts = ["label " + (row.label || "-"), row.predicted ? "predicted " + row.predicted : "", row.split,
      ...data.numbers.map((name, i) => name + " " + figure(row.numbers[i])), row.group ? "group " + row.group : "", ...row.flags];
    if (state) box.append(make("span", "state", state + " · "));
    box.append(make("span", "more", parts.filter((part) => part).join(" · ")));
    if (row.note) box.append(make("div", "note", row.note));
    const here = done.get(row.id) || {};
    if (editing) {
      at("relabel").value = here.label || row.label;
      at("drop").setAttribute("aria-pressed", here.drop === true);
    } else for (const [vote] of data.choices) at("vote-" + vote).setAttribute("aria-pressed", here.vote === vote);
  }

  function go(place, focus = true) {
    if (!order.length) return;
    chosen = Math.min(Math.max(place, 0), order.length - 1);
    const there = Math.floor(chosen / PAGE);
    if (there !== page) { page = there; draw(); }
    mark(focus);
  }

  function columns() {
    const all = cards();
    const next = all.findIndex((card) => card.offsetTop > all[0].offsetTop);
    return next < 0 ? Math.max(all.length, 1) : next;
  }

  // -- what a person does

  function put(row, state) {
    const empty = editing ? !state.drop && state.label === null && state.split === null : state === null;
    if (empty) done.delete(row.id); else done.set(row.id, state);
    const card = cards().find((c) => +c.dataset.place === row.place);
    if (card) refresh(card, row);
  }

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const nothing = () => editing ? {drop: false, label: null, split: null} : null;

  function change(next) {
    const row = order[chosen];
    if (!row) return;
    const before = done.get(row.id) || nothing(), after = next(row, before);
    if (same(before, after)) return;
    past.push([row.id, before, after]);
    future = [];
    put(row, after);
    keep();
    mark(false);
    count();
  }

  function back(from, to, which) {
    const last = from.pop();
    if (!last) return;
    to.push(last);
    const row = byId.get(last[0]);
    put(row, last[which]);
    keep();
    const place = order.indexOf(row);
    if (place >= 0) go(place); else mark(false);
    count();
  }

  const undo = () => back(past, future, 1), redo = () => back(future, past, 2);
  const relabel = (name) => change((row, was) => ({...was, label: name === row.label || name === "" ? null : name}));
  const drop = () => change((row, was) => ({...was, drop: !was.drop}));
  const asGiven = () => change(() => nothing());
  const vote = (choice) => { change((row, was) => was && was.vote === choice ? was : {vote: choice}); go(chosen + 1); };

  function move() {
    change((row, was) => {
      const now = was.split === null ? row.split : was.split;
      const next = data.splits[(data.splits.indexOf(now) + 1) % data.splits.length];
      return {...was, split: next === row.split ? null : next};
    });
  }

  // What a spreadsheet would compute gets an apostrophe before it, which reading removes.
  const guarded = (text) => /^'*\s*[=+\-@\uff0b\uff0d\uff1d\uff20]/.test(text) ? "'" + text : text;
  const quoted = (text) => /[",\n\r]/.test(text) || text !== text.trim() ? '"' + text.replaceAll('"', '""') + '"' : text;
  const line = (cells) => cells.map((text) => quoted(guarded(text))).join(",");

  function table() {
    const lines = [editing ? "id,action,label,split" : "id,vote,voter"];
    for (const row of rows) {
      const state = done.get(row.id);
      if (!state) continue;
      if (!editing) lines.push(line([row.id, state.vote, voter]));
      else if (state.drop) lines.push(line([row.id, "drop", "", ""]));
      else if (state.label !== null) lines.push(line([row.id, "relabel", state.label, state.split || ""]));
      else lines.push(line([row.id, "move", "", state.split]));
    }
    return lines.join("\n") + "\n";
  }

  function save() {
    if (!editing) {
      voter = at("voter").value.trim();
      keep();
      if (!voter) { at("voter").focus(); at("count").textContent = "write your name or a number before you save: votes of several people are counted by it"; return; }
    }
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
    link.download = editing ? "edits.csv" : "votes.csv";
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // -- buttons and keys

  function button(id, text, act, kind) {
    const made = make("button", kind, text);
    made.type = "button";
    made.id = id;
    made.addEventListener("click", act);
    return made;
  }

  function tools() {
    const box = at("tools");
    if (editing) {
      const select = make("select");
      select.id = "relabel";
      select.setAttribute("aria-label", "label of this image");
      select.append(...data.classes.map((text) => new Option(text, text)));
      const own = [...new Set(rows.map((row) => row.label))].filter((text) => !data.classes.includes(text));
      select.append(...own.map((text) => { const option = new Option(text || "(none)", text); option.disabled = true; return option; }));
      select.addEventListener("change", () => { relabel(select.value); go(chosen); });
      box.append(select, button("drop", "drop", drop));
      if (data.splits.length > 1) box.append(button("move", "move", move));
      box.append(button("as-given", "as given", asGiven));
    } else {
      for (const [choice, meaning] of data.choices) {
        const made = button("vote-" + choice, choice, () => vote(choice));
        made.title = meaning;
        box.append(made);
      }
      const name = make("input");
      name.type = "text";
      name.id = "voter";
      name.placeholder = "your name";
      name.setAttribute("aria-label", "your name");
      name.value = voter;
      name.size = 10;
      name.addEventListener("input", () => { voter = name.value.trim(); keep(); });
      box.append(button("as-given", "no vote", asGiven), name);
    }
    box.append(button("undo", "undo", undo), button("redo", "redo", redo),
      button("save", editing ? "save edits" : "save votes", save, "main"));
  }

  const keys = new Map();
  function key(names, what, act) {
    for (const name of names) keys.set(name, act);
    at("keys").append(make("dt", "", names.join(" ")), make("dd", "", what));
  }

  function allKeys() {
    key(["ArrowLeft", "ArrowRight"], "the image before, the next image", (e) => go(chosen + (e.key === "ArrowRight" ? 1 : -1)));
    key(["ArrowUp", "ArrowDown"], "a row up, a row down", (e) => go(chosen + (e.key === "ArrowDown" ? 1 : -1) * columns()));
    key(["Home", "End"], "the first image, the last image", (e) => go(e.key === "Home" ? 0 : order.length - 1));
    key(["PageUp", "PageDown"], "a page back, a page on", (e) => go(chosen + (e.key === "PageDown" ? PAGE : -PAGE)));
    if (editing) {
      data.classes.slice(0, 10).forEach((name, i) => key([String((i + 1) % 10)], "its label is " + name, () => relabel(name)));
      key(["p"], "its label is the predicted label", () => {
        const row = order[chosen];
        if (row && data.classes.includes(row.predicted)) relabel(row.predicted);
      });
      key(["r"], "choose a label from the list", () => at("relabel").focus());
      key(["d"], "drop the image, or keep it again", drop);
      if (data.splits.length > 1) key(["m"], "move it to the next of " + data.splits.join(", "), move);
      key(["k"], "as it was given", asGiven);
    } else {
      data.choices.forEach(([choice, meaning], i) => key([String(i + 1)], choice + ": " + meaning, () => vote(choice)));
      key(["k"], "no vote", asGiven);
    }
    key(["u", "Ctrl+z"], "undo", undo);
    key(["y", "Ctrl+y"], "redo", redo);
    key(["s"], "save as a file", save);
    key(["/"], "search", () => at("search").focus());
    key(["Escape"], "back to the images", () => mark(true));
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=text], input[type=search], select");
    if (event.altKey || (typing && event.key !== "Escape")) return;
    if (event.target.matches("button, summary, input") && (event.key === " " || event.key === "Enter")) return;
    // A letter is itself with the capitals' lock on, and the command key of a Mac is its control key.
    let name = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (name === "Ctrl+z" && event.shiftKey) name = "Ctrl+y";
    const act = keys.get(name);
    if (!act) return;
    event.preventDefault();
    act(event);
  });
  grid.addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (card) go(order.indexOf(rows[+card.dataset.place]));
  });
  for (const id of ["by-label", "by-predicted", "by-split", "by-flag", "by-state", "order", "falling"]) at(id).addEventListener("change", arrange);
  at("search").addEventListener("input", arrange);
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("earlier").addEventListener("click", () => go((page - 1) * PAGE));
  at("later").addEventListener("click", () => go((page + 1) * PAGE));

  load();
  selects();
  tools();
  allKeys();
  arrange();
})();
