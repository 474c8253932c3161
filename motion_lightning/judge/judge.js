// One item at a time, its questions, and answers that survive a reload.
"use strict";

const root = document.querySelector(".judge");
const { kind, page } = JSON.parse(root.querySelector("script.page").textContent);
const items = [...root.querySelectorAll(".item")];
const find = selector => root.querySelector(selector);
const [start, end, bar, said] = [".start", ".end", ".progress", ".said"].map(find);
const PLACE = `judge-${page}`, PAUSE = 300;  // milliseconds between an answer and what comes next
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

// at: -1 is the start, items.length the end; spent: seconds that each item was looked at.
const anew = () => ({ session: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, viewer: "", at: -1, answers: {}, spent: {} });
let state = anew(), since, coming;

function recall() {
  try { state = { ...state, ...JSON.parse(localStorage.getItem(PLACE)) }; } catch { /* nothing that can be read */ }
}

function keep() {
  try { localStorage.setItem(PLACE, JSON.stringify(state)); } catch {
    said.textContent = "This browser keeps nothing: save the answers before you close or reload the page.";
  }
}

const questions = item => [...items[item].querySelectorAll("fieldset")];
const open = item => questions(item).find(q => !state.answers[item]?.[q.dataset.question]);
const answered = () => items.filter((_, item) => !open(item)).length;

// Time counts while the page is in front.
function settle() {
  if (since !== undefined && items[state.at]) state.spent[state.at] = (state.spent[state.at] ?? 0) + (performance.now() - since) / 1000;
  since = document.hidden ? undefined : performance.now();
}

function players(item, act) {
  for (const element of items[item]?.querySelectorAll(".mv, .signers") ?? []) if (element.viewer && !element.viewer.still) act(element.viewer);
}

async function go(at) {
  clearTimeout(coming);
  settle();
  players(state.at, viewer => viewer.play(false));
  state.at = Math.max(-1, Math.min(items.length, at));
  keep();
  const here = state.at;
  await Promise.all([...items[here]?.querySelectorAll("img") ?? []].map(image => image.decode().catch(() => {})));  // so that films start together
  if (here !== state.at) return;
  items.forEach((item, i) => { item.hidden = i !== here; });
  start.hidden = here !== -1;
  end.hidden = here !== items.length;
  bar.hidden = here === -1;
  players(here, viewer => { viewer.seek(0); viewer.play(!still); });
  show();
  scrollTo(0, 0);
}

function show() {
  const here = items[state.at] ? open(state.at) : undefined;
  if (items[state.at]) for (const question of questions(state.at)) {
    question.classList.toggle("now", question === here);
    const given = state.answers[state.at]?.[question.dataset.question];
    for (const button of question.querySelectorAll("button")) button.setAttribute("aria-pressed", button.dataset.answer === given);
  }
  const done = answered(), left = items.length - done;
  Object.assign(find("progress"), { max: items.length, value: done });
  find(".count").textContent = `${Math.min(state.at + 1, items.length)} of ${items.length}, ${done} answered`;
  find(".left").textContent = left ? `${left} of ${items.length} are not answered yet: go back for them, or leave them out.` : `All ${items.length} are answered.`;
  find(".progress [data-go=next]").disabled = state.at === items.length;
  find(".progress [data-go=save]").hidden = state.at === items.length;
}

function answer(button) {
  const item = state.at, question = button.closest("fieldset").dataset.question;
  const whole = !open(item);
  settle();
  const mine = state.answers[item] ??= { seconds: {} };
  mine[question] = button.dataset.answer;
  mine.seconds[question] = Math.round(state.spent[item] * 10) / 10;
  said.textContent = "";
  keep();
  show();
  clearTimeout(coming);
  if (!open(item) && !whole) coming = setTimeout(() => go(item + 1), PAUSE);  // a changed mind stays to look
}

function saved() {
  const answers = Object.keys(state.answers).map(Number).sort((a, b) => a - b).map(item => ({ item, ...state.answers[item] }));
  const { session, viewer } = state;
  return { kind, page, viewer: viewer.trim(), session, saved: new Date().toISOString(), items: items.length, answers };
}

function save() {
  settle();
  keep();
  const file = saved(), link = document.createElement("a");
  const who = (file.viewer || file.session).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40);
  link.href = "data:application/json;charset=utf-8," + encodeURIComponent(JSON.stringify(file, null, 1));
  link.download = `${kind}-${page}-${who}.json`;
  link.click();
  said.textContent = `Saved as ${link.download}.`;
}

const actions = {
  back: () => go(state.at - 1), next: () => go(state.at + 1), save,
  anew: () => {
    if (!confirm("Forget the answers on this page? Save them first.")) return;
    state = anew();
    since = undefined;
    find(".viewer").value = "";
    said.textContent = "";
    go(-1);
  },
};

root.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button?.dataset.answer) answer(button);
  else if (button?.dataset.go) actions[button.dataset.go]();
});
find(".viewer").addEventListener("input", event => { state.viewer = event.target.value; keep(); });
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches?.("input[type=text]")) { if (event.key === "Enter") go(0); return; }
  if (event.key === "Backspace") { event.preventDefault(); return actions.back(); }
  if (!items[state.at]) { if (event.key === "Enter" && state.at === -1 && !event.target.closest?.("button")) go(0); return; }
  const asked = open(state.at) ?? questions(state.at).at(-1);
  const button = /^[1-9]$/.test(event.key) && asked.querySelectorAll("button")[event.key - 1];
  if (button) { event.preventDefault(); answer(button); }
});
document.addEventListener("visibilitychange", () => { settle(); keep(); });

recall();
find(".viewer").value = state.viewer;
items.forEach((_, item) => players(item, viewer => viewer.play(false)));
go(state.at);
