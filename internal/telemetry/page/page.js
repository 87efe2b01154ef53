// The page without this is whole; with it, it stays as the process is. Every few
// seconds it asks for itself and takes over what differs, so that what is open, has
// the focus or is scrolled stays so.
"use strict";
(() => {
  const every = 5000;
  const gone = document.getElementById("gone");
  const icon = document.querySelector("link[rel=icon]");
  let ahead = 0; // this clock less the process's
  let answered = Date.now();
  let timer, asking = false;

  // The words of times.go.
  const many = (n, unit) => n + " " + unit + (n === 1 ? "" : "s");
  function span(seconds) {
    if (seconds < 60) return seconds + " s";
    if (seconds < 3600) return many(Math.floor(seconds / 60), "minute");
    if (seconds < 48 * 3600) return many(Math.floor(seconds / 3600), "hour");
    return many(Math.floor(seconds / 86400), "day");
  }

  function tick() {
    const now = Date.now() - ahead;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const seconds = Math.floor((now - Date.parse(time.dateTime)) / 1000);
      const text = seconds < -1 ? "in " + span(-seconds) : span(Math.max(0, seconds)) + " ago";
      if (time.textContent !== text) time.textContent = text;
    }
    if (!gone.hidden) tellGone();
  }

  function tellGone() {
    gone.textContent = "The process has not answered for " + span(Math.floor((Date.now() - answered) / 1000)) +
      ". What stands here is from before. Look whether it runs, and at its log. This page asks on.";
  }

  // morph makes a node like another one.
  function morph(is, shall) {
    if (is.nodeName !== shall.nodeName || is.id !== shall.id) {
      is.replaceWith(shall);
      return;
    }
    if (is.nodeType !== Node.ELEMENT_NODE) {
      if (is.data !== shall.data) is.data = shall.data;
      return;
    }
    for (const a of shall.attributes) if (is.getAttribute(a.name) !== a.value) is.setAttribute(a.name, a.value);
    for (const a of [...is.attributes]) {
      // Whoever opened it wants it open.
      if (!shall.hasAttribute(a.name) && !(a.name === "open" && is.nodeName === "DETAILS")) is.removeAttribute(a.name);
    }
    const olds = [...is.childNodes], news = [...shall.childNodes];
    news.forEach((n, i) => i < olds.length ? morph(olds[i], n) : is.append(n));
    olds.slice(news.length).forEach((o) => o.remove());
  }

  async function refresh() {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(4000) });
      const text = await answer.text();
      const page = new DOMParser().parseFromString(text, "text/html");
      if (!answer.ok || !page.body.dataset.now) throw new Error("not the page");
      answered = Date.now();
      ahead = answered - Number(page.body.dataset.now);
      gone.hidden = true;
      document.documentElement.classList.remove("is-gone");
      document.title = page.title;
      icon.href = page.querySelector("link[rel=icon]").getAttribute("href");
      for (const part of ["main", "footer"]) morph(document.querySelector(part), page.querySelector(part));
      tick();
    } catch {
      if (document.hidden) return; // a hidden page is not served; nothing is known
      gone.hidden = false;
      document.documentElement.classList.add("is-gone");
      document.title = "No answer · openai-audit-kafka";
      icon.href = document.body.dataset.root + "icons/gone.svg";
      tellGone();
    } finally {
      asking = false;
    }
  }

  function watch() {
    clearInterval(timer);
    if (document.hidden) return;
    timer = setInterval(refresh, every);
    refresh();
  }

  ahead = Date.now() - Number(document.body.dataset.now);
  document.getElementById("stands").hidden = true;
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", watch);
  timer = setInterval(refresh, every);
})();
