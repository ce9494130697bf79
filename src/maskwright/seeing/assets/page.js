// Says more about whatever is hovered or tapped; light and dark; what the rows show.
const root = document.documentElement, tip = document.getElementById("tip");

function say(event) {
  const about = event.target.closest && event.target.closest("[data-tip]");
  tip.hidden = !about;
  if (!about) return;
  tip.textContent = about.dataset.tip;
  const box = about.getClientRects()[0], wide = tip.offsetWidth, high = tip.offsetHeight;
  const left = Math.min(Math.max(box.left + box.width / 2 - wide / 2, 4), root.clientWidth - wide - 4);
  const above = box.top - high - 6;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 0 ? above : box.bottom + 6) + scrollY}px`;
}
document.addEventListener("pointerover", say);
document.addEventListener("click", say);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
for (const [id, name] of [["reads", "show-reads"], ["weights", "weights"], ["big", "big"]]) {
  const box = document.getElementById(id);
  if (!box) continue;
  const set = () => document.body.classList.toggle(name, box.checked);
  box.addEventListener("change", set);
  set();
}
