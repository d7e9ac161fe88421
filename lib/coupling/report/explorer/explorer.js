// The explorer: choose a run, browse its items, and see what was said of each. Plain JavaScript, no library.
// data.py in this folder says what a dataset holds.
"use strict";

const couplingExplorer = (() => {
  const datasets = new Map(); // by place in the list of entries
  const waiting = new Map(); // who waits for a dataset that is being loaded

  /** Receives a dataset. Each file of data calls this. */
  function take(place, data) {
    datasets.set(place, data);
    (waiting.get(place) || (() => {}))();
  }

  /** Fetches a dataset by a script, since pages that are opened from a disk may not fetch anything else. */
  function load(place, entry) {
    if (datasets.has(place)) return Promise.resolve(datasets.get(place));
    return new Promise((resolve, reject) => {
      waiting.set(place, () => resolve(datasets.get(place)));
      document.head.append(make("script", { src: entry.file, onerror: () => reject(new Error(entry.file)) }));
    });
  }

  // ---- small helpers ----

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element[name] = value;
      else if (value !== null && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  function drawn(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function control(label, options, chosen, onchange) {
    const select = make("select", { onchange: () => onchange(Number(select.value)) });
    options.forEach((text, k) => select.append(make("option", { value: k, selected: k === chosen }, text)));
    return make("label", {}, make("span", {}, label), select);
  }

  const head = (...cells) => make("thead", {}, make("tr", {}, ...cells.map((c) => make("th", { scope: "col" }, c))));
  const line = (name, ...cells) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((c) => make("td", {}, c)));
  /** A table in a frame of its own that scrolls where the page is narrow. What it shows stands above the frame. */
  const table = (caption, ...parts) =>
    make("section", {}, make("p", { class: "caption" }, caption),
      make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": caption },
        make("table", { "aria-label": caption }, ...parts)));
  const tick = (yes) =>
    make("span", { class: yes ? "yes" : "no" }, yes === null ? "no label" : yes ? "✓ yes" : "✗ no");

  // ---- what rows mean ----

  /** The label that choices on x and without the cue make true; null where a reply was no choice. */
  const labelOf = ([x, cf]) => (x < 0 || cf < 0 ? null : { changes: Number(x !== cf), answer: cf });
  /** What an explanation states; null where its text is no label. */
  const statedIn = (said) => (said[2] < 0 ? null : { changes: said[2], answer: said[3] });
  const same = (a, b) => a !== null && b !== null && a.changes === b.changes && a.answer === b.answer;
  const states = (said, label) => (label === null ? null : same(statedIn(said), label));

  function words(statement, names, otherwise) {
    return statement === null
      ? otherwise
      : `${statement.changes ? "changes to" : "stays at"} ${names[statement.answer]}`;
  }

  const last = (row) => row[2][row[2].length - 1];
  const isDivergent = (row) => {
    const own = labelOf(last(row));
    const source = labelOf(row[0]);
    return own !== null && !same(own, source);
  };
  const FILTERS = [
    ["all items", () => true],
    ["divergent: label source and model differ", isDivergent],
    ["divergent, own behaviour is stated", (r) => isDivergent(r) && states(last(r), labelOf(last(r)))],
    ["divergent, the label source is stated", (r) => isDivergent(r) && states(last(r), labelOf(r[0]))],
    ["divergent, neither is stated",
      (r) => isDivergent(r) && !states(last(r), labelOf(last(r))) && !states(last(r), labelOf(r[0]))],
    ["no label: a reply was none of the choices", (r) => labelOf(last(r)) === null],
  ];

  const nameOf = (run) => `${run.condition} · M0 ${run.m0_seed} · explainer ${run.seed}`;
  const unique = (values) => [...new Set(values)];

  // ---- the page ----

  /** Builds the explorer in an element. entries: {profile, sweep, task, title, file} of each dataset. */
  function start(id, entries) {
    const root = document.getElementById(id);
    const state = { entry: 0, run: 0, filter: 0, item: 0, focus: "" };

    async function render() {
      root.setAttribute("aria-busy", "true");
      let data;
      try {
        data = await load(state.entry, entries[state.entry]);
      } catch (error) {
        root.replaceChildren(make("p", { role: "alert" }, `The file ${error.message} cannot be read.`));
        return;
      }
      const run = data.runs[state.run];
      const items = data.items[run.items];
      const kept = run.rows.map((row, k) => k).filter((k) => run.rows[k] && FILTERS[state.filter][1](run.rows[k]));
      if (!kept.includes(state.item)) state.item = kept.length ? kept[0] : -1;
      root.replaceChildren(
        chooseRun(data), curve(run), chooseItem(run, items, kept),
        state.item < 0 ? make("p", {}, "No item of this run is like that.") : shown(data, run, items[state.item]));
      const control = [...root.querySelectorAll("[data-name]")].find((e) => e.dataset.name === state.focus);
      if (control) control.focus();
      root.setAttribute("aria-busy", "false");
    }

    /** Changes the state and draws anew. The control that was used keeps the focus. */
    function change(name, values) {
      Object.assign(state, values, { focus: name });
      render();
    }

    function named(name, label) {
      (label.querySelector("select") || label).dataset.name = name;
      return label;
    }

    function chooseRun(data) {
      const sweepOf = (entry) => `${entry.profile}: ${entry.title}`;
      const sweeps = unique(entries.map(sweepOf));
      const own = sweepOf(entries[state.entry]);
      const ofSweep = entries.map((entry, k) => k).filter((k) => sweepOf(entries[k]) === own);
      const conditions = unique(data.runs.map((run) => run.condition));
      const condition = data.runs[state.run].condition;
      const ofCondition = data.runs.map((run, k) => k).filter((k) => data.runs[k].condition === condition);
      const to = (entry) => ({ entry, run: 0, item: 0 });
      return make("div", { class: "controls", role: "group", "aria-label": "which run" },
        named("sweep", control("Sweep", sweeps, sweeps.indexOf(own),
          (k) => change("sweep", to(entries.findIndex((entry) => sweepOf(entry) === sweeps[k]))))),
        named("task", control("Task", ofSweep.map((k) => entries[k].task), ofSweep.indexOf(state.entry),
          (k) => change("task", to(ofSweep[k])))),
        named("condition", control("Condition", conditions, conditions.indexOf(condition),
          (k) => change("condition", { run: data.runs.findIndex((run) => run.condition === conditions[k]) }))),
        named("run", control("Run", ofCondition.map((k) => `M0 ${data.runs[k].m0_seed}, explainer ${data.runs[k].seed}`),
          ofCondition.indexOf(state.run), (k) => change("run", { run: ofCondition[k] }))));
    }

    function chooseItem(run, items, kept) {
      const place = kept.indexOf(state.item);
      const mark = (k) => (isDivergent(run.rows[k]) ? " · divergent" : "");
      const step = (name, text, to) =>
        named(name, make("button", { type: "button", disabled: !(to in kept), onclick: () => change(name, { item: kept[to] }) }, text));
      return make("div", { class: "controls", role: "group", "aria-label": "which item" },
        named("filter", control("Show", FILTERS.map(([text]) => text), state.filter, (k) => change("filter", { filter: k }))),
        named("item", control("Item", kept.map((k) => `${items[k].id}${mark(k)}`), place, (k) => change("item", { item: kept[k] }))),
        step("previous", "Previous", place - 1), step("next", "Next", place + 1),
        make("output", { "aria-live": "polite" }, `${kept.length ? place + 1 : 0} of ${kept.length} items`));
    }

    function shown(data, run, item) {
      const row = run.rows[state.item];
      const names = run.by_content && item.contents ? item.contents : item.choices;
      return make("section", { class: "item", "aria-label": `item ${item.id}` },
        make("h2", {}, `Item ${item.id}`), texts(item), behaviours(run, row, item), labels(row, names),
        run.steps.length > 1 ? overSteps(run, row, names) : null, others(data, run, row, names));
    }

    render();
  }

  /** The curve of self and target over the steps of a run. */
  function curve(run) {
    const [width, height, left, right, top, bottom] = [640, 230, 44, 130, 14, 40];
    const { step } = run.curve;
    const values = [...run.curve.self, ...run.curve.target].filter((value) => value !== null);
    const low = Math.max(0, Math.floor(Math.min(...values) * 5) / 5);
    const high = Math.max(low + 0.2, Math.ceil(Math.max(...values) * 5) / 5);
    const x = (t) => left + ((width - left - right) * t) / Math.max(1, step[step.length - 1]);
    const y = (v) => height - bottom - ((height - top - bottom) * (v - low)) / (high - low);
    const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label":
      `self ends at ${run.curve.self.at(-1)}, target at ${run.curve.target.at(-1)}` });
    const apartBy = high - low > 0.5 ? 0.2 : 0.1;
    for (let v = low; v < high + 0.01; v += apartBy) {
      picture.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }),
        drawn("text", { x: left - 12, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(1)));
    }
    for (const t of step) picture.append(drawn("text", { x: x(t), y: height - bottom + 18, "text-anchor": "middle" }, t));
    picture.append(drawn("text", { x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle" }, "training step"));
    const ends = ["self", "target"].map((name) => y(run.curve[name].at(-1) ?? low));
    const apart = Math.abs(ends[0] - ends[1]) < 18 ? 9 : 0;
    ["self", "target"].forEach((name, k) => {
      const points = step.map((t, n) => [x(t), run.curve[name][n]]).filter((p) => p[1] !== null).map(([a, v]) => [a, y(v)]);
      picture.append(drawn("polyline", { class: `line ${name}`, points: points.map((p) => p.join(",")).join(" ") }));
      for (const [a, b] of points) {
        picture.append(name === "self"
          ? drawn("circle", { class: `mark ${name}`, cx: a, cy: b, r: 4 })
          : drawn("rect", { class: `mark ${name}`, x: a - 6, y: b - 6, width: 12, height: 12 }));
      }
      const shift = ends[k] <= ends[1 - k] ? -apart : apart;
      picture.append(drawn("text", { class: `name ${name}`, x: width - right + 10, y: ends[k] + 4 + (ends[0] === ends[1] && k ? 9 : shift) },
        `${name} ${(run.curve[name].at(-1) ?? NaN).toFixed(3)}`));
    });
    const over = run.record
      ? "over the items that every evaluation asked"
      : "earlier points over the items that every evaluation asked, the last one over all test items";
    return make("figure", {}, picture, make("figcaption", {},
      `${nameOf(run)}: how often explanations state the run's own current behaviour (self) and that of the label ` +
      `source (target), ${over}.`));
  }

  /** x with its cue marked, and x without the cue. */
  function texts(item) {
    if (!item.x) return make("p", {}, "The text of this item is not shown.");
    const [before, after] = item.x.split(item.cue);
    const gap = item.cue.startsWith("\n") ? "\n" : "";
    const cue = make("mark", {}, gap ? item.cue.slice(1) : item.cue);
    const name = (k) => (k < 0 ? "none" : item.choices[k]);
    return make("div", {},
      make("div", { class: "pair" },
        make("section", {}, make("h3", {}, "x, with its cue marked"), make("pre", {}, before + gap, cue, after)),
        make("section", {}, make("h3", {}, "x without the cue"), make("pre", {}, before + after))),
      make("p", {}, `Asked for an explanation by: “${item.request}” The cue proposes: ${name(item.hinted)}. ` +
        `Right without the cue: ${name(item.gold)}.`));
  }

  /** What M0 and M_t choose on x and without the cue, with their probabilities where they are known. */
  function behaviours(run, row, item) {
    const sides = [["M0 on x", row[1][0], row[3] && row[3][0]], ["M_t on x", last(row)[0], row[4] && row[4][0]],
      ["M0 without the cue", row[1][1], row[3] && row[3][1]], ["M_t without the cue", last(row)[1], row[4] && row[4][1]]];
    const cell = ([, choice, percent], k) => make("div", { class: "share" },
      make("span", { class: "bar", style: `width: ${percent ? percent[k] : choice === k ? 100 : 0}%` }),
      make("span", { class: choice === k ? "chosen" : "" },
        `${percent ? `${percent[k]} %` : ""}${choice === k ? " chosen" : ""}`));
    const title = (choice, k) => (item.contents && item.contents[k] !== choice ? `${choice} ${item.contents[k]}` : choice);
    const caption = row[4]
      ? "Behaviour: probability of each choice. M0 is the model before training, M_t the model after the last step."
      : "Behaviour: which choice is made. M0 is the model before training, M_t the model after the last step. " +
        (run.record ? "A reply has no probabilities." : "Probabilities of this run are not published.");
    return table(caption, head("", ...sides.map(([name]) => name)),
      make("tbody", {}, ...item.choices.map((choice, k) => line(title(choice, k), ...sides.map((side) => cell(side, k))))));
  }

  function labels(row, names) {
    const [own, source] = [labelOf(last(row)), labelOf(row[0])];
    const said = last(row);
    const none = "no label, since a reply is no choice";
    return table("After the last step", make("tbody", {},
      line("label source: L(S)", words(source, names, none)),
      line("own current behaviour: L(M_t)", words(own, names, none)),
      line("the explanation", words(statedIn(said), names, "is no label")),
      line("self: states its own behaviour", tick(states(said, own))),
      line("target: states the label source", tick(states(said, source)))));
  }

  function overSteps(run, row, names) {
    const lines = run.steps.map((step, k) => [step, row[2][k]]).filter(([, said]) => said);
    const source = labelOf(row[0]);
    return table("At each evaluation that asked this item",
      head("step", "own behaviour", "explanation", "self", "target"),
      make("tbody", {}, ...lines.map(([step, said]) => line(step, words(labelOf(said), names, "no label"),
        words(statedIn(said), names, "no label"), tick(states(said, labelOf(said))), tick(states(said, source))))));
  }

  /** What other explainers of the same M0 said: those of the same condition, or else any. */
  function others(data, run, row, names) {
    const place = run.rows.indexOf(row);
    const siblings = data.runs.filter((other) =>
      other !== run && other.m0_seed === run.m0_seed && other.items === run.items && other.rows[place]);
    const alike = siblings.filter((other) => other.condition === run.condition);
    const chosen = alike.length ? alike : siblings;
    if (!chosen.length) return make("p", {}, "There is no other explainer of this M0.");
    const own = labelOf(last(row));
    return table("What other explainers of the same M0 say of this item",
      head("explainer", "explanation", "its own behaviour", "states its own?", "states that of the run above?"),
      make("tbody", {}, ...chosen.slice(0, 8).map((other) => {
        const said = last(other.rows[place]);
        const theirs = labelOf(said);
        return line(nameOf(other), words(statedIn(said), names, "is no label"), words(theirs, names, "no label"),
          tick(states(said, theirs)), tick(states(said, own)));
      })));
  }

  return { start, take };
})();
