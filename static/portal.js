// Makes pages more comfortable; every one of them works without it.

const WAITS_SECONDS = [2, 4, 8, 16, 30];
const SPOKEN_FOR_MS = 4000;

const all = (selector) => document.querySelectorAll(selector);

/** "Copy" appears only where the browser can copy, and says that it did. */
function copyButtons() {
  if (!navigator.clipboard) return;
  for (const button of all("[data-copy]")) {
    const status = document.getElementById(button.getAttribute("aria-describedby"));
    button.hidden = false;
    button.addEventListener("click", async () => {
      status.textContent = await copied(document.getElementById(button.dataset.copy));
      setTimeout(() => (status.textContent = ""), SPOKEN_FOR_MS);
    });
  }
}

async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent.trim());
    return "Copied.";
  } catch {
    getSelection().selectAllChildren(element);
    return "Your browser did not allow it. It is selected: press Ctrl+C or ⌘C.";
  }
}

/** A link that waits for its checkbox: `data-waits-for` names the checkbox. */
function waitingLinks() {
  for (const link of all("[data-waits-for]")) {
    const box = document.getElementById(link.dataset.waitsFor);
    const update = () => link.setAttribute("aria-disabled", String(!box.checked));
    box.addEventListener("change", update);
    link.addEventListener("click", (event) => box.checked || event.preventDefault());
    update();
  }
}

/** Asks `data-poll` where the order stands, less and less often, and reloads once that has changed. */
async function watchOrder(element) {
  for (let turn = 0; ; turn += 1) {
    const seconds = WAITS_SECONDS[Math.min(turn, WAITS_SECONDS.length - 1)];
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const state = await orderState(element.dataset.poll);
    const sending = document.querySelector("form[data-sent]"); // its answer shows the news too: let it come
    if (state && state !== element.dataset.state && !sending) return location.reload();
  }
}

async function orderState(url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    return answer.ok ? (await answer.json()).state : null;
  } catch {
    return null; // offline for a moment: ask again at the next turn
  }
}

/** The second click of an impatient hand sends nothing. */
function singleSubmits() {
  addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || "download" in form.dataset) return; // a download leaves the page as it is
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    // Later, for a button disabled now would not send its own name and value.
    setTimeout(() => event.submitter?.setAttribute("disabled", ""));
  });
  addEventListener("pageshow", () => {
    for (const form of all("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[type=submit]")) button.disabled = false;
    }
  });
}

/** The reader's own time on hover; the text keeps the zone that it names. */
function ownTimes() {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "long" });
  for (const time of all("time[datetime]")) time.title = format.format(new Date(time.dateTime));
}

/** Escape and a click elsewhere close the account menu. */
function menus() {
  for (const menu of all("details.menu")) {
    addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
}

copyButtons();
waitingLinks();
singleSubmits();
ownTimes();
menus();
all("[data-poll]").forEach(watchOrder);
