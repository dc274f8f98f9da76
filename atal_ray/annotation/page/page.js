"use strict";
// One question at a time; the pictures of the next ones are loaded while a person looks at this one.
const token = location.hash.slice(1);
const element = (id) => document.getElementById(id);
const pictures = new Map(); // question -> promise of the addresses of its two pictures
let state = null;
let shownAt = 0;
let waiting = Promise.resolve(); // requests go out one after another
let pending = 0; // of them that have no reply yet: an older reply does not know the later keys

async function ask(path, body) {
  const options = { headers: { Authorization: `Bearer ${token}` } };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  if (!response.ok) {
    const said = await response.json().catch(() => ({ error: `the server says ${response.status}` }));
    throw new Error(said.error);
  }
  return response;
}

async function address(path) {
  return URL.createObjectURL(await (await ask(path)).blob());
}

function load(question) {
  if (!pictures.has(question)) {
    const both = Promise.all([address(`api/picture/${question}`), address(`api/crop/${question}`)]);
    both.catch(() => pictures.delete(question));
    pictures.set(question, both);
  }
  return pictures.get(question);
}

function forget() {
  const near = new Set(state.next.map((one) => one.question));
  for (const [question, both] of pictures) {
    if (!near.has(question)) {
      pictures.delete(question);
      both.then((urls) => urls.forEach((url) => URL.revokeObjectURL(url)), () => {});
    }
  }
}

// The whole picture fills its place and the crop stands beside it, or below; Z lets them change sizes.
function fit() {
  const now = state && state.next[0];
  if (!now) return;
  const room = element("question").clientWidth;
  const high = 0.7 * innerHeight;
  const beside = room > 760;
  const small = Math.min(318, room, beside ? high : 0.4 * high);
  const wide = beside ? room - small - 20 : room;
  const tall = beside ? high : 0.6 * high;
  const zoomed = document.body.classList.contains("zoomed");
  const square = Math.min(wide, tall);
  const [boxWide, boxTall] = zoomed ? [small, small] : [wide, tall];
  const scale = Math.min(boxWide / now.width, boxTall / now.height);
  element("picture").style.width = `${now.width * scale}px`;
  element("picture").style.height = `${now.height * scale}px`;
  element("crop").style.width = element("crop").style.height = `${zoomed ? square : small}px`;
}

async function show() {
  element("title").textContent = state.title;
  element("progress").textContent = `${state.answered} of ${state.count} answered, ${state.who}`;
  element("bar").value = state.count ? state.answered / state.count : 1;
  element("guide").hidden = !state.guide;
  element("guide-text").textContent = state.guide;
  const [now] = state.next;
  element("question").hidden = element("buttons").hidden = !now;
  if (!now) {
    element("message").textContent =
      state.answered >= state.count ? "Every question has an answer. Thank you!" : "Nothing is left for you just now.";
    return;
  }
  const [whole, crop] = await load(now.question);
  if (!state.next.length || state.next[0].question !== now.question) return;
  element("picture").src = whole;
  element("crop").src = crop;
  element("name").textContent = now.image;
  element("ring").style.left = `${100 * now.x}%`;
  element("ring").style.top = `${100 * now.y}%`;
  fit();
  document.body.dataset.question = now.question;
  shownAt = performance.now();
  state.next.slice(1).forEach((one) => load(one.question));
  forget();
}

function send(path, body) {
  pending += 1;
  waiting = waiting
    .then(() => ask(path, body))
    .then((response) => response.json())
    .then((found) => {
      pending -= 1;
      if (pending) return undefined;
      state = found;
      element("message").textContent = "";
      return show();
    })
    .catch((error) => {
      pending = Math.max(0, pending - 1);
      element("message").textContent = `${error.message}; the last answer may not be kept: reload the page`;
    });
  return waiting;
}

function answer(label) {
  const now = state && state.next[0];
  if (!now) return;
  const milliseconds = Math.round(performance.now() - shownAt);
  state.next = state.next.slice(1); // the next one is shown before the server has replied
  state.answered += 1;
  if (state.next.length) show();
  send("api/answer", { question: now.question, label, milliseconds });
}

const actions = {
  skip: () => state && state.next[0] && send("api/skip", { question: state.next[0].question }),
  back: () => send("api/back", {}),
  ring: () => document.body.classList.toggle("no-ring"),
  zoom: () => {
    document.body.classList.toggle("zoomed");
    fit();
  },
};
const keys = {
  f: () => answer(1),
  j: () => answer(0),
  " ": () => answer(255),
  s: actions.skip,
  backspace: actions.back,
  h: actions.ring,
  z: actions.zoom,
};

document.addEventListener("keydown", (event) => {
  const act = keys[event.key.toLowerCase()];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  event.preventDefault();
  act();
});
element("buttons").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  button.blur(); // or the space bar would press it again
  if (button.dataset.label) answer(Number(button.dataset.label));
  else actions[button.dataset.do]();
});
addEventListener("resize", fit);
send("api/next");
