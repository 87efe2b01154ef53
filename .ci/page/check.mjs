// Tries the status page in a real Chromium: every state on a desktop, a phone and in
// the dark, with axe, without JavaScript, with the keyboard, refreshing and gone. It
// makes the screenshots of the docs if a folder for them is given.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const shots = process.env.SHOTS;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const at = new Date("2026-03-12T13:37:20Z");
const looks = {
  desktop: { viewport: { width: 1080, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1080, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true },
};

let browser, server, states;

before(async () => {
  server = spawn("go", ["run", "./internal/telemetry/pagestates/serve"], { cwd: new URL("../..", import.meta.url), stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: server.stdout });
  states = JSON.parse(await new Promise((resolve, reject) => {
    lines.once("line", resolve);
    server.once("exit", (code) => reject(new Error("the server of states ended with " + code)));
  }));
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  server?.stdin.end();
});

// open shows a page whose clock stands, and collects what the browser complains of.
async function open(url, look, more = {}) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (m) => m.type() === "error" && page.complaints.push(m.text()));
  page.on("pageerror", (e) => page.complaints.push(String(e)));
  if (more.paused) {
    await page.clock.install({ time: at });
    await page.clock.pauseAt(new Date(at.getTime() + 60000)); // later than its start by any machine
  } else {
    await page.clock.setFixedTime(at); // axe needs timers
  }
  await page.goto(url);
  return page;
}

const heading = (page) => page.evaluate(() => {
  const h1 = document.querySelector("h1").cloneNode(true);
  h1.querySelectorAll(".unseen").forEach((n) => n.remove());
  return h1.textContent;
});

// until waits for what the page comes to. Its own clock stands, so it is asked from here.
async function until(page, is) {
  for (const deadline = Date.now() + 30000; !(await page.evaluate(is)); ) {
    assert.ok(Date.now() < deadline, `not in time: ${is}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function shot(page, name) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

for (const look of Object.keys(looks)) {
  test(`every state, ${look}`, async () => {
    for (const [name, { url, text }] of Object.entries(states)) {
      const page = await open(url, looks[look]);
      assert.equal(await heading(page), text, name);
      // What is on demand counts too.
      await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 0, `${name} scrolls sideways by ${wide} px`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run());
      assert.deepEqual(violations.map((v) => `${v.impact} ${v.id}: ${v.nodes[0].html}`), [], `axe on ${name}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = false; }));
      assert.deepEqual(page.complaints, [], name);
      await shot(page, `${name}-${look}`);
      await page.context().close();
    }
  });
}

test("without JavaScript the page is whole, and says that it stands", async () => {
  const { url, text } = states.live;
  const context = await browser.newContext({ ...looks.desktop, javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(url);
  assert.ok((await page.title()).startsWith("Whole"));
  assert.ok((await page.locator("h1").innerText()).startsWith(text));
  assert.ok(await page.getByText("This page stands as it was loaded").isVisible());
  assert.equal(await page.locator("meta[http-equiv]").count(), 0);
  await context.close();
});

test("an overview leads to each organization by keyboard", async () => {
  const page = await open(states.several.url, looks.desktop, { paused: true });
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "To the state");
  for (let i = 0; i < 3; i++) await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "globex");
  // A refresh leaves the focus where it is.
  const answer = page.waitForResponse((r) => r.url() === page.url());
  await page.clock.runFor(5100);
  await (await answer).finished();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "globex");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/organizations/globex");
  assert.ok((await heading(page)).startsWith("Not reading: the key is wrong"));
  assert.ok((await page.title()).startsWith("globex: Not reading"));
  assert.match(await page.locator("link[rel=icon]").getAttribute("href"), /icons\/bad\.svg$/);
  await page.locator("#home").click();
  await page.waitForURL(states.several.url);
  assert.equal(await heading(page), states.several.text);
  await page.context().close();
});

test("it goes on without reloading, pauses when hidden, and says when the process is gone", async () => {
  const page = await open(states.live.url, looks.desktop, { paused: true });
  let asked = 0;
  page.on("request", (r) => { if (r.url() === page.url()) asked++; });
  await page.evaluate(() => { window.mark = "the same page"; });
  await page.locator("summary").last().press("Enter");

  await page.clock.runFor(3000);
  assert.equal(await heading(page), "Whole up to 7 s ago");
  assert.equal(asked, 0);
  await page.clock.runFor(2000);
  await until(page, () => document.querySelector("h1").textContent.startsWith("Whole up to 4 s"));
  assert.equal(await page.locator("details[open]").count(), 1, "what was opened stays open");
  const words = await page.evaluate(() => [...document.querySelectorAll("time[data-ago]")].map((t) => t.textContent));
  assert.ok(words.includes("31 minutes ago"), String(words));

  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { get: () => window.away, configurable: true });
    window.away = true;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  asked = 0;
  await page.clock.runFor(60000);
  assert.equal(asked, 0, "a hidden page asks for nothing");

  server.stdin.write("later live\n");
  await page.evaluate(() => {
    window.away = false;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  for (let i = 0; i < 50 && !(await page.title()).startsWith("Not reading"); i++) {
    await new Promise((resolve) => setTimeout(resolve, 100)); // the order is on its way
    await page.clock.runFor(5000);
  }
  await until(page, () => document.title.startsWith("Not reading"));
  assert.ok((await heading(page)).startsWith("Not reading: the head of the log was last read"), await heading(page));
  assert.match(await page.locator("link[rel=icon]").getAttribute("href"), /icons\/bad\.svg$/);

  server.stdin.write("stop live\n");
  for (let i = 0; i < 20 && !(await page.title()).startsWith("No answer"); i++) {
    await new Promise((resolve) => setTimeout(resolve, 200)); // it finishes what is under way
    await page.clock.runFor(5000);
  }
  await until(page, () => document.title.startsWith("No answer"));
  assert.ok(await page.getByRole("alert").isVisible());
  await page.clock.runFor(7000);
  assert.match(await page.getByRole("alert").textContent(), /has not answered for [0-9]+ (s|minutes?)\./);
  assert.match(await page.locator("link[rel=icon]").getAttribute("href"), /icons\/gone\.svg$/);
  assert.equal(await page.evaluate(() => window.mark), "the same page");
  await page.evaluate(() => {
    document.querySelectorAll("details").forEach((d) => { d.open = false; });
    document.activeElement.blur();
    window.scrollTo(0, 0);
  });
  if (shots) await page.screenshot({ path: `${shots}/gone-desktop.png` });
  await page.clock.resume();
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  assert.deepEqual(violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => v.id), []);
  await page.context().close();
});
