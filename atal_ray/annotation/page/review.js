"use strict";
// Answers as a grid of crops; a click flips one. And who did what.
const NAMES = { 0: "background", 1: "foreground", 255: "unsure" };
let first = 0; // number of the first answer that is shown
let listed = 0; // a number for each list: of two that come, the later one stays

function toggleReview() {
  element("review").hidden = !element("review").hidden;
  element("mode").querySelector("span").textContent = element("review").hidden ? "review" : "back to the questions";
  first = 0;
  if (element("review").hidden) send("api/next");
  else {
    shown = ""; // its seconds begin anew when it comes back
    element("question").hidden = element("buttons").hidden = true;
    element("message").textContent = "";
    list();
  }
}

async function list() {
  const mine = ++listed;
  const of = new URLSearchParams({ group: element("group").value, by: element("by").value, start: first });
  try {
    const found = await (await ask(`api/review?${of}`)).json();
    if (mine === listed) showAnswers(found);
  } catch (error) {
    element("message").textContent = error.message;
  }
}

function showAnswers(found) {
  const last = found.start + found.shown.length;
  element("where").textContent = found.total ? `${found.start + 1} to ${last} of ${found.total}` : "none";
  element("earlier").disabled = !found.start;
  element("later").disabled = last >= found.total;
  element("later").dataset.start = last;
  element("earlier").dataset.start = Math.max(0, found.start - 60);
  element("grid").querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
  element("grid").replaceChildren(...found.shown.map((one) => tile(found.round, one)));
}

function tile(round, one) {
  const made = picture("");
  const button = document.createElement("button");
  const holder = made.querySelector(".tile");
  holder.replaceWith(button);
  button.append(holder);
  address(`api/crop/${round}/${one.question}`).then((url) => (holder.querySelector("img").src = url), () => {});
  const write = () => {
    const said = Object.entries(one.said).map(([who, label]) => `${who}: ${NAMES[label]}`);
    made.className = `label-${one.label}`;
    made.querySelector("figcaption").textContent = `${NAMES[one.label]}, ${one.image}${said.length > 1 ? ` (${said.join(", ")})` : ""}`;
  };
  write();
  button.addEventListener("click", async (event) => {
    const label = event.shiftKey ? 255 : one.label === 1 ? 0 : 1;
    try {
      await ask("api/review", { round, question: one.question, label });
      one.label = label;
      element("message").textContent = "";
      write();
    } catch (error) {
      element("message").textContent = error.message;
    }
  });
  return made;
}

async function showPeople() {
  if (!element("people").open) return;
  const found = await (await ask("api/people")).json();
  const rows = Object.entries(found).map(([who, of]) => {
    const row = document.createElement("tr");
    const kappa = of.kappa === null ? "" : of.kappa.toFixed(2);
    const cells = [who, of.answers, (of.median_milliseconds / 1000).toFixed(1), of.shared, kappa];
    row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  });
  element("paces").replaceChildren(...rows);
}

element("mode").addEventListener("click", (event) => {
  event.currentTarget.blur();
  toggleReview();
});
for (const id of ["group", "by"]) {
  element(id).addEventListener("change", (event) => {
    event.currentTarget.blur(); // or R would choose in it
    first = 0;
    list();
  });
}
for (const id of ["earlier", "later"]) {
  element(id).addEventListener("click", (event) => {
    first = Number(event.currentTarget.dataset.start);
    list();
  });
}
element("people").addEventListener("toggle", () => showPeople().catch((error) => (element("message").textContent = error.message)));
