"use strict";
// One question at a time; the pictures of the next ones are loaded while a person looks at this one.
const token = location.hash.slice(1);
const element = (id) => document.getElementById(id);
const pictures = new Map(); // round/question -> promise of the addresses of its two pictures
const LOOK_AGAIN = 3000; // milliseconds until a page without a question asks for one
let state = null;
let shown = ""; // round/question whose pictures are on the screen: no other one is answered
let shownAt = 0;
let waiting = Promise.resolve(); // requests go out one after another
let later = 0; // the timer of the next look at the server
let pending = 0; // requests that have no reply yet: an older reply does not know the later keys

async function ask(path, body) {
  const options = { headers: { Authorization: `Bearer ${token}` } };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  if (!response.ok) {
    const said = await response.json().catch(() => ({ error: `the server says ${response.status}` }));
    throw Object.assign(new Error(said.error), { status: response.status });
  }
  return response;
}

async function address(path) {
  return URL.createObjectURL(await (await ask(path)).blob());
}

const placeOf = (one) => `${state.round}/${one.question}`;

function load(one) {
  const place = placeOf(one);
  if (!pictures.has(place)) {
    const both = Promise.all([address(`api/picture/${place}`), address(`api/crop/${place}`)]);
    both.catch(() => pictures.delete(place));
    pictures.set(place, both);
  }
  return pictures.get(place);
}

function forget() {
  const near = new Set(state.next.map(placeOf));
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
  if (!now || now.problem) return;
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
  const round = state.round < 0 ? "" : `round ${state.round}: ${state.answered} of ${state.count} answered, `;
  element("progress").textContent = `${round}${state.who}`;
  element("bar").value = state.count ? state.answered / state.count : 1;
  element("guide").hidden = !state.guide;
  if (!element("guide-text").innerHTML) element("guide-text").innerHTML = state.guide; // tags in it were made text
  showExamples();
  const [now] = state.next;
  const asking = Boolean(now) && element("review").hidden;
  element("question").hidden = element("buttons").hidden = !asking;
  clearTimeout(later);
  if (!now) {
    shown = "";
    element("message").textContent = nothing();
    lookAgain();
    return;
  }
  if (!asking) return;
  const place = placeOf(now);
  const both = await (now.problem ? Promise.reject(new Error(now.problem)) : load(now)).catch((error) => error);
  if (!state.next.length || placeOf(state.next[0]) !== place) return;
  if (both instanceof Error) {
    shown = "";
    element("question").hidden = true;
    element("message").textContent = `${now.image} cannot be shown: ${both.message}; S leaves it for later`;
    lookAgain();
    return;
  }
  const [whole, crop] = both;
  element("picture").src = whole;
  element("crop").src = crop;
  element("name").textContent = now.image;
  element("ring").style.left = `${100 * now.x}%`;
  element("ring").style.top = `${100 * now.y}%`;
  fit();
  document.body.dataset.question = now.question;
  if (shown !== place) shownAt = performance.now(); // a reply shows the same question once more
  shown = place;
  state.next.slice(1).filter((one) => !one.problem).forEach(load);
  forget();
}

function lookAgain(after = LOOK_AGAIN) {
  clearTimeout(later);
  later = setTimeout(() => send("api/next"), after);
}

function nothing() {
  if (state.problem) return `The next questions cannot be asked: ${state.problem}`;
  if (state.over) return "Every question has an answer. Thank you!";
  if (state.round < 0) return "The networks are being trained; their questions come here by themselves.";
  if (state.answered >= state.count) return "Every question of this round has an answer; the next ones come here by themselves.";
  return "Nothing is left for you just now; what others leave comes here by itself.";
}

// Pixels that were answered in earlier rounds, as something to learn from.
function showExamples() {
  const place = element("example-grid");
  element("examples").hidden = !state.examples.length;
  if (place.dataset.round === String(state.round)) return;
  place.dataset.round = state.round;
  place.replaceChildren();
  state.examples.forEach((label, number) => {
    const tile = picture(label === 1 ? "foreground" : "background");
    place.append(tile);
    address(`api/example/${state.round}/${number}`).then((url) => (tile.querySelector("img").src = url), () => tile.remove());
  });
}

// A small picture with the ring in its middle, and what was said below it.
function picture(said) {
  const tile = document.createElement("figure");
  const image = document.createElement("img");
  const ring = document.createElement("div");
  const caption = document.createElement("figcaption");
  const holder = document.createElement("div");
  image.alt = "around a pixel";
  ring.className = "ring";
  holder.className = "tile";
  caption.textContent = said;
  holder.append(image, ring);
  tile.append(holder, caption);
  return tile;
}

function send(path, body) {
  pending += 1;
  waiting = waiting
    .then(() => ask(path, body && { round: state.round, ...body }))
    .then((response) => response.json())
    .finally(() => (pending -= 1))
    .then(take, (error) => failed(path, error));
  return waiting;
}

function take(found) {
  if (pending) return;
  state = found;
  element("message").textContent = "";
  show();
}

// What was not kept is asked again, for the server says what is next.
function failed(path, error) {
  const lost = path === "api/answer" && error.status !== 409 ? "; if the last answer was not kept, it is asked again" : "";
  element("message").textContent = error.message + lost;
  if (error.status !== 401) lookAgain(error.status === 409 ? LOOK_AGAIN / 3 : LOOK_AGAIN);
}

function answer(label) {
  const now = state && element("review").hidden && state.next[0];
  if (!now || shown !== placeOf(now)) return;
  const milliseconds = Math.round(performance.now() - shownAt);
  state.next = state.next.slice(1); // the next one is shown before the server has replied
  state.answered += 1;
  if (state.next.length) show();
  send("api/answer", { question: now.question, label, milliseconds });
}

const actions = {
  skip: () => state && element("review").hidden && state.next[0] && send("api/skip", { question: state.next[0].question }),
  back: () => element("review").hidden && send("api/back", {}),
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
  r: () => toggleReview(),
};

document.addEventListener("keydown", (event) => {
  if (event.target.closest("select, summary")) return;
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
