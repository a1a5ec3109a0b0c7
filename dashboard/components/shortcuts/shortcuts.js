// What every page has: keys, the sheet that lists them, buttons that copy, and the way in when a lost connection is not
// given back.
// Keys are left alone while somebody types.
let listening = false;
let current = null;  // the sheet and the pages of the newest run: one listener serves all
let leader = -Infinity;  // when "g" was pressed
const LEADER_MS = 1500;
const STEPS = ["j", "k", "J", "K", "u"];

export default function ({ data, parentElement }) {
  const sheet = parentElement.querySelector("dialog");
  current = { sheet, pages: data.pages };
  fill(sheet, data.groups);
  if (new URLSearchParams(location.search).has("event") && shown !== location.href) {
    watching.observe(document.body, { childList: true, subtree: true });
    showMarked();  // all may have been drawn before this script was there
  }
  if (!listening) {
    listening = true;
    document.addEventListener("keydown", pressed);
    document.addEventListener("click", copy);
    watchConnection();
  }
}

// A connection breaks with sleep or a restart. Who is not signed in any more gets no new one, and would wait for ever.
const ASK_MS = 2000;
let asking = false;

function watchConnection() {
  const app = document.querySelector('[data-testid="stApp"]');
  const isLost = () => app.isConnected && app.dataset.testConnectionState !== "CONNECTED";
  const ask = async () => {
    if (asking) return;
    asking = true;
    while (isLost()) {
      const answer = await fetch("/_stcore/health", { cache: "no-store" }).catch(() => null);
      if (answer?.status === 401) {
        location.assign("/sign-in?" + new URLSearchParams({ next: location.pathname + location.search }));
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
    asking = false;
  };
  new MutationObserver(ask).observe(app, { attributes: true, attributeFilter: ["data-test-connection-state"] });
}

// The event that a link names is brought into view when it has been drawn, until all of the page is: what comes later
// may push it away.
let shown = "";
const watching = new MutationObserver(showMarked);

function showMarked() {
  const marked = document.querySelector("li.marked");
  if (!marked) return;
  marked.scrollIntoView({ block: "nearest" });
  if (!document.querySelector("#page-ready")) return;
  watching.disconnect();
  shown = location.href;
}

// Copies what stands before the button. Where the browser does not allow it (no HTTPS, another machine) it is selected.
const SAID_MS = 2000;

async function copy(event) {
  const button = event.target.closest?.(".copy button");
  if (!button) return;
  const text = button.previousElementSibling;
  const said = await navigator.clipboard?.writeText(text.textContent).then(() => "Copied", () => null);
  if (!said) getSelection().selectAllChildren(text);
  button.textContent = said ?? "Selected: press Ctrl+C";
  setTimeout(() => { button.textContent = "Copy"; }, SAID_MS);
}

function make(tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
}

function fill(sheet, groups) {
  const title = make("h2", "Keys");
  title.id = "keys-title";
  const close = make("button", "Close");
  close.type = "button";
  close.addEventListener("click", () => sheet.close());
  const parts = groups.flatMap(({ title, keys }) => {
    const list = make("dl");
    for (const [key, meaning] of keys) {
      const term = make("dt");
      for (const part of key.split(" ")) term.append(make("kbd", part), " ");
      list.append(term, make("dd", meaning));
    }
    return [make("h3", title), list];
  });
  sheet.replaceChildren(title, ...parts, close);
}

function isTyping(event) {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event) || !current?.sheet.isConnected) return;
  const afterLeader = event.timeStamp - leader < LEADER_MS;
  leader = -Infinity;
  if (event.key === "?") {
    if (current.sheet.open) current.sheet.close(); else current.sheet.showModal();
  } else if (current.sheet.open) {
    return;
  } else if (event.key === "/") {
    const box = document.querySelector(".st-key-q input");
    if (box) box.focus(); else go("/");
  } else if (event.key === "g") {
    leader = event.timeStamp;
    return;
  } else if (afterLeader && event.key in current.pages) {
    go(current.pages[event.key]);
  } else {
    // A step along a list is a link of the page, which says its key.
    const step = STEPS.includes(event.key) && document.querySelector(`a[href][data-step="${event.key}"]`);
    if (!step) return;
    step.click();
  }
  event.preventDefault();
}

// The navigation's own link keeps the session; where it is folded away the page is loaded.
function go(path) {
  const links = [...document.querySelectorAll('[data-testid="stSidebarNavLink"]')];
  const link = links.find((each) => new URL(each.href).pathname === path && each.offsetParent);
  if (link) link.click(); else location.assign(path);
}
