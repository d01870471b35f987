
// Read-out under the pointer, cards that hide their run, light or dark. The page is complete without it.
// (Written without the characters that XML reserves, so that the page stays well-formed.)
const readout = document.getElementById("readout");
const hidden = new Set();

function nearest(xs, x) {
  return xs.reduce((best, value, i) => (Math.abs(xs[best] - x) - Math.abs(value - x) > 0 ? i : best), 0);
}

function show(svg, chart, event) {
  const box = svg.getBoundingClientRect();
  const at = ((event.clientX - box.left) / box.width) * chart.width;
  const clamped = Math.max(chart.left, Math.min(chart.right, at));
  const x = chart.low + ((clamped - chart.left) / (chart.right - chart.left)) * (chart.high - chart.low);
  const cursor = svg.querySelector(".cursor");
  cursor.setAttribute("transform", "translate(" + (clamped - chart.left) + " 0)");
  cursor.style.visibility = "visible";
  readout.replaceChildren();
  const head = document.createElement("b");
  // Epochs and steps are whole numbers, an eigenvalue is not.
  head.textContent = chart.label + " " + (chart.whole ? Math.round(x) : x.toPrecision(3));
  readout.append(head);
  chart.series.filter((s) => !hidden.has(String(s.run))).filter((s) => s.x.length).forEach((s) => {
    const row = document.createElement("div");
    const [swatch, name, value] = ["i", "span", "b"].map((tag) => document.createElement(tag));
    swatch.className = "run" + (s.run % 8);
    name.textContent = s.name;
    const y = s.y[nearest(s.x, x)];
    value.textContent = y === null ? "-" : y + chart.unit;
    row.append(swatch, name, value);
    readout.append(row);
  });
  readout.style.visibility = "visible";
  const right = event.clientX + 16 + readout.offsetWidth > window.innerWidth;
  readout.style.left = (right ? event.clientX - 16 - readout.offsetWidth : event.clientX + 16) + "px";
  readout.style.top = event.clientY + 16 + "px";
}

document.querySelectorAll("svg.chart").forEach((svg) => {
  const chart = JSON.parse(svg.dataset.chart);
  svg.addEventListener("pointermove", (event) => show(svg, chart, event));
  svg.addEventListener("pointerleave", () => {
    readout.style.visibility = svg.querySelector(".cursor").style.visibility = "hidden";
  });
});

document.querySelectorAll("[data-switch]").forEach((card) => {
  card.addEventListener("click", () => {
    const run = card.dataset.switch;
    const off = card.classList.toggle("off");
    if (off) hidden.add(run); else hidden.delete(run);
    document.querySelectorAll('[data-run="' + run + '"]').forEach((e) => e.classList.toggle("hidden", off));
  });
});

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.classList.contains("dark")
    || (!root.classList.contains("light") ? matchMedia("(prefers-color-scheme: dark)").matches : false);
  root.classList.toggle("dark", !dark);
  root.classList.toggle("light", dark);
  root.style.colorScheme = dark ? "light" : "dark";
});
