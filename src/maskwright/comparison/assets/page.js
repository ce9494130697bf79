// Draws the figures that the page holds when they come into view, in the colours of the theme; tabs; light and dark.
const figures = JSON.parse(document.getElementById("figures").textContent);
const root = document.documentElement;

function colour(name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

function layoutOf(figure, place) {
  const narrow = place.clientWidth < 600;
  const axis = {
    gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true,
    title: { font: { size: 12 }, standoff: 8 },
  };
  const own = figure.layout;
  const layout = {
    ...own,
    width: place.clientWidth,
    template: { layout: { xaxis: axis, yaxis: axis } },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), size: 12, family: "system-ui, sans-serif" },
    margin: { l: 10, r: 10, t: 10, b: 10 },
    legend: { orientation: "h", yanchor: "top", x: 0, font: { size: narrow ? 10 : 11 } },
    hoverlabel: { font: { size: 12 }, align: "left" },
    dragmode: narrow ? false : "zoom",
  };
  if (!own.height) {
    // a legend below needs room of its own, a line for each name on a phone
    const names = figure.data.filter((trace) => trace.name && trace.showlegend !== false && trace.type !== "heatmap").length;
    const lines = own.showlegend === false ? 0 : narrow ? names : Math.ceil(names / 2);
    layout.height = (narrow ? 320 : 420) + 20 * lines;
    layout.legend.y = -70 / (layout.height - 20 * lines);
  }
  if (narrow) layout.annotations = (own.annotations || []).map((note) => ({ ...note, font: { size: 10 } }));
  return layout;
}

function draw(place) {
  const figure = figures[place.dataset.figure];
  Plotly.react(place, figure.data, layoutOf(figure, place), { displaylogo: false, displayModeBar: false });
  place.dataset.drawn = place.clientWidth;
}

const seen = new IntersectionObserver(
  (entries) => entries.forEach((entry) => entry.isIntersecting && !entry.target.dataset.drawn && draw(entry.target)),
  { rootMargin: "600px" },
);
const resized = new ResizeObserver((entries) =>
  entries.forEach(({ target }) => target.dataset.drawn && target.clientWidth && +target.dataset.drawn !== target.clientWidth && draw(target)),
);
document.querySelectorAll(".figure").forEach((place) => { seen.observe(place); resized.observe(place); });

document.querySelectorAll("[data-tab]").forEach((button) =>
  button.addEventListener("click", () => {
    const section = button.closest("section");
    section.querySelectorAll("[data-tab]").forEach((other) => other.setAttribute("aria-selected", other === button));
    section.querySelectorAll(".tabs ~ .figure").forEach((place) => { place.hidden = place.dataset.figure !== button.dataset.tab; });
    section.querySelectorAll(".figure:not([hidden])").forEach(draw);
  }),
);

function setTheme(name) {
  root.dataset.theme = name;
  document.querySelectorAll(".figure[data-drawn]:not([hidden])").forEach(draw);
}
const dark = window.matchMedia("(prefers-color-scheme: dark)");
setTheme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));

// a link to a folded recipe unfolds it
function unfold() {
  const target = location.hash && document.querySelector(location.hash);
  if (target && target.tagName === "DETAILS") target.open = true;
}
window.addEventListener("hashchange", unfold);
unfold();

// paper shows what was never scrolled to as well
window.addEventListener("beforeprint", () => document.querySelectorAll(".figure:not([hidden])").forEach(draw));
